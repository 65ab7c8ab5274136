// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_HOST_CHANNEL_H_
#define LOCKSTEP_COLLECTIVES_HOST_HOST_CHANNEL_H_

#include <atomic>
#include <bitset>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "collectives/group.h"
#include "collectives/host/host_layout.h"
#include "collectives/host/op.h"
#include "collectives/host/op_deadline.h"
#include "collectives/host/reduce_kernels.h"
#include "collectives/host/segment.h"
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
  struct Config {
    std::string job;
    std::string host;  // for errors
    std::string group_name;
    base::GroupId group;
    base::Round epoch;
    base::Incarnation incarnation;
    int member = 0;
    std::vector<base::Rank> world_ranks;  // by member
  };

  /// Maps the group's segment and waits until every member is there.
  /// Errors: DeadlineExceeded - names the members that never came (and poisons the group);
  /// AlreadyExists - another process holds this member's place; FailedPrecondition - this member
  /// was in the group and has left it, or members are of another job, group, epoch or layout; those
  /// of SegmentSource::Open.
  static base::Result<std::unique_ptr<HostChannel>> Join(Config config, SegmentSource& segments,
                                                         const OpDeadline& deadline);
  /// Tells the others that this member is gone; those that need it fail at once.
  ~HostChannel();

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
  using Members = std::bitset<kMaxHostMembers>;
  struct Running;  // the op being executed
  class Patience;

  HostChannel(Config config, std::shared_ptr<Segment> segment, HostLayout layout);

  base::Status Enter();
  base::Status PlaceTaken(MemberState state) const;
  base::Status AwaitJoins(const OpDeadline& deadline);
  base::Status CheckCards() const;
  void ChooseSpinning();

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
  bool ReduceWindows(const Running& run);
  bool GatherWindows(const Running& run);
  bool BroadcastWindows(const Running& run);

  /// Waits until `reached(member)` for each of [begin, end) but myself. False: the group's poison
  /// says why, or this member was interrupted.
  template <class Reached>
  bool Await(const Running& run, Phase phase, int begin, int end, const Reached& reached);
  template <class Reached>
  bool AwaitLong(const Running& run, Phase phase, int begin, int end, const Reached& reached);
  template <class Reached>
  bool AwaitAll(const Running& run, Phase phase, const Reached& reached) {
    return Await(run, phase, 0, member_count_, reached);
  }
  template <class Reached>
  void Sleep(base::Duration at_most, int member, const Reached& reached);
  bool AwaitCounter(const Running& run, std::atomic<uint64_t> ProgressLine::* counter,
                    uint64_t target);
  void Publish(std::atomic<uint64_t> ProgressLine::* counter, uint64_t value);
  void WakeSleepers();

  /// False, for FingerprintsAgree.
  bool FailMismatch(const Running& run);
  void FailDeadline(const Running& run, Phase phase, const Members& missing);
  void FailLeft(const Running& run, Phase phase, const Members& left);
  /// Makes my SharedError the group's, unless another was first. It says `error`, unless it says
  /// one already.
  void PublishError(const base::Status& error, const Running* run, const Members& blamed);
  void WriteError(const base::Status& error, const Running* run, const Members& blamed);
  void NameError(int member);
  base::Status ErrorOf(int member) const;
  base::Status PoisonStatus() const;
  base::Status DamagedError(const std::string& finding) const;
  base::Status FailedBefore(const base::Status& root) const;
  base::Status LeavingError() const;
  bool poisoned() const { return control_->poison.load(std::memory_order_acquire) != 0; }

  std::string DescribeMembers(const Members& members) const;
  std::string DescribeRunning(const Running& run) const;
  base::Subject SubjectOf(int member, std::string call_site) const;
  MemberPage& page(int member) const {
    return *reinterpret_cast<MemberPage*>(segment_->data() + layout_.page_offset(member));
  }
  MemberPage& mine() const { return page(config_.member); }
  std::byte* small(int member, uint64_t seq) const {
    return segment_->data() + layout_.small_offset(member, seq);
  }
  std::byte* stage(int member, uint64_t window) const {
    return segment_->data() + layout_.stage_offset(member, window);
  }
  std::byte* result(int member, uint64_t window) const {
    return segment_->data() + layout_.result_offset(member, window);
  }
  const std::byte* small_input(const Running& run, int member) const;

  const Config config_;
  const std::shared_ptr<Segment> segment_;  // shared with members that are threads of this process
  const HostLayout layout_;
  const int member_count_;
  Control* const control_;
  base::RealClock clock_;  // waits here are for other processes, which no simulated clock moves
  int spin_limit_ = 0;
  bool entered_ = false;
  uint64_t next_window_ = kFirstWindow;  // this and the next: confined to whoever is in Run()
  bool ended_ = false;    // an op failed: none is begun any more, also before the poison shows
  bool refused_ = false;  // it was refused, and my SharedError says why
  std::atomic<bool> interrupted_{false};
  std::mutex error_mutex_;
  bool error_written_ = false;  // guarded by error_mutex_
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_HOST_CHANNEL_H_
