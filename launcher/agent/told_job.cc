// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/told_job.h"

#include "launcher/agent/job_record.h"
#include "launcher/agent/rank_setup.h"

namespace lockstep::launcher {

proto::JobSpec SpecOf(const proto::Welcome& welcome, const OwnLine* own_line,
                      const std::string& folder) {
  proto::JobSpec spec = welcome.job().spec();
  if (own_line != nullptr) {
    *spec.mutable_program() = own_line->spec.program();
    *spec.mutable_logs() = own_line->spec.logs();
    *spec.mutable_checkpoint() = own_line->spec.checkpoint();
  }
  if (!folder.empty()) {
    spec.mutable_program()->set_working_directory(folder);
  } else if (spec.program().working_directory().empty()) {
    spec.mutable_program()->set_working_directory(welcome.working_directory());
  }
  return spec;
}

std::vector<std::string> ArgumentsOf(const proto::Welcome& welcome,
                                     const proto::Bootstrap& bootstrap) {
  std::vector<std::string> arguments(welcome.arguments().begin(), welcome.arguments().end());
  const auto word = static_cast<size_t>(bootstrap.program_word());
  if (!bootstrap.staged_program().empty() && word < arguments.size()) {
    arguments[word] = bootstrap.staged_program();
  }
  return arguments;
}

proto::JobState StateOf(const proto::Welcome& welcome, const OwnLine* own_line,
                        const std::string& folder) {
  proto::JobState state;
  if (own_line != nullptr) state = own_line->state;
  state.set_job_id(welcome.job_id());
  state.set_name(welcome.job_name());
  state.set_rank_count(welcome.job().spec().gang().total_processes());
  const std::string& origin = own_line != nullptr ? own_line->folder : welcome.working_directory();
  state.set_log_directory(
      LogFolderOf(SpecOf(welcome, own_line, folder).logs(), origin, welcome.job_id()));
  state.set_node_count(welcome.job().spec().gang().nodes());
  if (own_line == nullptr) {
    state.set_command(CommandText({welcome.arguments().begin(), welcome.arguments().end()}));
  }
  return state;
}

topology::WorldSpec WorldOf(const proto::World& message) {
  topology::WorldSpec world;
  for (const proto::WorldNode& node : message.nodes()) {
    world.nodes.push_back({.host = node.host(), .slots = node.slots()});
  }
  world.role = message.role();
  world.master_address = message.master_address();
  world.master_port = message.master_port();
  return world;
}

std::vector<proto::JobNodeFacts> NodesOf(const proto::World& message) {
  std::vector<proto::JobNodeFacts> nodes;
  for (const proto::WorldNode& node : message.nodes()) {
    proto::JobNodeFacts& facts = nodes.emplace_back();
    facts.set_host(node.host());
    facts.set_slots(node.slots());
    const bool as_before = node.log_folder().empty() && nodes.size() > 1;
    facts.set_log_folder(as_before ? nodes[nodes.size() - 2].log_folder() : node.log_folder());
  }
  return nodes;
}

}  // namespace lockstep::launcher
