// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/flight_merge.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "collectives/diagnosis/words.h"

namespace lockstep::launcher {

using collectives::Finding;
using collectives::SeenRank;

Finding::Confidence AddFlightDumps(const std::map<base::Rank, collectives::FlightDump>& dumps,
                                   const collectives::FlightQuestion& question,
                                   collectives::Evidence& evidence) {
  const bool rings_tell = std::any_of(evidence.ranks.begin(), evidence.ranks.end(),
                                      [](const SeenRank& rank) { return !rank.ops.empty(); });
  if (rings_tell || dumps.empty()) return Finding::Confidence::kHigh;
  auto imported = collectives::FromFlightDumps(dumps, question);
  if (!imported.ok()) {
    evidence.notes.push_back(imported.status().message());
    return Finding::Confidence::kHigh;
  }
  std::map<base::Rank, SeenRank*> told;
  std::vector<base::Rank> names;
  for (SeenRank& rank : imported->evidence.ranks) {
    if (dumps.contains(rank.rank)) told[rank.rank] = &rank;
  }
  for (SeenRank& rank : evidence.ranks) {
    const auto found = told.find(rank.rank);
    rank.ring_read = found != told.end();
    if (!rank.ring_read) continue;
    rank.ring_overflowed = found->second->ring_overflowed;
    rank.groups = std::move(found->second->groups);
    rank.ops = std::move(found->second->ops);
    names.push_back(rank.rank);
  }
  evidence.notes.push_back("ops and call sites are those of torch's flight recorder, which " +
                           collectives::RankList(names) + (names.size() == 1 ? " was" : " were") +
                           " asked for");
  std::move(imported->notes.begin(), imported->notes.end(), std::back_inserter(evidence.notes));
  return imported->confidence_max;
}

}  // namespace lockstep::launcher
