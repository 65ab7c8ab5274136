// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/processes.h"

#include <string.h>

#include <utility>

namespace lockstep::process {

std::string Exit::ToString() const {
  if (signal == 0) return "exit code " + std::to_string(code);
  std::string text = "signal " + std::to_string(signal);
  if (const char* name = ::sigabbrev_np(signal)) text += std::string(" (SIG") + name + ")";
  if (out_of_memory) text += ", out of memory";
  if (core_dumped) text += ", core dumped";
  return text;
}

SpawnResult Processes::Spawn(SpawnSpec spec, ExitCallback on_exit) {
  std::vector<SpawnRequest> one;
  one.push_back({std::move(spec), std::move(on_exit)});
  return std::move(SpawnAll(std::move(one)).front());
}

}  // namespace lockstep::process
