// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/remote_needs.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "launcher/agent/program_file.h"
#include "launcher/agent/rank_setup.h"
#include "runtime/base/clock.h"
#include "runtime/net/find_this_machine.h"

namespace lockstep::launcher {
namespace {

// To learn which of many hosts this machine is, where its name and addresses do not tell.
constexpr base::Duration kNameServiceTime = std::chrono::seconds(1);

std::string Absolute(const std::string& path, const std::string& folder) {
  return (std::filesystem::path(folder) / path).lexically_normal().string();
}

}  // namespace

void FindOwnNode(std::vector<PlannedNode>* nodes) {
  std::vector<std::string> hosts;
  for (const PlannedNode& node : *nodes) {
    hosts.push_back(node.host);
    if (node.is_here()) return;
  }
  const std::optional<size_t> here = net::FindThisMachine(hosts, kNameServiceTime);
  if (here) (*nodes)[*here].start = AgentStart::kByLauncher;
}

base::Result<RemoteNeeds> FindRemoteNeeds(proto::JobSpec* spec,
                                          const std::vector<std::string>& arguments,
                                          std::optional<int> program_word,
                                          const std::vector<PlannedNode>& nodes,
                                          const HostIdentity& here, const std::string& folder,
                                          const topology::Environment& environment) {
  proto::Program& program = *spec->mutable_program();
  const bool wanted = !program.working_directory().empty();
  if (wanted) program.set_working_directory(Absolute(program.working_directory(), folder));
  RemoteNeeds needs;
  proto::Bootstrap& wire = needs.bootstrap;
  wire.set_working_directory(wanted ? program.working_directory() : folder);
  wire.set_working_directory_is_wanted(wanted);
  wire.set_launcher_host(here.host);
  wire.set_launcher_boot_id(here.boot_id);
  if (!program_word) return needs;
  const ProgramFile file{arguments[static_cast<size_t>(*program_word)], *program_word > 0};
  const bool stages = spec->placement().ssh().stage();
  // A PATH of the job's own is for its ranks alone.
  const bool on_own_path =
      file.name.find('/') == std::string::npos && VariablesOf(program).contains("PATH");
  if (on_own_path && !stages) return needs;
  wire.set_program(file.name);
  wire.set_program_word(*program_word);
  const bool runs_here = std::any_of(nodes.begin(), nodes.end(),
                                     [](const PlannedNode& node) { return node.is_here(); });
  if (!runs_here && !stages) return needs;
  ASSIGN_OR_RETURN(needs.program_path, FindProgram(file, environment, wire.working_directory()));
  needs.program_hash = HashProgram(needs.program_path);
  return needs;
}

}  // namespace lockstep::launcher
