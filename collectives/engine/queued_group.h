// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_QUEUED_GROUP_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_QUEUED_GROUP_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/op_queue.h"
#include "collectives/engine/rounds.h"
#include "collectives/engine/transfer_queue.h"
#include "collectives/group.h"
#include "collectives/recorder/recorder.h"
#include "runtime/attach/fork_guard.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// The Group over a Backend that blocks: it queues ops (OpQueue, TransferQueue), has the backend
/// execute them, and records them (Recorder). Any number may exist; a process may hold several
/// members of one group (tests run ranks as threads). In a forked child every op is
/// FailedPrecondition and destruction touches nothing shared.
///
///   auto maker = std::make_shared<ShmBackendMaker>(...);
///   ASSIGN_OR_RETURN(auto group, QueuedGroup::Create({.spec = {.name = "world",
///                                                              .rank = GroupRank(0),
///                                                              .world_ranks = {...}}},
///                                                    maker));
///   RETURN_IF_ERROR(group->AllReduce(in, out, Reduction::kSum)->Wait());
class QueuedGroup final : public Group {
 public:
  struct Config {
    GroupSpec spec;
    base::Duration timeout = std::chrono::seconds(300);  // of ops that name none
    base::Duration join_timeout = std::chrono::seconds(120);
    std::shared_ptr<Recorder> recorder;  // null records nothing
    /// Of the groups that come of this one; null: its own.
    std::shared_ptr<DerivedSpecs> derived;
    /// Of a job that keeps its survivors, else null: the group is made in the round in force, and
    /// fails with Unavailable when a member is gone.
    std::shared_ptr<Rounds> rounds;
    /// How often in a row all members of a group that had failed made it again, none of them being
    /// gone, and it failed before an op had ended well.
    int repairs = 0;
  };

  /// Collective: every member calls it. Blocks until all have come. A group of one needs no maker
  /// and no other. Errors: InvalidArgument - rank outside of the members; Unavailable (class
  /// kPeerDead)
  /// - a member is gone, says Config::rounds; those of BackendMaker::Make.
  static base::Result<std::unique_ptr<QueuedGroup>> Create(Config config,
                                                           std::shared_ptr<BackendMaker> maker);
  ~QueuedGroup() override;

  const GroupInfo& info() const override { return info_; }
  const Capabilities& capabilities() const override { return backend_->capabilities(); }
  base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes,
                                                          OpOptions options = {}) override;
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const override {
    return backend_->Explain(kind, dtype, count);
  }
  base::Duration timeout() const override {
    return base::Duration(timeout_ns_.load(std::memory_order_relaxed));
  }
  void SetTimeout(base::Duration timeout) override {
    timeout_ns_.store(timeout.count(), std::memory_order_relaxed);
  }
  void Abort(base::Status reason) override;

 protected:
  std::shared_ptr<Work> Submit(Op&& op, base::Status valid) override;
  std::shared_ptr<Work> SubmitTransfers(std::vector<Op> transfers, Op batch,
                                        base::Status valid) override;
  base::Result<std::shared_ptr<Group>> Derive(Derivation derivation,
                                              const OpDeadline& deadline) override;
  base::Result<std::shared_ptr<Group>> DeriveSurvivors(Derivation derivation,
                                                       const OpDeadline& deadline) override;
  void DeclareLongPhase(base::Duration at_most) override;

 private:
  QueuedGroup(Config config, Recorder::Seat seat, std::unique_ptr<Backend> backend,
              std::shared_ptr<BackendMaker> maker);

  /// Create() by a deadline that is of more than this.
  static base::Result<std::unique_ptr<QueuedGroup>> Create(Config config,
                                                           std::shared_ptr<BackendMaker> maker,
                                                           const OpDeadline& deadline);
  void FollowRounds();
  base::Result<std::shared_ptr<Group>> Make(Derivation derivation, const OpDeadline& deadline,
                                            int repairs = 0);
  void Remember(const base::Status& failure);

  // queued_group_survivors.cc: in a job that keeps its survivors.
  base::Result<std::shared_ptr<Group>> DeriveWithout(Derivation derivation,
                                                     const OpDeadline& deadline);
  base::Result<std::shared_ptr<Group>> DeriveSurvivors(Derivation derivation, base::SteadyTime due);
  base::Status AwaitNews(base::Duration timeout) const;
  /// How often in a row a group of all these members would then have been made. Errors:
  /// FailedPrecondition - too often.
  base::Result<int> RepairsWith(const std::vector<base::Rank>& left) const;
  base::Status GiveUp(const std::vector<base::Rank>& ranks, const std::string& why,
                      base::Duration timeout) const;
  /// Other members that the group's failure blames for being dead or stuck, or for a broken link.
  std::vector<base::Rank> Suspects() const;
  base::Status failure() const;
  base::Status Execute(QueuedWork& work, const OpDeadline& deadline);
  Recorder::Ticket Record(const Op& op, base::OpSeq seq, base::SteadyTime enqueued);
  base::Status Expired(const Moving& moving);
  base::Status ForkedError() const;
  bool owner() const { return lockstep_fork_guard_is_owner(&guard_); }

  const Config config_;
  const Recorder::Seat seat_;  // of this member; empty without a recorder
  const GroupInfo info_;
  lockstep_fork_guard guard_;
  std::atomic<int64_t> timeout_ns_;
  std::shared_ptr<BackendMaker> maker_;  // null in a group of one; shared with derived groups
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<OpQueue> queue_;
  std::shared_ptr<TransferQueue> transfers_;
  std::unique_ptr<Rounds::Subscription> following_;  // null without rounds
  std::atomic<bool> has_served_{false};              // an op has ended well
  mutable std::mutex failure_mutex_;
  base::Status failure_;  // guarded by failure_mutex_; of the first op that failed, its root
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_QUEUED_GROUP_H_
