// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_LIVE_LOOK_H_
#define LOCKSTEP_LAUNCHER_AGENT_LIVE_LOOK_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/group_heads.h"
#include "launcher/diagnosis/far_looks.h"
#include "launcher/diagnosis/rank_looks.h"
#include "runtime/base/clock.h"
#include "runtime/event/loop.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// What the ranks of a job do now, out of their recorder rings, for those who ask: `lockstep
/// status`, `top` and the metrics. While nobody asks it does nothing; however many do, there is one
/// look in kFresh. Where somebody is awaited, the awaited ones' processes are looked at, too. One
/// per agent that answers verbs, owned by it. Confined to the loop's thread.
class LiveLook {
 public:
  static constexpr base::Duration kFresh = std::chrono::milliseconds(400);

  /// All ranks of the job, by rank; empty: none runs. Of `done` a LiveStatusOf.
  using Ranks = std::function<std::vector<WatchedRank>()>;
  using Done = std::function<void(const proto::StatusReply& live)>;

  LiveLook(event::Loop& loop, Ranks ranks, int world_size = 0)
      : loop_(loop), ranks_(std::move(ranks)), world_size_(world_size) {}
  LiveLook(const LiveLook&) = delete;
  LiveLook& operator=(const LiveLook&) = delete;

  /// Of a job on several machines; nobody else asks it. Outlives this.
  void SetFar(FarLooks& far) { far_ = &far; }
  /// Forgets what was seen of an earlier round.
  void BeginRound();

  /// Calls `done` once: now, or when other machines' agents have answered, within half a second.
  void Take(Done done);

 private:
  void Finish(std::vector<WatchedRank> ranks, std::vector<collectives::SeenRank> here,
              const FarRanks& far);
  void Tell(const proto::StatusReply& live);
  void LookAtAwaited(const std::vector<WatchedRank>& ranks,
                     const std::vector<collectives::GroupHead>& heads,
                     collectives::Evidence& evidence);

  event::Loop& loop_;
  const Ranks ranks_;
  const int world_size_;  // as collectives::Evidence has it
  FarLooks* far_ = nullptr;
  RankLooks looks_;
  proto::StatusReply live_;
  std::optional<base::SteadyTime> taken_at_;  // that
  uint64_t round_ = 0;                        // counted by BeginRound()
  bool looks_far_ = false;                    // asked, and not answered yet
  std::vector<Done> waiting_;                 // for that
  /// Who answers it may outlive this.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_LIVE_LOOK_H_
