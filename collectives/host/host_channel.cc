// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/host_channel.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "collectives/recorder/recorder.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

// About 3 us of pauses: longer than a cache line takes to arrive, shorter than giving up the core
// costs.
constexpr int kSpins = 128;
// Beyond this a waiter sleeps: a healthy peer that late is computing, and the core is better used
// by someone else.
constexpr base::Duration kYieldTime = std::chrono::microseconds(200);
constexpr base::Duration kFirstSleep = std::chrono::milliseconds(1);
constexpr base::Duration kLongestSleep = std::chrono::milliseconds(10);

void PauseCpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

struct HostChannel::Running {
  const Op& op;
  const uint64_t seq;
  const OpWatch& watch;
  const bool small;
  const ReduceKernel kernel;  // null for kinds that only copy

  GroupError::Call call() const { return {op, seq}; }
};

// How a wait goes on when spinning did not help.
class HostChannel::Patience {
 public:
  explicit Patience(const base::Clock& clock) : clock_(clock), started_(clock.Now()) {}

  /// Gives up the core and returns true; or false once a sleep is the better thing.
  bool Yield() {
    if (clock_.Now() - started_ >= kYieldTime) return false;
    sched_yield();
    return true;
  }
  base::Duration NextSleep() { return std::exchange(sleep_, std::min(sleep_ * 2, kLongestSleep)); }

 private:
  const base::Clock& clock_;
  const base::SteadyTime started_;
  base::Duration sleep_ = kFirstSleep;
};

// ----------------------------------------------------------------------------------------- joining

HostChannel::HostChannel(Config config, std::shared_ptr<Segment> segment, HostLayout layout)
    : members_(std::move(config), std::move(segment), layout),
      error_(members_),
      windows_(members_) {}

base::Result<std::unique_ptr<HostChannel>> HostChannel::Join(Config config, SegmentSource& segments,
                                                             const OpDeadline& deadline) {
  const int member_count = static_cast<int>(config.world_ranks.size());
  LOCKSTEP_CHECK(member_count >= 2 && member_count <= kMaxHostMembers,
                 "checked by HostGroup::Create");
  LOCKSTEP_CHECK(config.member >= 0 && config.member < member_count,
                 "checked by HostGroup::Create");
  const HostLayout layout(member_count);
  ASSIGN_OR_RETURN(std::shared_ptr<Segment> segment, segments.Open({.group = config.group,
                                                                    .epoch = config.epoch,
                                                                    .member_count = member_count,
                                                                    .member_index = config.member,
                                                                    .bytes = layout.total_bytes()},
                                                                   deadline.Left()));
  LOCKSTEP_CHECK(segment->bytes() >= layout.total_bytes(),
                 "a segment source gave less than was asked for");
  std::unique_ptr<HostChannel> channel(
      new HostChannel(std::move(config), std::move(segment), layout));
  RETURN_IF_ERROR(channel->members_.Enter());
  RETURN_IF_ERROR(channel->AwaitJoins(deadline));
  RETURN_IF_ERROR(channel->members_.CheckCards());
  // Spinning pays only while every member can run at once.
  channel->spin_limit_ = channel->members_.CpuCount() >= member_count ? kSpins : 0;
  return channel;
}

base::Status HostChannel::AwaitJoins(const OpDeadline& deadline) {
  const Op op{.kind = OpKind::kInit};
  const OpWatch watch{.deadline = deadline};
  const Running run{op, 0, watch, true, nullptr};
  const auto joined = [this](int member) {
    const MemberState state = members_.page(member).card.state.load(std::memory_order_acquire);
    return state == MemberState::kJoined ||
           state == MemberState::kLeft;  // who came and left again did come
  };
  const bool all_came = AwaitAll(run, Phase::kArrival, joined);
  // The last one may come when the others have given up. (An op's error is for the op to tell.)
  return all_came && !error_.IsOfJoining() ? base::OkStatus() : error_.Get();
}

// ----------------------------------------------------------------------------------------- waiting

template <class Reached>
bool HostChannel::Await(const Running& run, Phase phase, int begin, int end,
                        const Reached& reached) {
  for (int member = begin; member < end; ++member) {
    if (member == members_.self()) continue;
    for (int spins_left = spin_limit_; !reached(member); --spins_left) {
      if (spins_left == 0) return AwaitLong(run, phase, begin, end, reached);
      PauseCpu();
    }
  }
  return true;
}

