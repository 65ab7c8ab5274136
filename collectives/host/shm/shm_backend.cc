// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/shm_backend.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "collectives/engine/host_capabilities.h"
#include "collectives/engine/small_op.h"
#include "collectives/recorder/recorder.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

/// Bytes; equal on all members.
size_t LargestInput(const Op& op, int size) {
  if (op.kind == OpKind::kAllToAllV) return SIZE_MAX;  // differs: not for the small route
  if (op.kind == OpKind::kAllGatherV) {
    return *std::max_element(op.counts.begin(), op.counts.end()) * DtypeBytes(op.dtype);
  }
  const int source = op.kind == OpKind::kBroadcast || op.kind == OpKind::kScatter ? op.peer : 0;
  return InCount(op, source, size) * DtypeBytes(op.dtype);
}

// About 3 us of pauses: longer than a cache line takes to arrive, shorter than giving up the core
// costs.
constexpr int kSpins = 128;
constexpr uint64_t kUnreadableFactor = 1000;
// Beyond this a waiter sleeps: a healthy peer that late is computing, and the core is better used
// by someone else.
constexpr base::Duration kYieldTime = std::chrono::microseconds(200);
// Where strangers want the members' processors, and where what is burnt now is missing afterwards:
// about what falling asleep and waking up costs.
constexpr base::Duration kPressedYieldTime = std::chrono::microseconds(100);
constexpr base::Duration kScarceYieldTime = std::chrono::microseconds(20);
constexpr base::Duration kFirstSleep = std::chrono::milliseconds(1);
constexpr base::Duration kLongestSleep = std::chrono::milliseconds(10);

void PauseCpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

// How a wait goes on when spinning did not help.
class ShmBackend::Patience {
 public:
  Patience(const base::Clock& clock, base::Duration yield_time)
      : clock_(clock), started_(clock.Now()), yield_time_(yield_time) {}

  /// Gives up the core and returns true; or false once a sleep is the better thing.
  bool Yield() {
    if (clock_.Now() - started_ >= yield_time_) return false;
    sched_yield();
    return true;
  }
  base::Duration NextSleep() { return std::exchange(sleep_, std::min(sleep_ * 2, kLongestSleep)); }

 private:
  const base::Clock& clock_;
  const base::SteadyTime started_;
  const base::Duration yield_time_;
  base::Duration sleep_ = kFirstSleep;
};

// ----------------------------------------------------------------------------------------- joining

ShmBackend::ShmBackend(Config config, std::shared_ptr<SegmentSource> segments,
                       std::shared_ptr<Segment> segment, ShmLayout layout)
    : capabilities_(HostCapabilities("shm")),
      segments_(std::move(segments)),
      members_(std::move(config), std::move(segment), layout),
      error_(members_),
      failures_(members_, error_),
      shared_(members_.self()),
      counters_(members_),
      direct_(members_, counters_),
      transfers_(members_, error_),
      windows_(members_, counters_) {}

base::Result<std::unique_ptr<ShmBackend>> ShmBackend::Join(Config config,
                                                           std::shared_ptr<SegmentSource> segments,
                                                           const OpDeadline& deadline) {
  const int member_count = static_cast<int>(config.world_ranks.size());
  LOCKSTEP_CHECK(member_count >= 2 && member_count <= kMaxShmMembers, "checked by ShmBackendMaker");
  LOCKSTEP_CHECK(config.member >= 0 && config.member < member_count, "checked by ShmBackendMaker");
  const ShmLayout layout(member_count);
  ASSIGN_OR_RETURN(std::shared_ptr<Segment> segment, segments->Open({.group = config.group,
                                                                     .epoch = config.epoch,
                                                                     .member_count = member_count,
                                                                     .member_index = config.member,
                                                                     .bytes = layout.total_bytes()},
                                                                    deadline.Left()));
  LOCKSTEP_CHECK(segment->bytes() >= layout.total_bytes(),
                 "a segment source gave less than was asked for");
  std::unique_ptr<ShmBackend> channel(
      new ShmBackend(std::move(config), std::move(segments), std::move(segment), layout));
  RETURN_IF_ERROR(channel->members_.Enter());
  RETURN_IF_ERROR(channel->AwaitJoins(deadline));
  RETURN_IF_ERROR(channel->members_.CheckCards());
  RETURN_IF_ERROR(channel->ProbePeers(deadline));
  // Spinning pays only while every member can run at once.
  channel->spin_limit_ = channel->members_.CpuCount() >= member_count ? kSpins : 0;
  return channel;
}

