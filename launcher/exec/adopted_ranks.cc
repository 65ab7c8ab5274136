// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/adopted_ranks.h"

#include <algorithm>

#include "runtime/base/check.h"

namespace lockstep::launcher {
namespace {

constexpr char kSeveralJobs[] =
    "; of two jobs that one process starts, each needs a --job KEY of its own";

std::string WorldText(const proto::AdoptRequest& request) {
  return std::to_string(request.world_size()) + " ranks, " +
         std::to_string(request.local_world_size()) + " of them on this host";
}

std::string RankText(base::Rank rank, const AdoptedRanks::Rank& known) {
  return "rank " + rank.ToString() + " has come as process " + std::to_string(known.pid) +
         (known.ended ? ", which has ended while others of its job still run" : ", which runs");
}

}  // namespace

base::Status AdoptedRanks::CheckWorld(const proto::AdoptRequest& request) const {
  const bool in_range = 0 <= request.rank() && request.rank() < request.world_size() &&
                        0 <= request.local_rank() &&
                        request.local_rank() < request.local_world_size() &&
                        request.local_world_size() <= request.world_size();
  if (!in_range) {
    return base::InvalidArgumentError("there is no rank " + std::to_string(request.rank()) +
                                      ", local rank " + std::to_string(request.local_rank()) +
                                      ", among " + WorldText(request));
  }
  const bool same = request.world_size() == world_.world_size() &&
                    request.local_world_size() == world_.local_world_size() &&
                    request.node_index() == world_.node_index() &&
                    request.launcher() == world_.launcher();
  if (same) return base::OkStatus();
  return base::InvalidArgumentError(
      "rank " + std::to_string(request.rank()) + " was told " + WorldText(request) + " by " +
      request.launcher() + ", and rank " + std::to_string(world_.rank()) + " of the same job " +
      WorldText(world_) + " by " + world_.launcher() + kSeveralJobs);
}

base::Status AdoptedRanks::CheckPlaceIsFree(const proto::AdoptRequest& request) const {
  for (const auto& [rank, known] : ranks_) {
    if (rank == base::Rank(request.rank())) {
      return base::AlreadyExistsError(RankText(rank, known) +
                                      "; ranks are not started again one by one" + kSeveralJobs);
    }
    if (known.local_rank == base::LocalRank(request.local_rank())) {
      return base::AlreadyExistsError("local rank " + known.local_rank.ToString() + " of rank " +
                                      std::to_string(request.rank()) +
                                      " is taken: " + RankText(rank, known));
    }
  }
  return base::OkStatus();
}

base::Status AdoptedRanks::Check(const proto::AdoptRequest& request) const {
  RETURN_IF_ERROR(CheckWorld(request));
  return CheckPlaceIsFree(request);
}

void AdoptedRanks::Add(const proto::AdoptRequest& request) {
  LOCKSTEP_CHECK(Check(request).ok(), "a rank was checked before it is added");
  ranks_[base::Rank(request.rank())] = {.local_rank = base::LocalRank(request.local_rank()),
                                        .pid = request.pid()};
}

void AdoptedRanks::End(base::Rank rank, base::SteadyTime now) {
  ranks_.at(rank).ended = true;
  ranks_.at(rank).ended_at = now;
}

bool AdoptedRanks::NobodyLives() const {
  return std::all_of(ranks_.begin(), ranks_.end(),
                     [](const auto& entry) { return entry.second.ended; });
}

}  // namespace lockstep::launcher
