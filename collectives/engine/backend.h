// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_BACKEND_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "collectives/capabilities.h"
#include "collectives/engine/op.h"
#include "collectives/engine/op_deadline.h"
#include "collectives/group.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// What a running op looks at and tells while it waits. Outlives the call to Backend::Run.
struct OpWatch {
  /// When the op fails. May move closer while it runs: an op queued behind it is due sooner.
  const OpDeadline& deadline;
  /// Told when a wait becomes long enough to sleep, with the member waited for, and when that is
  /// another. May be empty.
  std::function<void(int member)> on_long_wait;
  /// For a backend that is a part of another one, which judges how the others are: asked at each
  /// look of a long wait for `member`. True: the op ends here, on this member alone. The backend
  /// then judges neither the deadline nor who has left. May be empty.
  std::function<bool(int member)> gives_up;
};

/// A send or receive on its way. Belongs to TransferQueue; the backend moves it.
struct Moving {
  Op op;                // kSend or kRecv
  base::OpSeq seq;      // of its pair and direction, from 1, without gaps
  bool begun = false;   // its head has passed
  size_t moved = 0;     // bytes of the payload that are through
  base::Status result;  // once it is over
};

/// What a group is made of, as its members know it before they meet.
struct GroupSpec {
  std::string job;
  std::string host;  // this member's, for errors
  std::string name = "world";
  uint32_t instance = 1;     // each member counts its attempts at this name and these members
  base::GroupId split_from;  // 0 for groups that come of no split; part of what names it
  base::Round epoch;
  base::Incarnation incarnation;
  base::GroupRank rank;                 // mine
  std::vector<base::Rank> world_ranks;  // by group rank; equal on all members

  /// What names the group on all of its members.
  base::GroupId Id() const;
};

/// What a group of `spec` says of itself.
GroupInfo InfoOf(const GroupSpec& spec, std::string backend);

/// The specs of the groups that come of one group, and of those. Thread-safe.
class DerivedSpecs {
 public:
  /// The next attempt, by `kind` of op, at the group of that name and those ranks, of which the
  /// parent's member is one. A split's name has its number in the parent, so that parent and name
  /// are enough. Others may come of different parents on different members: of those a process
  /// counts its attempts, so that the n-th tries of all members meet.
  GroupSpec Next(const GroupSpec& parent, OpKind kind, std::string name,
                 std::vector<base::Rank> world_ranks);

 private:
  std::mutex mutex_;
  std::map<std::pair<std::string, std::vector<base::Rank>>, uint32_t> attempts_;  // guarded by it
};

/// One member's end of a group: executes calls, carries the first error to all members. A
/// QueuedGroup owns it and does the rest: arguments, order, deadlines, records, waiting.
///
/// Threads: Run() from one thread at a time; Advance() and AwaitTransfers() from one thread at a
/// time, which may be another; the rest from any.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual const Capabilities& capabilities() const = 0;

  /// Executes the collective `op`, number `seq` (from 1, without gaps). Blocks: until it has ended,
  /// at most `watch.deadline`. Errors: those that group.h names; `op.refusal`, which the others
  /// then hear of.
  virtual base::Status Run(const Op& op, base::OpSeq seq, const OpWatch& watch) = 0;

  /// Moves what can be moved of `moving` without waiting. True: it is over, as its `result` says.
  virtual bool Advance(Moving& moving) = 0;
  /// Sleeps until a transfer may be able to go on, at most `at_most`; may return early.
  virtual void AwaitTransfers(base::Duration at_most) = 0;

  /// Makes `error` the group's on all members, unless another was first. `blamed`: members.
  /// Returns what this member's call then ends with.
  virtual base::Status Fail(const base::Status& error, const std::vector<int>& blamed) = 0;
  /// Fail() for a teardown that somebody asked for.
  virtual void Poison(const base::Status& reason) = 0;
  /// Ends the Run() in progress, and any to come, on this member only.
  virtual void Interrupt() = 0;

  /// The members may have to wait for this one until `at_most` from now; 0 takes it back.
  virtual void DeclareLongPhase(base::Duration at_most) = 0;
  /// The collective half of Group::AllocBuffer that comes after a barrier. All call it together.
  virtual base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes,
                                                                  const OpDeadline& deadline) = 0;
  virtual std::string Explain(OpKind kind, Dtype dtype, size_t count) const = 0;
};

/// Makes ends of groups. One for all groups of a backend in a process. Thread-safe.
class BackendMaker {
 public:
  virtual ~BackendMaker() = default;

  /// Collective. Blocks: until every member has come, at most `deadline`. Not called for groups of
  /// one. Errors: DeadlineExceeded - names the members that never came; AlreadyExists - another
  /// process holds this member's place; FailedPrecondition - members are of another job, epoch or
  /// release.
  virtual base::Result<std::unique_ptr<Backend>> Make(const GroupSpec& spec,
                                                      const OpDeadline& deadline) = 0;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_BACKEND_H_