template <class Reached>
base::Status ShmBackend::AwaitJoining(const OpDeadline& deadline, const Reached& reached) {
  const Op op{.kind = OpKind::kInit};
  const OpWatch watch{.deadline = deadline};
  const Running run{op, 0, watch, 0, {}};
  const bool all_came = AwaitAll(run, Phase::kArrival, [&](int member) {
    // Who came and left again did come.
    return reached(member) || members_.HasLeft(member);
  });
  // The last one may come when the others have given up. (An op's error is for the op to tell.)
  return all_came && !error_.IsOfJoining() ? base::OkStatus() : error_.Get();
}

base::Status ShmBackend::AwaitJoins(const OpDeadline& deadline) {
  return AwaitJoining(deadline, [this](int member) {
    return members_.page(member).card.state.load(std::memory_order_acquire) == MemberState::kJoined;
  });
}

// Each tries one other: permission is a matter of the user and the kernel, not of the pair.
base::Status ShmBackend::ProbePeers(const OpDeadline& deadline) {
  const bool may_read = MayRead(members_, (members_.self() + 1) % members_.count());
  members_.mine().reads_peers.store(may_read ? ReadProbe::kAllowed : ReadProbe::kRefused,
                                    std::memory_order_release);
  members_.WakeSleepers();
  const auto probe = [this](int member) {
    return members_.page(member).reads_peers.load(std::memory_order_acquire);
  };
  RETURN_IF_ERROR(
      AwaitJoining(deadline, [&](int member) { return probe(member) != ReadProbe::kNotYet; }));
  may_fetch_ = true;
  for (int member = 0; member < members_.count(); ++member)
    may_fetch_ = may_fetch_ && probe(member) == ReadProbe::kAllowed;
  if (!may_fetch_) return base::OkStatus();
  // Those of which each member's time is the op's.
  ways_.MayFetch([](OpKind kind) {
    return DirectMoves::MayFetch(kind) && kind != OpKind::kGather && kind != OpKind::kScatter;
  });
  return base::OkStatus();
}

// ----------------------------------------------------------------------------------------- waiting

template <class Reached>
bool ShmBackend::Await(const Running& run, Phase phase, int begin, int end,
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
bool ShmBackend::AwaitLong(const Running& run, Phase phase, int begin, int end,
                           const Reached& reached) {
  cpu_share_.Refresh(clock_.Now());
  Patience patience(clock_, YieldTime());
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
    const bool judges = !run.watch.gives_up;
    if (judges && left.any()) {
      failures_.Left(run.call(), phase, left);
      return false;
    }
    if (judges && time_left.count() <= 0 && !AnyMayBeLate(missing)) {
      failures_.RanOut(run.call(), phase, missing, run.watch.deadline.due());
      return false;
    }
    if (patience.Yield()) continue;
    if (!judges && run.watch.gives_up(first_missing)) return false;
    if (std::exchange(told, first_missing) != first_missing && run.watch.on_long_wait)
      run.watch.on_long_wait(told);
    const base::Duration sleep = patience.NextSleep();
    Sleep(time_left.count() > 0 ? std::min(sleep, time_left) : sleep,
          [&] { return !reached(first_missing); });
  }
}

// The quota is taken for all members', who are one job's on one machine. Pressure that members with
// too few processors make themselves says nothing.
base::Duration ShmBackend::YieldTime() const {
  if (cpu_share_.throttled() || cpu_share_.quota() < members_.count()) return kScarceYieldTime;
  return cpu_share_.pressed() && spin_limit_ > 0 ? kPressedYieldTime : kYieldTime;
}

bool ShmBackend::AnyMayBeLate(const Members& members) const {
  for (int member = 0; member < members_.count(); ++member) {
    if (members.test(static_cast<size_t>(member)) && members_.MayBeLate(member)) return true;
  }
  return false;
}

void ShmBackend::DeclareLongPhase(base::Duration at_most) {
  const base::SteadyTime until = clock_.Now() + std::min(at_most, kMaxTimeout);
  members_.mine().late_until_ns.store(at_most.count() > 0 ? until.time_since_epoch().count() : 0,
                                      std::memory_order_release);
}

template <class Needed>
void ShmBackend::Sleep(base::Duration at_most, const Needed& needed) {
  Control& control = members_.control();
  control.sleepers.fetch_add(1);
  const uint32_t bell = control.bell.load();
  if (needed() && !error_.poisoned()) {
    const timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(at_most.count())};
    syscall(SYS_futex, &control.bell, FUTEX_WAIT, bell, &timeout, nullptr, 0);
  }
  control.sleepers.fetch_sub(1);
}

void ShmBackend::Interrupt() {
  interrupted_.store(true, std::memory_order_relaxed);
  members_.WakeSleepers();
}

// ------------------------------------------------------------------------------------------- an op

