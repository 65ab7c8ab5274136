// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_HOST_GROUP_H_
#define LOCKSTEP_COLLECTIVES_HOST_HOST_GROUP_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "collectives/group.h"
#include "collectives/host/host_channel.h"
#include "collectives/host/op_queue.h"
#include "collectives/host/segment.h"
#include "collectives/recorder/recorder.h"
#include "runtime/attach/fork_guard.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// The Group of ranks on one machine, over shared memory. Any number may exist; a process may hold
/// several members of one group (tests run ranks as threads). It checks the caller's arguments,
/// queues ops (OpQueue), executes them (HostChannel) and records them (Recorder).
///
/// Dtypes: AllReduce of f32, f64 and the integers with sum, prod, min, max, avg, and on integers
/// band, bor, bxor; the other ops move bytes and take every dtype. At most kMaxHostMembers members.
/// Memory: about 1.2 MiB a member for 8 members, touched as used. In a forked child every op is
/// FailedPrecondition and destruction touches nothing shared.
///
///   LocalSegments segments;                       // or the agent's
///   ASSIGN_OR_RETURN(auto group, HostGroup::Create({.name = "world",
///                                                   .rank = GroupRank(0),
///                                                   .world_ranks = {...}},
///                                                  segments));
///   RETURN_IF_ERROR(group->AllReduce(in, out, Reduction::kSum)->Wait());
class HostGroup final : public Group {
 public:
  struct Config {
    std::string job;
    std::string host;
    std::string name = "world";
    uint32_t instance = 1;  // each member counts its attempts at this name and these members
    base::Round epoch;
    base::Incarnation incarnation;
    base::GroupRank rank;                                // mine
    std::vector<base::Rank> world_ranks;                 // by group rank; equal on all members
    base::Duration timeout = std::chrono::seconds(300);  // of ops that name none
    base::Duration join_timeout = std::chrono::seconds(120);
    Recorder* recorder = nullptr;  // outlives the group; null records nothing
  };

  /// Collective: every member calls it. Blocks until all have come. A group of one needs no segment
  /// and no other. Errors: InvalidArgument - rank outside of the members, or too many members;
  /// those of HostChannel::Join.
  static base::Result<std::unique_ptr<HostGroup>> Create(Config config, SegmentSource& segments);
  ~HostGroup() override;

  const GroupInfo& info() const override { return info_; }
  bool CanReduce(Dtype dtype, Reduction reduction) const override;
  std::shared_ptr<Work> AllReduce(ConstBuffer in, Buffer out, Reduction reduction,
                                  OpOptions options = {}) override;
  std::shared_ptr<Work> Broadcast(Buffer buffer, base::GroupRank root,
                                  OpOptions options = {}) override;
  std::shared_ptr<Work> AllGather(ConstBuffer in, Buffer out, OpOptions options = {}) override;
  std::shared_ptr<Work> Barrier(OpOptions options = {}) override;
  base::Duration timeout() const override {
    return base::Duration(timeout_ns_.load(std::memory_order_relaxed));
  }
  void SetTimeout(base::Duration timeout) override {
    timeout_ns_.store(timeout.count(), std::memory_order_relaxed);
  }
  void Abort(base::Status reason) override;

 private:
  HostGroup(Config config, std::unique_ptr<HostChannel> channel);

  Op MakeOp(OpKind kind, const OpOptions& options) const;
  /// Queues `op`, as a refused one when it is not `valid`.
  std::shared_ptr<Work> Submit(Op op, base::Status valid);
  base::Status Execute(QueuedWork& work, const OpDeadline& deadline);
  base::Status ExecuteAlone(const Op& op);
  void CopyAlone(const Op& op) const;
  bool owner() const { return lockstep_fork_guard_is_owner(&guard_); }

  const Config config_;
  const GroupInfo info_;
  lockstep_fork_guard guard_;
  std::atomic<int64_t> timeout_ns_;
  std::mutex alone_mutex_;
  base::Status
      alone_error_;  // guarded by alone_mutex_; a group of one has no channel that keeps it
  std::unique_ptr<HostChannel> channel_;  // null in a group of one
  std::shared_ptr<OpQueue> queue_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_HOST_GROUP_H_
