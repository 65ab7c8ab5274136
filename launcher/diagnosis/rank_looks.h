// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_RANK_LOOKS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_RANK_LOOKS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "launcher/diagnosis/loss_meter.h"
#include "launcher/diagnosis/mapped_ring.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/process/tcp_counters.h"

namespace lockstep::launcher {

/// One rank of the round that runs.
struct WatchedRank {
  base::Rank rank;
  base::Incarnation incarnation;
  std::string host;     // "" = the agent's own
  int64_t pid = 0;      // 0 = it has no process yet
  int ring_fd = -1;     // -1: it has not attached
  bool is_here = true;  // else another machine's agent has its process and its ring
  /// False: it may call a library whose calls others' rings have, and have none for that reason.
  bool is_recorded = true;
  bool ended = false;  // and how, below
  int exit_code = 0;
  int signal = 0;
  bool out_of_memory = false;
  bool exit_is_known = true;  // those three
  base::SteadyTime ended_at{};
};

/// What an agent sees of the ranks on its machine: their recorder rings, which it maps when they
/// come, and their processes. One for each agent, owned by whoever watches. Confined to the loop's
/// thread.
class RankLooks {
 public:
  RankLooks() = default;
  RankLooks(const RankLooks&) = delete;
  RankLooks& operator=(const RankLooks&) = delete;

  /// Before the first round, and each one: forgets what was seen of an earlier one. Some 0.1 ms.
  void Clear();
  /// Nothing was seen since.
  bool empty() const { return seen_.empty(); }
  using CountSegments = std::function<process::TcpCounters()>;  // of the job's network
  /// Of a job on several machines: the connections of ranks that wait are gathered as well, and
  /// what the network loses.
  void SeeSockets(CountSegments count = process::ReadTcpCounters) {
    count_segments_ = std::move(count);
  }

  struct Heads {
    bool changed = false;     // somebody has made calls since the last look
    bool suspicious = false;  // somebody waits, and has made no progress for least_wait
  };
  /// At the rings' heads: half a microsecond for each, and 40 us for the kernel's counters.
  Heads LookAtHeads(const std::vector<WatchedRank>& ranks, base::Duration least_wait,
                    base::SteadyTime now);
  /// At everything; of each rank the last `records_max` ops.
  std::vector<collectives::SeenRank> Gather(const std::vector<WatchedRank>& ranks,
                                            size_t records_max, base::SteadyTime now);
  /// The same without a look at processes that live.
  std::vector<collectives::SeenRank> GatherRings(const std::vector<WatchedRank>& ranks,
                                                 size_t records_max, base::SteadyTime now);
  /// At the process of one of them.
  collectives::SeenProcess LookAtProcess(const WatchedRank& rank, base::SteadyTime now) {
    return LookAt(rank, Find(rank, now), now);
  }
  /// As they are at any time; for as long as they are watched.
  std::map<base::Rank, std::span<const std::byte>> rings() const;
  struct Ring {
    base::Rank rank;
    base::Incarnation incarnation;
    std::span<const std::byte> memory;
    uint64_t record_count = 0;  // at the last look at the heads
  };
  std::vector<Ring> RingsAtHeads() const;

 private:
  struct Seen {
    base::Incarnation incarnation;
    std::unique_ptr<MappedRing> ring;
    uint64_t record_count = 0;  // as last seen, since when
    base::SteadyTime since{};
    std::optional<uint64_t> cpu_ticks;  // at the last look at its process, and when
    base::SteadyTime looked_at{};
  };
  /// What was seen of it, with its ring if there is one by now.
  Seen& Find(const WatchedRank& rank, base::SteadyTime now);
  static collectives::SeenProcess LookAt(const WatchedRank& rank, Seen& seen, base::SteadyTime now);
  void AddMemoryKills(const std::vector<WatchedRank>& ranks,
                      std::vector<collectives::SeenRank>& all) const;
  void AddLosses(const process::TcpCounters& counters,
                 std::vector<collectives::SeenRank>& all) const;
  void AddSockets(const std::map<size_t, pid_t>& waiters, std::vector<collectives::SeenRank>& all);

  std::map<base::Rank, Seen> seen_;
  CountSegments count_segments_;  // null: sockets are not looked at
  uint64_t kills_before_ = 0;     // for want of memory, when the round began
  LossMeter losses_;
  // Of the last look at sockets; nullopt: not all were looked at.
  std::optional<uint64_t> resent_in_vain_;
};

/// Of one that has ended, or has never begun; nullopt: its process has to be looked at.
std::optional<collectives::SeenProcess> ProcessWithoutLook(const WatchedRank& rank,
                                                           base::SteadyTime now);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_RANK_LOOKS_H_