base::Status ShmBackend::Run(const Op& op, base::OpSeq seq, const OpWatch& watch) {
  if (error_.poisoned()) {
    base::Status root = error_.Get();
    // The op that the error is about fails with the error itself, also on a member that comes to it
    // late.
    if (root.op().has_value() && root.op()->seq == seq) return root;
    return error_.FailedBefore(root);
  }
  if (refused_) return error_.FailedBefore(error_.Of(members_.self()));
  // Its arrival line may still be read by members of the last op that this one took part in.
  if (ended_ || interrupted_.load(std::memory_order_relaxed)) return LeavingError();
  const ReduceKernels kernels = op.reduction == Reduction::kNone
                                    ? ReduceKernels{}
                                    : FindReduceKernels(op.dtype, op.reduction);
  const size_t largest = op.refusal.ok() ? LargestInput(op, members_.count()) : 0;
  const Running run{op, seq.value(), watch, largest, kernels};
  FillCard(run);
  PlaceSmall(run);
  if (!op.refusal.ok()) return Refuse(run);
  Arrive(run, FingerprintOf(op, members_.config().group, members_.config().epoch, seq));
  if (AwaitArrivals(run) && FingerprintsAgree(run) && Move(run)) return base::OkStatus();
  ended_ = true;
  return error_.poisoned() ? error_.Get() : LeavingError();
}

base::Status ShmBackend::LeavingError() const {
  return base::AbortedError("this member is leaving or aborting group " + group_name());
}

size_t ShmBackend::InBytes(const Op& op, int member) const {
  return InCount(op, member, members_.count()) * DtypeBytes(op.dtype);
}

const std::byte* ShmBackend::small_input(const Running& run, int member) const {
  if (member == members_.self()) return run.op.in;
  if (run.largest <= kInlineBytes) return members_.page(member).arrival[run.seq & 1].payload;
  return members_.small(member) + small_at_;
}

void ShmBackend::FillCard(const Running& run) {
  const Op& op = run.op;
  OpCard& card = members_.mine().ops[run.seq & 1];
  card.scale = op.scale;
  card.count = op.count;
  card.root = op.peer;
  card.kind = static_cast<uint8_t>(op.kind);
  card.dtype = static_cast<uint8_t>(op.dtype);
  card.reduction = static_cast<uint8_t>(op.reduction);
  // The same line of a program calls most ops: what its card says is there already.
  auto& written = carded_[run.seq & 1];
  if (written.file == op.call_file && written.line == op.call_line) return;
  FormatCallSite(op.call_file, op.call_line, card.call_site, kCallSiteBytes);
  written = {op.call_file, op.call_line};
}

// By what all members see alike. Of two ops in a row the first may still be read: they lie apart.
// Where members share processors they share caches, too, and to go around would only touch more
// memory.
void ShmBackend::PlaceSmall(const Running& run) {
  const size_t ring_bytes = members_.layout().small_ring_bytes();
  small_at_ = (run.seq & 1) * members_.layout().small_bytes();
  if (ring_bytes == 0 || spin_limit_ == 0 || !IsRotated(run)) return;
  const size_t bytes = (run.largest + kCacheLine - 1) / kCacheLine * kCacheLine;
  if (small_ring_next_ + bytes > ring_bytes) small_ring_next_ = 0;
  small_at_ = 2 * members_.layout().small_bytes() + small_ring_next_;
  small_ring_next_ += bytes;
}

bool ShmBackend::IsRotated(const Running& run) const {
  return run.largest >= kMinRotatedBytes && run.largest <= members_.layout().small_bytes();
}

void ShmBackend::WriteSmall(const Running& run, size_t bytes) {
  const Op& op = run.op;
  std::byte* const to = members_.small(members_.self()) + small_at_;
  if (!IsRotated(run)) {
    std::memcpy(to, op.in, bytes);
    return;
  }
  members_.PopulateSmall();
  const uint64_t begun = Ticks();
  WriteStage(ways_.agreed(op.kind, op.bytes()), to, op.in, bytes);
  small_ticks_ = Ticks() - begun;
}

void ShmBackend::Arrive(const Running& run, uint64_t fingerprint) {
  const Op& op = run.op;
  ArrivalLine& line = members_.mine().arrival[run.seq & 1];
  small_ticks_ = 0;
  const size_t bytes = op.refusal.ok() ? InBytes(op, members_.self()) : 0;
  if (run.largest <= kInlineBytes) {
    if (bytes > 0) std::memcpy(line.payload, op.in, bytes);
  } else if (op.refusal.ok()) {
    const BufferRefs refs = RefsOf(run);
    std::memcpy(line.payload, &refs, sizeof refs);
    if (bytes > 0 && run.largest <= members_.layout().small_bytes() &&
        !AsksForMapping(op.kind, run.largest, refs))
      WriteSmall(run, bytes);
  }
  if (op.refusal.ok() && op.kind == OpKind::kAllToAllV) {
    CountsPage& counts = members_.counts(members_.self(), run.seq);
    std::copy(op.counts.begin(), op.counts.end(), counts.in);
    std::copy(op.out_counts.begin(), op.out_counts.end(), counts.out);
  }
  line.fingerprint = fingerprint;
  line.seq.store(run.seq, std::memory_order_release);
  members_.WakeSleepers();
}

