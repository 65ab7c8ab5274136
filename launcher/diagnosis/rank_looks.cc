// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/rank_looks.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "collectives/diagnosis/broken_network.h"
#include "collectives/diagnosis/ring_evidence.h"
#include "collectives/recorder/ring_reader.h"
#include "launcher/diagnosis/stacks/socket_looks.h"
#include "runtime/process/oom_counter.h"
#include "runtime/process/process_look.h"
#include "runtime/process/tcp_counters.h"

namespace lockstep::launcher {
namespace {

using collectives::ProcessState;
using collectives::SeenProcess;
using collectives::SeenRank;
using process::ProcessLook;

/// Connections are looked at only then: that costs some microseconds for each of the machine.
constexpr base::Duration kSocketsAfter = std::chrono::seconds(1);
/// In which a wait is looked for, also where none is asked for.
constexpr size_t kRecordsForWaits = 256;
constexpr uint64_t kMemoryKillsMax = 1'000'000;  // a counter that went back says nothing
/// They go into a message of each node at each look, of some 70 bytes each. Where all is well here
/// they are fewer, in which a peer that is in trouble may find its other end.
constexpr size_t kSocketsOfAll = 1024;
constexpr size_t kSocketsOfAllInPeace = 128;
constexpr size_t kSocketsOfEach = 4;
constexpr size_t kSocketsOfEachInPeace = 16;
/// Whoever asks waits for half a second; this much takes some 30 ms.
constexpr size_t kTableBytesMax = size_t{2} << 20;

bool HasWaited(const SeenRank& rank) {
  return std::any_of(rank.ops.begin(), rank.ops.end(), [](const collectives::SeenOp& op) {
    return op.is_waited_in() && op.age >= kSocketsAfter;
  });
}

uint64_t Nanoseconds(base::SteadyTime time) {
  return static_cast<uint64_t>(time.time_since_epoch().count());
}

ProcessState StateOf(ProcessLook::Doing doing) {
  switch (doing) {
    case ProcessLook::Doing::kRuns: return ProcessState::kRuns;
    case ProcessLook::Doing::kSleeps: return ProcessState::kSleeps;
    case ProcessLook::Doing::kReadsOrWrites: return ProcessState::kBlockedInIo;
    case ProcessLook::Doing::kStopped: return ProcessState::kStopped;
    case ProcessLook::Doing::kTraced: return ProcessState::kTraced;
    case ProcessLook::Doing::kFrozen: return ProcessState::kFrozen;
    case ProcessLook::Doing::kEnded: return ProcessState::kEnded;
  }
  return ProcessState::kUnknown;
}

}  // namespace

void RankLooks::Clear() {
  seen_.clear();
  kills_before_ = process::OomCounter().Read();
  losses_.Clear();
}

std::map<base::Rank, std::span<const std::byte>> RankLooks::rings() const {
  std::map<base::Rank, std::span<const std::byte>> rings;
  for (const auto& [rank, seen] : seen_) {
    if (seen.ring != nullptr) rings.emplace(rank, seen.ring->memory());
  }
  return rings;
}

std::vector<RankLooks::Ring> RankLooks::RingsAtHeads() const {
  std::vector<Ring> rings;
  for (const auto& [rank, seen] : seen_) {
    if (seen.ring != nullptr)
      rings.push_back({rank, seen.incarnation, seen.ring->memory(), seen.record_count});
  }
  return rings;
}

RankLooks::Seen& RankLooks::Find(const WatchedRank& rank, base::SteadyTime now) {
  Seen& seen = seen_[rank.rank];
  if (seen.incarnation != rank.incarnation)
    seen = {.incarnation = rank.incarnation, .ring = nullptr};
  if (seen.ring == nullptr && rank.ring_fd >= 0) {
    auto ring = MappedRing::Create(rank.ring_fd);
    if (ring.ok()) seen.ring = *std::move(ring);
    seen.since = now;
  }
  return seen;
}

RankLooks::Heads RankLooks::LookAtHeads(const std::vector<WatchedRank>& ranks,
                                        base::Duration least_wait, base::SteadyTime now) {
  Heads heads;
  if (count_segments_ && losses_.IsDue(now)) losses_.Look(now, count_segments_());
  for (const WatchedRank& rank : ranks) {
    Seen& seen = Find(rank, now);
    if (seen.ring == nullptr) continue;
    const auto head = collectives::ReadRingPulse(seen.ring->memory());
    if (!head.ok()) continue;
    if (seen.record_count != head->record_count) {
      seen.record_count = head->record_count;
      seen.since = now;
      heads.changed = true;
    }
    heads.suspicious |= head->waits && now - seen.since >= least_wait;
  }
  return heads;
}

std::vector<SeenRank> RankLooks::Gather(const std::vector<WatchedRank>& ranks, size_t records_max,
                                        base::SteadyTime now) {
  // Before the sockets: what is sent again between is then not taken for lost.
  const process::TcpCounters counters =
      count_segments_ ? count_segments_() : process::TcpCounters();
  std::vector<SeenRank> all = GatherRings(ranks, records_max, now);
  for (size_t i = 0; i < ranks.size(); ++i) all[i].process = LookAtProcess(ranks[i], now);
  AddMemoryKills(ranks, all);
  AddLosses(counters, all);
  return all;
}

std::vector<SeenRank> RankLooks::GatherRings(const std::vector<WatchedRank>& ranks,
                                             size_t records_max, base::SteadyTime now) {
  std::vector<SeenRank> all;
  std::map<size_t, pid_t> waiters;  // by place in `all`
  for (const WatchedRank& rank : ranks) {
    Seen& seen = Find(rank, now);
    // Who has no ring has made no call, if that would be in one.
    SeenRank gathered{.rank = rank.rank, .ring_read = rank.ring_fd < 0 && rank.is_recorded};
    if (seen.ring != nullptr) {
      const auto ring =
          collectives::ReadRingEnd(seen.ring->memory(), std::max(records_max, kRecordsForWaits));
      if (ring.ok()) gathered = collectives::FromRing(*ring, Nanoseconds(now));
      if (ring.ok() && ring->head.record_count > records_max) gathered.ring_overflowed = true;
    }
    gathered.rank = rank.rank;
    if (count_segments_ && HasWaited(gathered)) {
      // What attached may be the program that a shell started.
      const int64_t attached = gathered.process.pid;
      waiters.emplace(all.size(), static_cast<pid_t>(attached > 0 ? attached : rank.pid));
    }
    if (gathered.ops.size() > records_max) {
      gathered.ops.erase(gathered.ops.begin(),
                         gathered.ops.end() - static_cast<ptrdiff_t>(records_max));
    }
    gathered.process =
        ProcessWithoutLook(rank, now).value_or(SeenProcess{.host = rank.host, .pid = rank.pid});
    all.push_back(std::move(gathered));
  }
  resent_in_vain_.reset();
  if (!waiters.empty()) AddSockets(waiters, all);
  return all;
}

void RankLooks::AddMemoryKills(const std::vector<WatchedRank>& ranks,
                               std::vector<SeenRank>& all) const {
  const uint64_t kills = process::OomCounter().Read() - kills_before_;
  const auto of_ranks = static_cast<uint64_t>(std::count_if(
      ranks.begin(), ranks.end(), [](const WatchedRank& rank) { return rank.out_of_memory; }));
  if (kills <= of_ranks || kills > kMemoryKillsMax) return;
  for (SeenRank& rank : all) rank.process.memory_kills = static_cast<uint32_t>(kills - of_ranks);
}

/// Where nobody waits nobody asks.
void RankLooks::AddLosses(const process::TcpCounters& counters, std::vector<SeenRank>& all) const {
  if (!resent_in_vain_.has_value()) return;
  const auto losses = losses_.Worst(counters, *resent_in_vain_, collectives::kLeastPacketsLost);
  for (SeenRank& rank : all) {
    rank.process.segments_sent = losses.sent;
    rank.process.segments_lost = losses.lost;
  }
}

void RankLooks::AddSockets(const std::map<size_t, pid_t>& waiters, std::vector<SeenRank>& all) {
  std::vector<pid_t> pids;
  for (const auto& [_, pid] : waiters) pids.push_back(pid);
  const auto sockets = LookAtSocketsOf(
      pids,
      {.of_each = std::max(kSocketsOfAll / pids.size(), kSocketsOfEach),
       .of_each_in_peace = std::max(kSocketsOfAllInPeace / pids.size(), kSocketsOfEachInPeace),
       .table_bytes = kTableBytesMax});
  if (!sockets.is_cut) resent_in_vain_ = sockets.resent_in_vain;
  for (const auto& [place, pid] : waiters) {
    all[place].sockets_cut = sockets.is_cut;
    for (const proto::TcpSocket& seen : sockets.of.at(pid)) {
      all[place].sockets.push_back({.local = seen.local(),
                                    .remote = seen.remote(),
                                    .unacked_bytes = seen.unacked_bytes(),
                                    .unread_bytes = seen.unread_bytes(),
                                    .retransmits = seen.retransmits(),
                                    .rto_ms = seen.rto_ms()});
    }
  }
}

std::optional<SeenProcess> ProcessWithoutLook(const WatchedRank& rank, base::SteadyTime now) {
  SeenProcess seen{.host = rank.host, .pid = rank.pid};
  if (rank.ended) {
    seen.state = ProcessState::kEnded;
    seen.exit_code = rank.exit_code;
    seen.signal = rank.signal;
    seen.out_of_memory = rank.out_of_memory;
    seen.exit_is_known = rank.exit_is_known;
    seen.ended_ago = now - rank.ended_at;
    return seen;
  }
  if (rank.pid == 0) {
    seen.state = ProcessState::kNeverStarted;
    return seen;
  }
  return std::nullopt;
}

SeenProcess RankLooks::LookAt(const WatchedRank& rank, Seen& before, base::SteadyTime now) {
  if (const auto known = ProcessWithoutLook(rank, now)) return *known;
  SeenProcess seen{.host = rank.host, .pid = rank.pid};
  const auto look = process::LookAtProcess(static_cast<pid_t>(rank.pid));
  // It has ended, and how is about to be told.
  if (!look.has_value() || look->doing == ProcessLook::Doing::kEnded) return seen;
  seen.state = StateOf(look->doing);
  seen.detail = look->ToString();
  if (before.cpu_ticks.has_value() && now > before.looked_at) {
    const double seconds = std::chrono::duration<double>(now - before.looked_at).count();
    seen.cpu_share = static_cast<double>(look->cpu_ticks - *before.cpu_ticks) /
                     static_cast<double>(::sysconf(_SC_CLK_TCK)) / seconds;
  }
  before.cpu_ticks = look->cpu_ticks;
  before.looked_at = now;
  return seen;
}

}  // namespace lockstep::launcher
