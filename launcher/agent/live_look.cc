// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/live_look.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <set>
#include <utility>

#include "collectives/diagnosis/group_heads.h"
#include "launcher/agent/live_status.h"

namespace lockstep::launcher {
namespace {

using collectives::Evidence;
using collectives::GroupHead;
using collectives::SeenRank;

/// Of all ranks together: some 30 ms to read and to put together.
constexpr size_t kRecordsHere = 32768;
constexpr size_t kRecordsFar = 8192;

size_t RecordsOfEach(size_t records, size_t ranks) {
  return std::clamp<size_t>(records / std::max<size_t>(ranks, 1), 16, 1024);
}

/// What its agent has seen of a rank elsewhere, or else what the gang knows.
SeenRank SeenFar(const WatchedRank& rank, const FarRanks& far, base::SteadyTime now) {
  const auto found = far.find(rank.rank);
  if (found == far.end() || found->second.incarnation != rank.incarnation) {
    return {.rank = rank.rank,
            .process = ProcessWithoutLook(rank, now).value_or(
                collectives::SeenProcess{.host = rank.host, .pid = rank.pid}),
            .ring_read = false};
  }
  return found->second.seen;
}

}  // namespace

void LiveLook::BeginRound() {
  ++round_;
  looks_.Clear();
  live_.Clear();
  taken_at_.reset();
}

void LiveLook::Take(Done done) {
  const base::SteadyTime now = loop_.Now();
  if (taken_at_.has_value() && now - *taken_at_ < kFresh) return done(live_);
  std::vector<WatchedRank> ranks = ranks_();
  if (ranks.empty()) return done({});
  waiting_.push_back(std::move(done));
  if (looks_far_) return;
  std::vector<WatchedRank> here;
  std::copy_if(ranks.begin(), ranks.end(), std::back_inserter(here),
               [](const WatchedRank& rank) { return rank.is_here; });
  std::vector<SeenRank> seen =
      looks_.GatherRings(here, RecordsOfEach(kRecordsHere, ranks.size()), now);
  if (far_ == nullptr) return Finish(std::move(ranks), std::move(seen), {});
  looks_far_ = true;
  const size_t records = RecordsOfEach(kRecordsFar, ranks.size());
  far_->Look(records,
             [this, alive = std::weak_ptr<bool>(alive_), round = round_, ranks = std::move(ranks),
              seen = std::move(seen)](const FarRanks& far) mutable {
               if (alive.expired()) return;
               looks_far_ = false;
               if (round == round_) return Finish(std::move(ranks), std::move(seen), far);
               Tell({});  // of another round
             });
}

void LiveLook::Finish(std::vector<WatchedRank> ranks, std::vector<SeenRank> here,
                      const FarRanks& far) {
  const base::SteadyTime now = loop_.Now();
  Evidence evidence{.ranks = std::move(here), .world_size = world_size_};
  for (const WatchedRank& rank : ranks) {
    if (!rank.is_here) evidence.ranks.push_back(SeenFar(rank, far, now));
  }
  std::sort(evidence.ranks.begin(), evidence.ranks.end(),
            [](const SeenRank& a, const SeenRank& b) { return a.rank < b.rank; });
  const std::vector<GroupHead> heads = collectives::GroupHeads(evidence);
  LookAtAwaited(ranks, heads, evidence);
  live_ = LiveStatusOf(evidence, heads);
  taken_at_ = now;
  Tell(live_);
}

void LiveLook::Tell(const proto::StatusReply& live) {
  for (const Done& done : std::exchange(waiting_, {})) done(live);
}

void LiveLook::LookAtAwaited(const std::vector<WatchedRank>& ranks,
                             const std::vector<GroupHead>& heads, Evidence& evidence) {
  std::set<base::Rank> awaited;
  for (const GroupHead& head : heads) {
    // The first ones of those that are told; a look at a process takes 50 us.
    if (awaited.size() >= kAwaitedTold) break;
    const size_t told = std::min<size_t>(head.awaited.size(), kAwaitedTold);
    awaited.insert(head.awaited.begin(), head.awaited.begin() + static_cast<ptrdiff_t>(told));
  }
  for (const WatchedRank& rank : ranks) {
    if (!rank.is_here || !awaited.contains(rank.rank)) continue;
    const auto seen = std::find_if(evidence.ranks.begin(), evidence.ranks.end(),
                                   [&](const SeenRank& one) { return one.rank == rank.rank; });
    if (seen != evidence.ranks.end()) seen->process = looks_.LookAtProcess(rank, loop_.Now());
  }
}

}  // namespace lockstep::launcher