// All who are missing are looked at, at each look: the one that will never come may not be the
// first.
template <class Reached>
bool HostChannel::AwaitLong(const Running& run, Phase phase, int begin, int end,
                            const Reached& reached) {
  Patience patience(clock_);
  for (int told = -1; true;) {
    // Before the flags: one that has come since counts, for all who see it.
    const bool ended = error_.poisoned() || interrupted_.load(std::memory_order_relaxed);
    const base::Duration time_left = run.watch.deadline.Left();
    Members missing, left;
    int first_missing = -1;
    for (int member = end - 1; member >= begin; --member) {
      if (member == members_.self()) continue;
      const bool has_left = members_.HasLeft(member);
      if (reached(member)) {
        if (phase == Phase::kArrival && AdoptRefusal(run, member)) return false;
        continue;
      }
      missing.set(static_cast<size_t>(member));
      left.set(static_cast<size_t>(member), has_left);
      first_missing = member;
    }
    if (missing.none()) return true;
    if (ended) return false;
    if (left.any()) {
      FailLeft(run, phase, left);
      return false;
    }
    if (time_left.count() <= 0) {
      FailDeadline(run, phase, missing);
      return false;
    }
    if (patience.Yield()) continue;
    if (std::exchange(told, first_missing) != first_missing && run.watch.on_long_wait)
      run.watch.on_long_wait(told);
    Sleep(std::min(patience.NextSleep(), time_left), first_missing, reached);
  }
}

template <class Reached>
void HostChannel::Sleep(base::Duration at_most, int member, const Reached& reached) {
  Control& control = members_.control();
  control.sleepers.fetch_add(1);
  const uint32_t bell = control.bell.load();
  if (!reached(member) && !error_.poisoned()) {
    const timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(at_most.count())};
    syscall(SYS_futex, &control.bell, FUTEX_WAIT, bell, &timeout, nullptr, 0);
  }
  control.sleepers.fetch_sub(1);
}

void HostChannel::Interrupt() {
  interrupted_.store(true, std::memory_order_relaxed);
  members_.WakeSleepers();
}

// ------------------------------------------------------------------------------------------- an op

base::Status HostChannel::Run(const Op& op, base::OpSeq seq, const OpWatch& watch) {
  if (error_.poisoned()) {
    base::Status root = error_.Get();
    // The op that the error is about fails with the error itself, also on a member that comes to it
    // late.
    if (root.op().has_value() && root.op()->seq == seq) return root;
    return FailedBefore(root);
  }
  if (refused_) return FailedBefore(error_.Of(members_.self()));
  // Its arrival line may still be read by members of the last op that this one took part in.
  if (ended_ || interrupted_.load(std::memory_order_relaxed)) return LeavingError();
  const ReduceKernel kernel =
      op.reduction == Reduction::kNone ? nullptr : FindReduceKernel(op.dtype, op.reduction);
  const Running run{op, seq.value(), watch, op.bytes() <= kSmallBytes, kernel};
  FillCard(run);
  if (!op.refusal.ok()) return Refuse(run);
  Arrive(run, FingerprintOf(op, members_.config().group, members_.config().epoch, seq));
  if (AwaitArrivals(run) && FingerprintsAgree(run) && Move(run)) return base::OkStatus();
  ended_ = true;
  return error_.poisoned() ? error_.Get() : LeavingError();
}

base::Status HostChannel::FailedBefore(const base::Status& root) const {
  return base::AbortedError("group " + group_name() +
                            " failed before this call and cannot be used any more")
      .WithClass(root.failure_class())
      .WithCause(root);
}

base::Status HostChannel::LeavingError() const {
  return base::AbortedError("this member is leaving or aborting group " + group_name());
}

const std::byte* HostChannel::small_input(const Running& run, int member) const {
  if (member == members_.self()) return run.op.in;
  if (run.op.bytes() <= kInlineBytes) return members_.page(member).arrival[run.seq & 1].payload;
  return members_.small(member, run.seq);
}

