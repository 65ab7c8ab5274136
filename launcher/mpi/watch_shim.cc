// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/watch_shim.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace lockstep::launcher {
namespace {

struct Shim {
  const char* watch;  // the flag's value that means it alone
  const char* api;    // whose calls it records
  const char* file;
};
constexpr Shim kShims[] = {{"mpi", "MPI", "liblockstep_mpi.so"}, {"nccl", "NCCL", kNcclShimFile}};
constexpr const Shim& kNccl = kShims[1];

base::Status CheckName(const std::string& api, const std::string& path, const std::string& cure) {
  if (path.find_first_of(" :") == std::string::npos) return base::OkStatus();
  return base::InvalidArgumentError("watch " + api + " calls (--watch): LD_PRELOAD cannot name " +
                                    path + ", which has a blank or a colon in it; " + cure +
                                    ", or give --watch=off");
}

base::Status CheckShim(const std::string& api, const std::string& path) {
  RETURN_IF_ERROR(CheckName(api, path, "put lockstep into another folder"));
  const std::string what = "watch " + api + " calls (--watch): ";
  if (::access(path.c_str(), R_OK) != 0) {
    return base::NotFoundError(what + path +
                               " is not there; put it beside lockstep, or give --watch=off");
  }
  return base::OkStatus();
}

void AddTo(topology::Environment& environment, const std::string& path) {
  std::string& preload = environment["LD_PRELOAD"];
  if (!preload.empty()) preload += ":";
  preload += path;
}

/// Whether anything can be preloaded into a program of which that was asked.
base::Status CheckProgram(const std::string& watch, const ProgramImage& program,
                          const std::string& name) {
  if (watch == "auto" || watch == "off") return base::OkStatus();
  const std::string what = "watch a library's calls (--watch=" + watch + "): " + name;
  if (program.kind == ProgramImage::Kind::kStatic) {
    return base::InvalidArgumentError(
        what +
        " is linked statically, so nothing can be preloaded into it; link it with the shared "
        "library, or give --watch=auto");
  }
  if (program.is_privileged) {
    return base::InvalidArgumentError(
        what +
        " is setuid or setgid, or has capabilities, so that the loader preloads nothing into it; "
        "take those away, or give --watch=auto");
  }
  return base::OkStatus();
}

bool NamesAsan(std::string_view libraries) {
  return libraries.find("libasan.so") != std::string_view::npos;
}

/// Clang's is in the program, and does not mind.
bool WantsFirstPlace(const ProgramImage& program, const topology::Environment& environment) {
  const auto preload = environment.find("LD_PRELOAD");
  if (preload != environment.end() && NamesAsan(preload->second)) return false;
  return std::any_of(program.needed.begin(), program.needed.end(), NamesAsan);
}

std::string Unseen(const std::string& name) { return "a hang of " + name + " will not be seen: "; }

bool CallsNccl(const ProgramImage& program) {
  return std::any_of(program.needed.begin(), program.needed.end(),
                     [](const std::string& name) { return name.starts_with("libnccl.so"); });
}

/// Python loads what it calls when it runs.
bool MayCallNccl(const ProgramImage& program, const std::string& name) {
  const std::string file = std::filesystem::path(name).filename();
  return CallsNccl(program) || file.starts_with("python") || file.ends_with(".py");
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

base::Status PreloadShim(const std::string& watch, const std::string& folder,
                         topology::Environment& environment) {
  for (const Shim& shim : kShims) {
    if (watch != shim.watch && watch != "auto") continue;
    const std::string path = folder + "/" + shim.file;
    if (const base::Status usable = CheckShim(shim.api, path); !usable.ok()) {
      if (watch == "auto") continue;
      return usable;
    }
    AddTo(environment, path);
  }
  return base::OkStatus();
}

std::string WatchFor(const std::string& watch, const ProgramImage& program,
                     const topology::Environment& environment) {
  return watch == "auto" && WantsFirstPlace(program, environment) ? "off" : watch;
}

std::string WhyNotWatched(const std::string& watch, const ProgramImage& program,
                          const std::string& name, const topology::Environment& environment,
                          bool all_ranks_here) {
  if (watch != "auto") return "";
  if (!program.built_in.empty()) {
    return Unseen(name) + "it is linked statically, its " + program.built_in +
           " too, so that nothing can be preloaded into it (--watch)";
  }
  const bool calls_mpi = MpiOf(program) != MpiLibrary::kNone;
  if (program.is_privileged && (calls_mpi || CallsNccl(program))) {
    return Unseen(name) +
           "it is setuid or setgid, or has capabilities, so that nothing can be preloaded into it "
           "(--watch)";
  }
  if (WantsFirstPlace(program, environment) && (calls_mpi || CallsNccl(program))) {
    return Unseen(name) +
           "AddressSanitizer's runtime must be its first library, so that nothing is preloaded; "
           "put that into LD_PRELOAD (-x LD_PRELOAD=libasan.so.8), which lets --watch add to it";
  }
  if (!all_ranks_here && calls_mpi) {
    return "a hang in an MPI call of " + name +
           " will not be seen: in jobs of several nodes those are recorded under `mpirun ... "
           "lockstep exec --watch=mpi` alone";
  }
  return "";
}

base::Status CheckWatch(const std::string& watch, const ProgramImage& program,
                        const std::string& name, const std::string& folder) {
  RETURN_IF_ERROR(CheckProgram(watch, program, name));
  topology::Environment none;
  return PreloadShim(watch, folder, none);
}

base::Result<FarWatch> ChooseFarWatch(const std::string& watch, const ProgramImage& program,
                                      const std::string& name, const std::string& folder,
                                      const std::string& spare_folder, bool carries_shim) {
  if (watch == "mpi") {
    return base::InvalidArgumentError(
        "watch a library's calls (--watch=mpi): that is for jobs whose ranks are all on the "
        "machine of `lockstep run`; give --watch=auto");
  }
  if (watch != "nccl" && watch != "auto") return FarWatch{};
  RETURN_IF_ERROR(CheckProgram(watch, program, name));
  FarWatch far{.watch = kNccl.watch, .folder = folder, .trouble = ""};
  base::Status usable = CheckShim(kNccl.api, folder + "/" + kNccl.file);
  if (!usable.ok() && carries_shim) {
    far.folder = NcclShimFolder(spare_folder);
    usable = CheckName(kNccl.api, far.folder + "/" + kNccl.file,
                       std::string("put ") + kNccl.file + " beside lockstep");
    if (usable.ok()) usable = WriteNcclShim(spare_folder);
  }
  if (usable.ok()) return far;
  if (watch == "nccl") return usable;
  far.watch = "off";
  if (carries_shim) {
    far.trouble = usable.message();
  } else if (MayCallNccl(program, name)) {
    far.trouble = std::string(usable.message()) + " (a build with a sanitizer carries none)";
  }
  return far;
}

void ShowFarShim(const std::string& watch, const std::string& folder,
                 const std::string& spare_folder, topology::Environment& environment) {
  if (watch != "nccl" && watch != "auto") return;
  if (CheckShim(kNccl.api, folder + "/" + kNccl.file).ok()) {
    AddTo(environment, folder + "/" + kNccl.file);
  } else if (CarriesNcclShim()) {
    AddTo(environment, NcclShimFolder(spare_folder) + "/" + kNccl.file);
  }
}

}  // namespace lockstep::launcher