// The others hear of it when they come to this op, and not before: those before it may still end
// well. What they will read is written before they are led to it.
base::Status ShmBackend::Refuse(const Running& run) {
  const Members self = Members().set(static_cast<size_t>(members_.self()));
  const GroupError::Call call = run.call();
  error_.Write(
      base::FailedPreconditionError(failures_.Describe(call) + ", was refused on " +
                                    members_.Describe(self) + ": " + run.op.refusal.message())
          .WithClass(base::FailureClass::kUsage),
      &call, self);
  ended_ = refused_ = true;
  Arrive(run, kRefusedFingerprint);
  return run.op.refusal;
}

bool ShmBackend::AdoptRefusal(const Running& run, int member) {
  const ArrivalLine& line = members_.page(member).arrival[run.seq & 1];
  if (run.seq == 0 || line.fingerprint != kRefusedFingerprint) return false;
  error_.Name(member);
  return true;
}

bool ShmBackend::AwaitArrivals(const Running& run) {
  return AwaitAll(run, Phase::kArrival, [&](int member) {
    return members_.page(member).arrival[run.seq & 1].seq.load(std::memory_order_acquire) ==
           run.seq;
  });
}

bool ShmBackend::FingerprintsAgree(const Running& run) {
  const uint64_t own = members_.mine().arrival[run.seq & 1].fingerprint;
  for (int member = 0; member < members_.count(); ++member) {
    if (members_.page(member).arrival[run.seq & 1].fingerprint != own)
      return ExplainDifference(run);
  }
  return true;
}

bool ShmBackend::ExplainDifference(const Running& run) {
  for (int member = 0; member < members_.count(); ++member) {
    if (AdoptRefusal(run, member)) return false;
  }
  failures_.Differ(run.call());
  return false;
}

bool ShmBackend::Move(const Running& run) {
  const Op& op = run.op;
  if (op.kind == OpKind::kBarrier || op.kind == OpKind::kAllocate) return true;
  if (run.largest == 0) return true;
  const Route route = RouteOf(run);
  if (route == Route::kSmall) {
    FinishSmall(run);
    return true;
  }
  const WindowCounters::AwaitPeers await = [&](WindowCounters::Counter counter, uint64_t target,
                                               int begin, int end) {
    // A look: an op of many windows takes long also where no wait does.
    (void)run.watch.deadline.Left();
    return Await(run, Phase::kData, begin, end, [&](int member) {
      return (members_.page(member).progress.*counter).load(std::memory_order_acquire) >= target;
    });
  };
  if (route == Route::kMapped) return MoveDirectly(run, /*mapped=*/true, await);
  if (route == Route::kStaged) members_.PopulateStages();
  const WayOfMoving::Way way = WayOf(run);
  const uint64_t begun = Ticks();
  bool moved = false;
  if (route == Route::kStaged) {
    windows_.Choose(way);
    moved = MoveStaged(run, await);
  } else {
    moved = MoveDirectly(run, /*mapped=*/false, await);
  }
  if (!moved || members_.self() != 0 || run.largest <= members_.layout().small_bytes())
    return moved;
  const uint64_t ticks = Ticks() - begun;
  if ((route == Route::kFetched) == (way == WayOfMoving::kFetched)) {
    ways_.Record(op.kind, op.bytes(), IsLargeInPlace(run), way, ticks);
  } else if (way == WayOfMoving::kFetched) {
    // Somebody's memory cannot be read so: another way is better in any case.
    ways_.Record(op.kind, op.bytes(), IsLargeInPlace(run), way, kUnreadableFactor * ticks);
  }
  return moved;
}

bool ShmBackend::Advance(Moving& moving) { return transfers_.Advance(moving); }

void ShmBackend::AwaitTransfers(base::Duration at_most) {
  Sleep(at_most, [] { return true; });
}

// ----------------------------------------------------------------------------------------- failing

base::Status ShmBackend::Fail(const base::Status& error, const std::vector<int>& blamed) {
  Members members;
  for (const int member : blamed) members.set(static_cast<size_t>(member));
  return error_.Raise(error, members);
}

void ShmBackend::Poison(const base::Status& reason) {
  const Members self = Members().set(static_cast<size_t>(members_.self()));
  error_.Publish(base::AbortedError("group " + group_name() + " was aborted by " +
                                    members_.Describe(self) + ": " + reason.ToString())
                     .WithClass(reason.failure_class()),
                 nullptr, {});
}

}  // namespace lockstep::collectives