void HostChannel::FillCard(const Running& run) {
  const Op& op = run.op;
  OpCard& card = members_.mine().ops[run.seq & 1];
  card.count = op.count;
  card.root = op.root;
  card.kind = static_cast<uint8_t>(op.kind);
  card.dtype = static_cast<uint8_t>(op.dtype);
  card.reduction = static_cast<uint8_t>(op.reduction);
  FormatCallSite(op.call_file, op.call_line, card.call_site, kCallSiteBytes);
}

void HostChannel::Arrive(const Running& run, uint64_t fingerprint) {
  const Op& op = run.op;
  ArrivalLine& line = members_.mine().arrival[run.seq & 1];
  const bool has_input = op.refusal.ok() && op.bytes() > 0 &&
                         (op.kind != OpKind::kBroadcast || op.root == members_.self());
  if (run.small && has_input) {
    std::memcpy(
        op.bytes() <= kInlineBytes ? line.payload : members_.small(members_.self(), run.seq), op.in,
        op.bytes());
  }
  line.fingerprint = fingerprint;
  line.seq.store(run.seq, std::memory_order_release);
  members_.WakeSleepers();
}

// The others hear of it when they come to this op, and not before: those before it may still end
// well. What they will read is written before they are led to it.
base::Status HostChannel::Refuse(const Running& run) {
  const Members self = Members().set(static_cast<size_t>(members_.self()));
  const GroupError::Call call = run.call();
  error_.Write(
      base::FailedPreconditionError(DescribeRunning(run) + ", was refused on " +
                                    members_.Describe(self) + ": " + run.op.refusal.message())
          .WithClass(base::FailureClass::kUsage),
      &call, self);
  ended_ = refused_ = true;
  Arrive(run, kRefusedFingerprint);
  return run.op.refusal;
}

bool HostChannel::AdoptRefusal(const Running& run, int member) {
  const ArrivalLine& line = members_.page(member).arrival[run.seq & 1];
  if (run.seq == 0 || line.fingerprint != kRefusedFingerprint) return false;
  error_.Name(member);
  return true;
}

bool HostChannel::AwaitArrivals(const Running& run) {
  return AwaitAll(run, Phase::kArrival, [&](int member) {
    return members_.page(member).arrival[run.seq & 1].seq.load(std::memory_order_acquire) ==
           run.seq;
  });
}

bool HostChannel::FingerprintsAgree(const Running& run) {
  const uint64_t own = members_.mine().arrival[run.seq & 1].fingerprint;
  for (int member = 0; member < members_.count(); ++member) {
    if (members_.page(member).arrival[run.seq & 1].fingerprint != own) return FailMismatch(run);
  }
  return true;
}

bool HostChannel::Move(const Running& run) {
  if (run.op.bytes() == 0) return true;
  if (run.small) {
    FinishSmall(run);
    return true;
  }
  const StagingWindows::AwaitPeers await = [&](StagingWindows::Counter counter, uint64_t target,
                                               int begin, int end) {
    // A look: an op of many windows takes long also where no wait does.
    (void)run.watch.deadline.Left();
    return Await(run, Phase::kData, begin, end, [&](int member) {
      return (members_.page(member).progress.*counter).load(std::memory_order_acquire) >= target;
    });
  };
  switch (run.op.kind) {
    case OpKind::kAllReduce: return windows_.Reduce(run.op, run.kernel, await);
    case OpKind::kAllGather: return windows_.Gather(run.op, await);
    case OpKind::kBroadcast: return windows_.Broadcast(run.op, await);
    default: LOCKSTEP_CHECK(false, "HostGroup makes no other op with data");
  }
}

void HostChannel::FinishSmall(const Running& run) {
  const Op& op = run.op;
  const size_t bytes = op.bytes();
  if (op.kind == OpKind::kAllReduce) {
    std::array<const std::byte*, kMaxHostMembers> inputs;
    for (int member = 0; member < members_.count(); ++member) {
      inputs[static_cast<size_t>(member)] = small_input(run, member);
    }
    run.kernel(op.out, inputs.data(), members_.count(), op.count);
  } else if (op.kind == OpKind::kBroadcast) {
    if (op.root != members_.self()) std::memcpy(op.out, small_input(run, op.root), bytes);
  } else {
    for (int member = 0; member < members_.count(); ++member) {
      std::byte* const to = op.out + static_cast<size_t>(member) * bytes;
      const std::byte* const from = small_input(run, member);
      if (to != from) std::memcpy(to, from, bytes);
    }
  }
}

