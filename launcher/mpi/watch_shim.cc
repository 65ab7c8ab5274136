// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/watch_shim.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace lockstep::launcher {
namespace {

struct Shim {
  const char* watch;  // the flag's value that means it alone
  const char* api;    // whose calls it records
  const char* file;
};
constexpr Shim kShims[] = {{"mpi", "MPI", "liblockstep_mpi.so"},
                           {"nccl", "NCCL", "liblockstep_nccl.so"}};

base::Status CheckShim(const std::string& api, const std::string& path) {
  const std::string what = "watch " + api + " calls (--watch): ";
  if (path.find_first_of(" :") != std::string::npos) {
    return base::InvalidArgumentError(what + "LD_PRELOAD cannot name " + path +
                                      ", which has a blank or a colon in it; put lockstep into "
                                      "another folder, or give --watch=off");
  }
  if (::access(path.c_str(), R_OK) != 0) {
    return base::NotFoundError(what + path +
                               " is not there; put it beside lockstep, or give --watch=off");
  }
  return base::OkStatus();
}

}  // namespace

std::string OwnFolder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

std::string WatchWord(proto::Watch watch) {
  switch (watch) {
    case proto::WATCH_MPI: return "mpi";
    case proto::WATCH_NCCL: return "nccl";
    case proto::WATCH_AUTO: return "auto";
    default: return "off";
  }
}

base::Status CheckFarWatch(const std::string& watch) {
  if (watch != "mpi" && watch != "nccl") return base::OkStatus();
  return base::InvalidArgumentError("watch a library's calls (--watch=" + watch +
                                    "): that is for jobs whose ranks are all on the machine of "
                                    "`lockstep run`; give --watch=auto");
}

base::Status PreloadShim(const std::string& watch, const std::string& folder,
                         topology::Environment& environment) {
  for (const Shim& shim : kShims) {
    if (watch != shim.watch && watch != "auto") continue;
    const std::string path = folder + "/" + shim.file;
    if (const base::Status usable = CheckShim(shim.api, path); !usable.ok()) {
      if (watch == "auto") continue;
      return usable;
    }
    std::string& preload = environment["LD_PRELOAD"];
    if (!preload.empty()) preload += ":";
    preload += path;
  }
  return base::OkStatus();
}

std::string WhyNotWatched(const std::string& watch, const ProgramImage& program,
                          const std::string& name) {
  if (watch != "auto" || !program.is_privileged || MpiOf(program) == MpiLibrary::kNone) return "";
  return "a hang of " + name +
         " will not be seen: it is setuid or setgid, or has capabilities, so that nothing can be "
         "preloaded into it (--watch)";
}

base::Status CheckWatch(const std::string& watch, const ProgramImage& program,
                        const std::string& name, const std::string& folder) {
  if (watch != "auto" && watch != "off" && program.kind == ProgramImage::Kind::kStatic) {
    return base::InvalidArgumentError(
        "watch a library's calls (--watch=" + watch + "): " + name +
        " is linked statically, so nothing can be preloaded into it; link it with the shared "
        "library, or give --watch=auto");
  }
  if (watch != "auto" && watch != "off" && program.is_privileged) {
    return base::InvalidArgumentError(
        "watch a library's calls (--watch=" + watch + "): " + name +
        " is setuid or setgid, or has capabilities, so that the loader preloads nothing into it; "
        "take those away, or give --watch=auto");
  }
  topology::Environment none;
  return PreloadShim(watch, folder, none);
}

}  // namespace lockstep::launcher
