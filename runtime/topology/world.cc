// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/world.h"

#include "runtime/base/check.h"

namespace lockstep::topology {

int WorldSize(const WorldSpec& world) {
  int size = 0;
  for (const Node& node : world.nodes) size += node.slots;
  return size;
}

std::vector<RankPlace> PlaceRanks(const WorldSpec& world) {
  std::vector<RankPlace> places;
  base::NodeIndex node_index;
  for (const Node& node : world.nodes) {
    LOCKSTEP_CHECK(node.slots >= 1, "a node of a round holds at least one rank");
    for (int local = 0; local < node.slots; ++local) {
      places.push_back({.rank = base::Rank(static_cast<int32_t>(places.size())),
                        .local_rank = base::LocalRank(local),
                        .node = node_index,
                        .local_world_size = node.slots});
    }
    ++node_index;
  }
  return places;
}

}  // namespace lockstep::topology
