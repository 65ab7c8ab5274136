// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TOPOLOGY_WORLD_H_
#define LOCKSTEP_RUNTIME_TOPOLOGY_WORLD_H_

#include <string>
#include <vector>

#include "runtime/base/ids.h"

/// Who stands where in a round. Plain values and pure functions, for any thread.
namespace lockstep::topology {

struct Node {
  std::string host;
  int slots = 1;  // ranks on it, at least 1; nodes may differ
};

/// One round's membership: its nodes, in rank order. Rank 0 and the master address share the first
/// node.
struct WorldSpec {
  std::vector<Node> nodes;  // at least one
  std::string master_address;
  int master_port = 0;
  std::string role = "default";
};

struct RankPlace {
  base::Rank rank;
  base::LocalRank local_rank;
  base::NodeIndex node;
  int local_world_size = 0;

  friend bool operator==(const RankPlace&, const RankPlace&) = default;
};

int WorldSize(const WorldSpec& world);

/// The place of every rank, indexed by rank: dense, node after node.
std::vector<RankPlace> PlaceRanks(const WorldSpec& world);

}  // namespace lockstep::topology

#endif  // LOCKSTEP_RUNTIME_TOPOLOGY_WORLD_H_
