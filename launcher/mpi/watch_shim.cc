// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/watch_shim.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace lockstep::launcher {
namespace {

constexpr char kShim[] = "liblockstep_mpi.so";

base::Status CheckShim(const std::string& shim) {
  if (shim.find_first_of(" :") != std::string::npos) {
    return base::InvalidArgumentError("watch MPI calls (--watch): LD_PRELOAD cannot name " + shim +
                                      ", which has a blank or a colon in it; put lockstep into "
                                      "another folder, or give --watch=off");
  }
  if (::access(shim.c_str(), R_OK) != 0) {
    return base::NotFoundError("watch MPI calls (--watch): " + shim +
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
    case proto::WATCH_AUTO: return "auto";
    default: return "off";
  }
}

base::Status CheckFarWatch(const std::string& watch) {
  if (watch != "mpi") return base::OkStatus();
  return base::InvalidArgumentError(
      "watch MPI calls (--watch=mpi): that is for jobs whose ranks are all on the machine of "
      "`lockstep run`; give --watch=auto");
}

base::Status PreloadShim(const std::string& watch, const std::string& folder,
                         topology::Environment& environment) {
  if (watch.empty() || watch == "off") return base::OkStatus();
  const std::string shim = folder + "/" + kShim;
  if (const base::Status usable = CheckShim(shim); !usable.ok())
    return watch == "auto" ? base::OkStatus() : usable;
  std::string& preload = environment["LD_PRELOAD"];
  if (!preload.empty()) preload += ":";
  preload += shim;
  return base::OkStatus();
}

base::Status CheckWatch(const std::string& watch, const ProgramImage& program,
                        const std::string& name, const std::string& folder) {
  if (watch == "mpi" && program.kind == ProgramImage::Kind::kStatic) {
    return base::InvalidArgumentError(
        "watch MPI calls (--watch=mpi): " + name +
        " is linked statically, so nothing can be preloaded into it; link it with the MPI's shared "
        "library, or give --watch=auto");
  }
  topology::Environment none;
  return PreloadShim(watch, folder, none);
}

}  // namespace lockstep::launcher
