// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/watch_shim.h"

#include <unistd.h>

namespace lockstep::launcher {
namespace {

struct Shim {
  const char* watch;  // the flag's value that means it alone
  const char* library;
  const char* file;
};
constexpr Shim kShims[] = {{"mpi", "MPI", "liblockstep_mpi.so"},
                           {"nccl", "NCCL", "liblockstep_nccl.so"}};

base::Status CheckShim(const std::string& library, const std::string& path) {
  const std::string what = "watch " + library + " calls (--watch): ";
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

base::Status PreloadShim(const std::string& watch, const std::string& folder,
                         topology::Environment& environment) {
  for (const Shim& shim : kShims) {
    if (watch != shim.watch && watch != "auto") continue;
    const std::string path = folder + "/" + shim.file;
    if (const base::Status usable = CheckShim(shim.library, path); !usable.ok()) {
      if (watch == "auto") continue;
      return usable;
    }
    std::string& preload = environment["LD_PRELOAD"];
    if (!preload.empty()) preload += ":";
    preload += path;
  }
  return base::OkStatus();
}

}  // namespace lockstep::launcher
