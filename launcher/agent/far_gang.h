// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_FAR_GANG_H_
#define LOCKSTEP_LAUNCHER_AGENT_FAR_GANG_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "launcher/cluster/questions.h"
#include "launcher/diagnosis/far_looks.h"
#include "launcher/diagnosis/pace_watch.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"
#include "runtime/proto/control.pb.h"
#include "runtime/topology/world.h"

namespace lockstep::launcher {

/// The ranks of a job's other nodes as their agents see them. One per job of several nodes, owned
/// by its JobCluster, which tells it who stands still and asks for it. What an agent says is
/// believed of its own ranks alone. Confined to the loop's thread.
class FarGang final : public FarLooks, public FarPaces {
 public:
  /// Asks the agent of a node; answers once, in bounded time.
  using Ask = std::function<void(base::NodeIndex, const proto::ControlRequest&, OnAnswer)>;

  FarGang(Ask ask, event::Loop& loop) : ask_(std::move(ask)), loop_(loop) {}
  FarGang(const FarGang&) = delete;
  FarGang& operator=(const FarGang&) = delete;

  /// The world once it is known, and which of the nodes is this one.
  void SetWorld(const topology::WorldSpec& world, base::NodeIndex self);
  void OnStanding(base::NodeIndex node, bool stands);
  void OnNodeLost(base::NodeIndex node);

  bool AnyStandsStill() const override { return !standing_.empty(); }
  void Look(size_t records_max, std::function<void(FarRanks)> done) override;
  void TakePaces(std::function<void(std::vector<collectives::PaceWindow>)> done) override;

 private:
  struct Looking {
    size_t awaited = 0;
    FarRanks seen;
    std::function<void(FarRanks)> done;
  };

  struct Taking {
    size_t awaited = 0;
    std::vector<collectives::PaceWindow> windows;
    std::function<void(std::vector<collectives::PaceWindow>)> done;
  };

  void Finish();
  void FinishTaking();
  bool IsOf(base::NodeIndex node, int64_t rank) const;
  /// Of one node: its own ranks of what it says. Nothing of what cannot be read.
  FarRanks Read(base::NodeIndex node, const proto::LookReply& reply) const;

  const Ask ask_;
  event::Loop& loop_;
  std::vector<topology::RankPlace> places_;  // by rank
  std::set<base::NodeIndex> others_;         // that are not lost
  std::set<base::NodeIndex> standing_;
  std::shared_ptr<Looking> looking_;  // null: nobody looks
  event::Registration deadline_;      // of that
  std::shared_ptr<Taking> taking_;    // null: nobody asks how fast they go
  event::Registration taking_deadline_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_FAR_GANG_H_
