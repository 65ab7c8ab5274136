// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/rank_program.h"

#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "runtime/process/process_look.h"

namespace lockstep::launcher {
namespace {

constexpr int kDepthMax = 8;

std::vector<pid_t> ChildrenOf(pid_t pid) {
  const std::string number = std::to_string(pid);
  std::ifstream file("/proc/" + number + "/task/" + number + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

}  // namespace

pid_t ProgramOf(pid_t rank) {
  pid_t program = rank;
  for (int depth = 0; depth < kDepthMax; ++depth) {
    const std::optional<process::ProcessLook> look = process::LookAtProcess(program);
    if (!look.has_value() || (look->system_call != "wait4" && look->system_call != "waitid")) break;
    const std::vector<pid_t> children = ChildrenOf(program);
    if (children.size() != 1) break;
    program = children.front();
  }
  return program;
}

}  // namespace lockstep::launcher
