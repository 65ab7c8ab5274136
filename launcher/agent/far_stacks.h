// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_FAR_STACKS_H_
#define LOCKSTEP_LAUNCHER_AGENT_FAR_STACKS_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "launcher/cluster/questions.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"
#include "runtime/proto/control.pb.h"
#include "runtime/proto/stacks.pb.h"
#include "runtime/topology/world.h"

namespace lockstep::launcher {

/// Where ranks of a job's other nodes stand, as their agents say (NodeStacks). One per job of
/// several nodes, owned by its JobCluster, which asks for it. What an agent says is believed of its
/// own ranks alone. Confined to the loop's thread.
class FarStacks {
 public:
  /// More than an agent takes for an answer (StackTaking), and the way there and back.
  static constexpr base::Duration kLimit = std::chrono::milliseconds(2000);

  /// Asks the agent of a node; answers once, in bounded time.
  using Ask = std::function<void(base::NodeIndex, const proto::ControlRequest&, OnAnswer)>;
  /// By rank; without those that nothing could be told of.
  using Done = std::function<void(std::vector<proto::RankStacks>)>;

  FarStacks(Ask ask, event::Loop& loop) : ask_(std::move(ask)), loop_(loop) {}
  FarStacks(const FarStacks&) = delete;
  FarStacks& operator=(const FarStacks&) = delete;

  /// The world once it is known.
  void SetWorld(const topology::WorldSpec& world) { places_ = topology::PlaceRanks(world); }

  /// Of at most NodeStacks::kRanksMax ranks. `done` is called once, never inside this call, after
  /// kLimit at the latest, with what is there by then; not when this is called again before.
  void Take(const std::vector<base::Rank>& ranks, Done done);

 private:
  struct Taking {
    size_t awaited = 0;
    std::vector<proto::RankStacks> taken;
    Done done;
  };

  void Finish();

  const Ask ask_;
  event::Loop& loop_;
  std::vector<topology::RankPlace> places_;  // by rank
  std::shared_ptr<Taking> taking_;           // null: nobody asks
  event::Registration deadline_;             // of that
  event::Registration finish_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_FAR_STACKS_H_
