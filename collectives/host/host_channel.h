// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_HOST_CHANNEL_H_
#define LOCKSTEP_COLLECTIVES_HOST_HOST_CHANNEL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "collectives/group.h"
#include "collectives/host/group_error.h"
#include "collectives/host/host_layout.h"
#include "collectives/host/host_members.h"
#include "collectives/host/op.h"
#include "collectives/host/op_deadline.h"
#include "collectives/host/reduce_kernels.h"
#include "collectives/host/segment.h"
#include "collectives/host/staging_windows.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// What a running op looks at and tells while it waits. Outlives the call to Run().
struct OpWatch {
  /// When the op fails. May move closer while it runs: an op queued behind it is due sooner.
  const OpDeadline& deadline;
  /// Told when a wait becomes long enough to sleep, with the member waited for, and when that is
  /// another. May be empty.
  std::function<void(int member)> on_long_wait;
};

/// One member's end of a group's shared memory (host_layout.h): joins it, executes one op at a
/// time, and carries the first error to all members. Blocking; knows nothing of queues and threads.
///
/// An op is: look for poison, put the inputs (when small) and the call's fingerprint into my
/// arrival line, wait for everybody's, compare fingerprints, then move data. Larger inputs go
/// through staging windows in a pipeline: a member stages the slices of the others, reduces its own
/// slice in rank order (its own input is never staged), and gathers the other slices' results.
///
/// Waiting: spin for some microseconds where every member can have a core of its own, then yield,
/// then sleep on a futex with a bounded timeout. A wake-up is not made with a full fence (it would
/// cost more than small ops do), so one may be lost in theory; the timeout bounds that to
/// milliseconds, in waits that were already long.
///
/// Threads: Run() from one thread at a time; Poison(), Interrupt() from any.
class HostChannel {
 public:
  using Config = HostMembers::Config;

  /// Maps the group's segment and waits until every member is there.
  /// Errors: DeadlineExceeded - names the members that never came (and poisons the group);
  /// AlreadyExists - another process holds this member's place; FailedPrecondition - this member
  /// was in the group and has left it, or members are of another job, group, epoch or layout; those
  /// of SegmentSource::Open.
  static base::Result<std::unique_ptr<HostChannel>> Join(Config config, SegmentSource& segments,
                                                         const OpDeadline& deadline);
  /// Its end tells the others that this member is gone; those that need it fail at once.
  ~HostChannel() = default;
  HostChannel(const HostChannel&) = delete;
  HostChannel& operator=(const HostChannel&) = delete;

  /// Executes `op`, number `seq` (from 1, without gaps). Errors: FailedPrecondition (kUsage) - the
  /// members' calls differ, or another member refused its own; `op.refusal` - which the others then
  /// hear of; DeadlineExceeded - the missing members are blamed; Unavailable (kPeerDead) - a needed
  /// member has left; Aborted - poisoned before, or interrupted.
  base::Status Run(const Op& op, base::OpSeq seq, const OpWatch& watch);

  /// Poisons the group on all members, unless it is already.
  void Poison(const base::Status& reason);
  /// Ends the Run() in progress, and any to come, on this member only.
  void Interrupt();

 private:
  enum class Phase : uint8_t { kArrival, kData };
  using Members = HostMembers::Set;
  struct Running;  // the op being executed
  class Patience;

  HostChannel(Config config, std::shared_ptr<Segment> segment, HostLayout layout);

  base::Status AwaitJoins(const OpDeadline& deadline);

  void FillCard(const Running& run);
  void Arrive(const Running& run, uint64_t fingerprint);
  base::Status Refuse(const Running& run);
  bool AwaitArrivals(const Running& run);
  bool FingerprintsAgree(const Running& run);
  /// True when `member`, who has come to the op, refused its own call; that is the group's error
  /// then.
  bool AdoptRefusal(const Running& run, int member);

  bool Move(const Running& run);
  void FinishSmall(const Running& run);

  /// Waits until `reached(member)` for each of [begin, end) but myself. False: the group's poison
  /// says why, or this member was interrupted.
  template <class Reached>
  bool Await(const Running& run, Phase phase, int begin, int end, const Reached& reached);
  template <class Reached>
  bool AwaitLong(const Running& run, Phase phase, int begin, int end, const Reached& reached);
  template <class Reached>
  bool AwaitAll(const Running& run, Phase phase, const Reached& reached) {
    return Await(run, phase, 0, members_.count(), reached);
  }
  template <class Reached>
  void Sleep(base::Duration at_most, int member, const Reached& reached);

  /// False, for FingerprintsAgree.
  bool FailMismatch(const Running& run);
  void FailDeadline(const Running& run, Phase phase, const Members& missing);
  void FailLeft(const Running& run, Phase phase, const Members& left);
  void Fail(const base::Status& error, const Running& run, const Members& blamed);
  base::Status FailedBefore(const base::Status& root) const;
  base::Status LeavingError() const;

  const std::string& group_name() const { return members_.config().group_name; }
  std::string DescribeRunning(const Running& run) const;
  const std::byte* small_input(const Running& run, int member) const;

  HostMembers members_;
  GroupError error_;
  StagingWindows windows_;  // confined to whoever is in Run()
  base::RealClock clock_;   // waits here are for other processes, which no simulated clock moves
  int spin_limit_ = 0;
  bool ended_ = false;    // an op failed: none is begun any more, also before the poison shows
  bool refused_ = false;  // it was refused, and my SharedError says why
  std::atomic<bool> interrupted_{false};
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_HOST_CHANNEL_H_