// ----------------------------------------------------------------------------------------- failing

std::string HostChannel::DescribeRunning(const Running& run) const {
  return DescribeOp(run.op.kind, run.op.dtype, run.op.reduction, run.op.root, run.op.count) +
         ", op " + std::to_string(run.seq) + " of group " + group_name();
}

void HostChannel::Fail(const base::Status& error, const Running& run, const Members& blamed) {
  const GroupError::Call call = run.call();
  error_.Publish(error, &call, blamed);
}

bool HostChannel::FailMismatch(const Running& run) {
  for (int member = 0; member < members_.count(); ++member) {
    if (AdoptRefusal(run, member)) return false;
  }
  std::map<uint64_t, Members> by_fingerprint;
  for (int member = 0; member < members_.count(); ++member) {
    by_fingerprint[members_.page(member).arrival[run.seq & 1].fingerprint].set(
        static_cast<size_t>(member));
  }
  const auto first_of = [](const Members& members) {
    return static_cast<int>(members._Find_first());
  };
  std::vector<Members> sides;
  for (const auto& [fingerprint, members] : by_fingerprint) sides.push_back(members);
  std::sort(sides.begin(), sides.end(), [&](const Members& a, const Members& b) {
    return a.count() != b.count() ? a.count() > b.count() : first_of(a) < first_of(b);
  });
  const bool tie = sides.size() > 1 && sides[0].count() == sides[1].count();

  std::string message =
      "the members of group " + group_name() + " disagree on op " + std::to_string(run.seq) + ": ";
  Members blamed;
  for (size_t i = 0; i < sides.size(); ++i) {
    const OpCard& card = members_.page(first_of(sides[i])).ops[run.seq & 1];
    message += (i == 0 ? "" : "; ") + members_.Describe(sides[i]) + " called " +
               DescribeOp(static_cast<OpKind>(card.kind), static_cast<Dtype>(card.dtype),
                          static_cast<Reduction>(card.reduction), card.root, card.count) +
               " at " + ReadSharedText(card.call_site, kCallSiteBytes);
    if (i > 0 || tie) blamed |= sides[i];
  }
  if (tie) message += "; no side is a majority, so either may be wrong";
  Fail(base::FailedPreconditionError(std::move(message)).WithClass(base::FailureClass::kUsage), run,
       blamed);
  return false;
}

void HostChannel::FailDeadline(const Running& run, Phase phase, const Members& missing) {
  const OpDeadline::Due due = run.watch.deadline.due();
  const std::string timeout = base::FormatDuration(due.timeout);
  std::string message;
  if (run.op.kind == OpKind::kInit) {
    message = "joining group " + group_name() + ": " + members_.Describe(missing) +
              " never came within " + timeout;
  } else {
    message = DescribeRunning(run) +
              (due.seq.value() == run.seq
                   ? ", ran out of its " + timeout
                   : ", holds up op " + due.seq.ToString() + ", which ran out of its " + timeout) +
              ": " + members_.Describe(missing) +
              (phase == Phase::kArrival ? " never called it" : " stopped in the middle of it");
  }
  Fail(base::DeadlineExceededError(std::move(message)).WithClass(base::FailureClass::kPeerStalled),
       run, missing);
}

void HostChannel::FailLeft(const Running& run, Phase phase, const Members& left) {
  Fail(base::UnavailableError(
           DescribeRunning(run) + ": " + members_.Describe(left) + " left the group " +
           (phase == Phase::kArrival ? "without calling it" : "in the middle of it"))
           .WithClass(base::FailureClass::kPeerDead),
       run, left);
}

void HostChannel::Poison(const base::Status& reason) {
  const Members self = Members().set(static_cast<size_t>(members_.self()));
  error_.Publish(base::AbortedError("group " + group_name() + " was aborted by " +
                                    members_.Describe(self) + ": " + reason.ToString())
                     .WithClass(reason.failure_class()),
                 nullptr, {});
}

}  // namespace lockstep::collectives
