// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/adopted_environment.h"

#include <chrono>
#include <string_view>

namespace lockstep::topology {
namespace {

bool IsEmpty(const Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() || found->second.empty();
}

/// Of the world's variables, those that came with the rank and are right.
bool Stays(const ForeignRank& rank, std::string_view name) {
  if (name == "MASTER_ADDR" || name == "MASTER_PORT" || name == "LOCKSTEP_MARK") return true;
  return rank.launcher == ForeignLauncher::kVariables && !name.starts_with("LOCKSTEP_");
}

}  // namespace

bool NeedsMasterPort(const ForeignRank& rank, const Environment& inherited) {
  return rank.is_on_one_node() && IsEmpty(inherited, "MASTER_PORT");
}

Environment MakeAdoptedEnvironment(const ForeignRank& rank, const AdoptionFacts& facts,
                                   const Environment& inherited) {
  Environment environment = inherited;
  std::erase_if(environment, [&rank](const auto& variable) {
    return IsWorldVariable(variable.first) && !Stays(rank, variable.first);
  });
  environment["RANK"] = rank.rank.ToString();
  environment["WORLD_SIZE"] = std::to_string(rank.world_size);
  environment["LOCAL_RANK"] = rank.local_rank.ToString();
  environment["LOCAL_WORLD_SIZE"] = std::to_string(rank.local_world_size);
  if (rank.node_index && rank.node_count) {
    environment["GROUP_RANK"] = rank.node_index->ToString();
    environment["GROUP_WORLD_SIZE"] = std::to_string(*rank.node_count);
  }
  if (rank.is_on_one_node() && IsEmpty(environment, "MASTER_ADDR")) {
    environment["MASTER_ADDR"] = "127.0.0.1";
  }
  if (facts.master_port != 0 && NeedsMasterPort(rank, environment)) {
    environment["MASTER_PORT"] = std::to_string(facts.master_port);
  }
  environment["LOCKSTEP_JOB_ID"] = facts.job_id;
  environment["LOCKSTEP_ROUND"] = "0";
  environment["LOCKSTEP_INCARNATION"] = "0";
  environment["LOCKSTEP_SOCKET"] = facts.socket_path;
  environment["LOCKSTEP_COOKIE"] = facts.cookie;
  environment["LOCKSTEP_STOP_GRACE_MS"] = std::to_string(
      std::chrono::duration_cast<std::chrono::milliseconds>(facts.stop_grace).count());
  if (!facts.checkpoint_directory.empty()) {
    environment["LOCKSTEP_JOB_CHECKPOINT_DIR"] = facts.checkpoint_directory;
  }
  if (!facts.backend.empty()) environment["LOCKSTEP_JOB_BACKEND"] = facts.backend;
  if (!facts.check.empty()) environment["LOCKSTEP_JOB_CHECK"] = facts.check;
  return environment;
}

}  // namespace lockstep::topology
