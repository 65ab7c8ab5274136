// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/host_channel.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <utility>

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

void CopyText(const std::string& text, char* to, size_t capacity) {
  const size_t length = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

// Another process wrote it: it ends at the field's end at the latest.
std::string ReadText(const char* text, size_t capacity) {
  return std::string(text, strnlen(text, capacity));
}

}  // namespace

struct HostChannel::Running {
  const Op& op;
  const uint64_t seq;
  const OpWatch& watch;
  const bool small;
  const ReduceKernel kernel;  // null for kinds that only copy
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
    : config_(std::move(config)),
      segment_(std::move(segment)),
      layout_(layout),
      member_count_(static_cast<int>(config_.world_ranks.size())),
      control_(reinterpret_cast<Control*>(segment_->data())) {}

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
  RETURN_IF_ERROR(channel->Enter());
  RETURN_IF_ERROR(channel->AwaitJoins(deadline));
  RETURN_IF_ERROR(channel->CheckCards());
  channel->ChooseSpinning();
  return channel;
}

HostChannel::~HostChannel() {
  if (!entered_) return;
  mine().card.state.store(MemberState::kLeft, std::memory_order_release);
  WakeSleepers();
}

base::Status HostChannel::Enter() {
  MemberCard& card = mine().card;
  MemberState expected = MemberState::kAbsent;
  if (!card.state.compare_exchange_strong(expected, MemberState::kJoining)) {
    return PlaceTaken(expected);
  }
  card.layout_version = kHostLayoutVersion;
  card.group = config_.group.value();
  card.epoch = config_.epoch.value();
  card.incarnation = config_.incarnation.value();
  card.member_count = member_count_;
  card.world_rank = config_.world_ranks[static_cast<size_t>(config_.member)].value();
  card.pid = getpid();
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
    std::memcpy(card.cpus, &cpus, std::min(sizeof card.cpus, sizeof cpus));
  ProgressLine& progress = mine().progress;
  progress.staged.store(kFirstWindow, std::memory_order_relaxed);
  progress.reduced.store(kFirstWindow, std::memory_order_relaxed);
  progress.gathered.store(kFirstWindow, std::memory_order_relaxed);
  entered_ = true;
  card.state.store(MemberState::kJoined, std::memory_order_release);
  WakeSleepers();
  return base::OkStatus();
}

base::Status HostChannel::PlaceTaken(MemberState state) const {
  const std::string rank =
      "rank " + config_.world_ranks[static_cast<size_t>(config_.member)].ToString();
  const std::string joining = "joining group " + config_.group_name + ": " + rank;
  const std::string holder = "process " + std::to_string(mine().card.pid);
  if (state == MemberState::kJoining) {
    return base::AlreadyExistsError(
        joining + " is being joined by another process or thread; two of them hold one rank");
  }
  if (state == MemberState::kJoined) {
    return base::AlreadyExistsError(joining + " is already in it, as " + holder +
                                    "; two processes hold one rank, or the rank joined twice");
  }
  return base::FailedPreconditionError(
      joining + " was in it, as " + holder +
      ", and has left; a place is taken once, so all ranks must make a new group");
}

base::Status HostChannel::AwaitJoins(const OpDeadline& deadline) {
  const Op op{.kind = OpKind::kInit};
  const OpWatch watch{.deadline = deadline};
  const Running run{op, 0, watch, true, nullptr};
  const auto joined = [this](int member) {
    const MemberState state = page(member).card.state.load(std::memory_order_acquire);
    return state == MemberState::kJoined ||
           state == MemberState::kLeft;  // who came and left again did come
  };
  const bool all_came = AwaitAll(run, Phase::kArrival, joined);
  // The last one may come when the others have given up. (An op's error is for the op to tell.)
  const uint32_t poison = control_->poison.load(std::memory_order_acquire);
  const bool others_gave_up =
      poison >= 1 && poison <= static_cast<uint32_t>(member_count_) &&
      page(static_cast<int>(poison) - 1).error.op.kind == static_cast<uint8_t>(OpKind::kInit);
  return all_came && !others_gave_up ? base::OkStatus() : PoisonStatus();
}

base::Status HostChannel::CheckCards() const {
  const MemberCard& own = mine().card;
  for (int member = 0; member < member_count_; ++member) {
    const MemberCard& card = page(member).card;
    if (card.layout_version == own.layout_version && card.group == own.group &&
        card.epoch == own.epoch && card.member_count == own.member_count &&
        card.world_rank == config_.world_ranks[static_cast<size_t>(member)].value()) {
      continue;
    }
    return base::FailedPreconditionError(
               "joining group " + config_.group_name + " of epoch " + config_.epoch.ToString() +
               ": process " + std::to_string(card.pid) + " came as rank " +
               std::to_string(card.world_rank) + " of epoch " + std::to_string(card.epoch) +
               " and layout " + std::to_string(card.layout_version) +
               ", which is another group, job or release than mine")
        .WithClass(base::FailureClass::kUsage)
        .WithSubject(SubjectOf(member, ""));
  }
  return base::OkStatus();
}

// Spinning pays only while every member can run at once.
void HostChannel::ChooseSpinning() {
  int cpu_count = 0;
  for (size_t word = 0; word < std::size(mine().card.cpus); ++word) {
    uint64_t any = 0;
    for (int member = 0; member < member_count_; ++member) any |= page(member).card.cpus[word];
    cpu_count += std::popcount(any);
  }
  spin_limit_ = cpu_count >= member_count_ ? kSpins : 0;
}

// ----------------------------------------------------------------------------------------- waiting

void HostChannel::WakeSleepers() {
  if (control_->sleepers.load(std::memory_order_relaxed) == 0) return;
  control_->bell.fetch_add(1, std::memory_order_release);
  syscall(SYS_futex, &control_->bell, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

void HostChannel::Publish(std::atomic<uint64_t> ProgressLine::* counter, uint64_t value) {
  (mine().progress.*counter).store(value, std::memory_order_release);
  WakeSleepers();
}

template <class Reached>
bool HostChannel::Await(const Running& run, Phase phase, int begin, int end,
                        const Reached& reached) {
  for (int member = begin; member < end; ++member) {
    if (member == config_.member) continue;
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
    const bool ended = poisoned() || interrupted_.load(std::memory_order_relaxed);
    const base::Duration time_left = run.watch.deadline.Left();
    Members missing, left;
    int first_missing = -1;
    for (int member = end - 1; member >= begin; --member) {
      if (member == config_.member) continue;
      const bool has_left =
          page(member).card.state.load(std::memory_order_acquire) == MemberState::kLeft;
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
  control_->sleepers.fetch_add(1);
  const uint32_t bell = control_->bell.load();
  if (!reached(member) && !poisoned()) {
    const timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(at_most.count())};
    syscall(SYS_futex, &control_->bell, FUTEX_WAIT, bell, &timeout, nullptr, 0);
  }
  control_->sleepers.fetch_sub(1);
}

bool HostChannel::AwaitCounter(const Running& run, std::atomic<uint64_t> ProgressLine::* counter,
                               uint64_t target) {
  // A look: an op of many windows takes long also where no wait does.
  (void)run.watch.deadline.Left();
  return AwaitAll(run, Phase::kData, [&](int member) {
    return (page(member).progress.*counter).load(std::memory_order_acquire) >= target;
  });
}

void HostChannel::Interrupt() {
  interrupted_.store(true, std::memory_order_relaxed);
  WakeSleepers();
}

// ------------------------------------------------------------------------------------------- an op

base::Status HostChannel::Run(const Op& op, base::OpSeq seq, const OpWatch& watch) {
  if (poisoned()) {
    const base::Status root = PoisonStatus();
    // The op that the error is about fails with the error itself, also on a member that comes to it
    // late.
    if (root.op().has_value() && root.op()->seq == seq) return root;
    return FailedBefore(root);
  }
  if (refused_) return FailedBefore(ErrorOf(config_.member));
  // Its arrival line may still be read by members of the last op that this one took part in.
  if (ended_ || interrupted_.load(std::memory_order_relaxed)) return LeavingError();
  const ReduceKernel kernel =
      op.reduction == Reduction::kNone ? nullptr : FindReduceKernel(op.dtype, op.reduction);
  const Running run{op, seq.value(), watch, op.bytes() <= kSmallBytes, kernel};
  FillCard(run);
  if (!op.refusal.ok()) return Refuse(run);
  Arrive(run, FingerprintOf(op, config_.group, config_.epoch, seq));
  if (AwaitArrivals(run) && FingerprintsAgree(run) && Move(run)) return base::OkStatus();
  ended_ = true;
  return poisoned() ? PoisonStatus() : LeavingError();
}

base::Status HostChannel::FailedBefore(const base::Status& root) const {
  return base::AbortedError("group " + config_.group_name +
                            " failed before this call and cannot be used any more")
      .WithClass(root.failure_class())
      .WithCause(root);
}

base::Status HostChannel::LeavingError() const {
  return base::AbortedError("this member is leaving or aborting group " + config_.group_name);
}

const std::byte* HostChannel::small_input(const Running& run, int member) const {
  if (member == config_.member) return run.op.in;
  if (run.op.bytes() <= kInlineBytes) return page(member).arrival[run.seq & 1].payload;
  return small(member, run.seq);
}

void HostChannel::FillCard(const Running& run) {
  const Op& op = run.op;
  OpCard& card = mine().ops[run.seq & 1];
  card.count = op.count;
  card.root = op.root;
  card.kind = static_cast<uint8_t>(op.kind);
  card.dtype = static_cast<uint8_t>(op.dtype);
  card.reduction = static_cast<uint8_t>(op.reduction);
  FormatCallSite(op.call_file, op.call_line, card.call_site, kCallSiteBytes);
}

void HostChannel::Arrive(const Running& run, uint64_t fingerprint) {
  const Op& op = run.op;
  ArrivalLine& line = mine().arrival[run.seq & 1];
  const bool has_input = op.refusal.ok() && op.bytes() > 0 &&
                         (op.kind != OpKind::kBroadcast || op.root == config_.member);
  if (run.small && has_input) {
    std::memcpy(op.bytes() <= kInlineBytes ? line.payload : small(config_.member, run.seq), op.in,
                op.bytes());
  }
  line.fingerprint = fingerprint;
  line.seq.store(run.seq, std::memory_order_release);
  WakeSleepers();
}

// The others hear of it when they come to this op, and not before: those before it may still end
// well. What they will read is written before they are led to it.
base::Status HostChannel::Refuse(const Running& run) {
  {
    const std::lock_guard<std::mutex> lock(error_mutex_);
    const Members self = Members().set(static_cast<size_t>(config_.member));
    WriteError(
        base::FailedPreconditionError(DescribeRunning(run) + ", was refused on " +
                                      DescribeMembers(self) + ": " + run.op.refusal.message())
            .WithClass(base::FailureClass::kUsage),
        &run, self);
  }
  ended_ = refused_ = true;
  Arrive(run, kRefusedFingerprint);
  return run.op.refusal;
}

bool HostChannel::AdoptRefusal(const Running& run, int member) {
  const ArrivalLine& line = page(member).arrival[run.seq & 1];
  if (run.seq == 0 || line.fingerprint != kRefusedFingerprint) return false;
  NameError(member);
  return true;
}

bool HostChannel::AwaitArrivals(const Running& run) {
  return AwaitAll(run, Phase::kArrival, [&](int member) {
    return page(member).arrival[run.seq & 1].seq.load(std::memory_order_acquire) == run.seq;
  });
}

bool HostChannel::FingerprintsAgree(const Running& run) {
  const uint64_t own = mine().arrival[run.seq & 1].fingerprint;
  for (int member = 0; member < member_count_; ++member) {
    if (page(member).arrival[run.seq & 1].fingerprint != own) return FailMismatch(run);
  }
  return true;
}

bool HostChannel::Move(const Running& run) {
  if (run.op.bytes() == 0) return true;
  if (run.small) {
    FinishSmall(run);
    return true;
  }
  switch (run.op.kind) {
    case OpKind::kAllReduce: return ReduceWindows(run);
    case OpKind::kAllGather: return GatherWindows(run);
    case OpKind::kBroadcast: return BroadcastWindows(run);
    default: LOCKSTEP_CHECK(false, "HostGroup makes no other op with data");
  }
}

void HostChannel::FinishSmall(const Running& run) {
  const Op& op = run.op;
  const size_t bytes = op.bytes();
  if (op.kind == OpKind::kAllReduce) {
    std::array<const std::byte*, kMaxHostMembers> inputs;
    for (int member = 0; member < member_count_; ++member) {
      inputs[static_cast<size_t>(member)] = small_input(run, member);
    }
    run.kernel(op.out, inputs.data(), member_count_, op.count);
  } else if (op.kind == OpKind::kBroadcast) {
    if (op.root != config_.member) std::memcpy(op.out, small_input(run, op.root), bytes);
  } else {
    for (int member = 0; member < member_count_; ++member) {
      std::byte* const to = op.out + static_cast<size_t>(member) * bytes;
      const std::byte* const from = small_input(run, member);
      if (to != from) std::memcpy(to, from, bytes);
    }
  }
}

// Window w holds slice_bytes for each member, the last window its even share. Three stages run one
// window apart, so that nobody waits for a neighbour that has only just begun: stage w+2 | reduce
// w+1 | gather w. A stage buffer is free for window w once everybody has reduced w-2, a result
// buffer once everybody has gathered w-2.
bool HostChannel::ReduceWindows(const Running& run) {
  const Op& op = run.op;
  const size_t unit = DtypeBytes(op.dtype);
  const size_t window_elements = layout_.slice_bytes() / unit * static_cast<size_t>(member_count_);
  const uint64_t window_count = (op.count + window_elements - 1) / window_elements;
  const uint64_t base = next_window_;
  next_window_ += window_count;
  const size_t self = static_cast<size_t>(config_.member);

  struct Slice {
    size_t offset;  // bytes, in the caller's buffers
    size_t count;   // elements
  };
  const auto slice_of = [&](uint64_t window, size_t member) {
    const size_t begin = static_cast<size_t>(window) * window_elements;
    const size_t length = std::min(window_elements, op.count - begin);
    const size_t share =
        (length + static_cast<size_t>(member_count_) - 1) / static_cast<size_t>(member_count_);
    const size_t from = std::min(member * share, length);
    return Slice{(begin + from) * unit, std::min(share, length - from)};
  };

  for (uint64_t step = 0; step < window_count + 2; ++step) {
    if (step < window_count) {
      const uint64_t number = base + step;
      if (!AwaitCounter(run, &ProgressLine::reduced, number - 1)) return false;
      for (size_t member = 0; member < static_cast<size_t>(member_count_); ++member) {
        if (member == self) continue;
        const Slice slice = slice_of(step, member);
        std::memcpy(stage(config_.member, number) + member * layout_.slice_bytes(),
                    op.in + slice.offset, slice.count * unit);
      }
      Publish(&ProgressLine::staged, number + 1);
    }
    if (step >= 1 && step - 1 < window_count) {
      const uint64_t number = base + step - 1;
      if (!AwaitCounter(run, &ProgressLine::staged, number + 1)) return false;
      if (!AwaitCounter(run, &ProgressLine::gathered, number - 1)) return false;
      const Slice slice = slice_of(step - 1, self);
      std::array<const std::byte*, kMaxHostMembers> inputs;
      for (size_t member = 0; member < static_cast<size_t>(member_count_); ++member) {
        inputs[member] =
            member == self ? op.in + slice.offset
                           : stage(static_cast<int>(member), number) + self * layout_.slice_bytes();
      }
      run.kernel(result(config_.member, number), inputs.data(), member_count_, slice.count);
      Publish(&ProgressLine::reduced, number + 1);
      std::memcpy(op.out + slice.offset, result(config_.member, number), slice.count * unit);
    }
    if (step >= 2) {
      const uint64_t number = base + step - 2;
      if (!AwaitCounter(run, &ProgressLine::reduced, number + 1)) return false;
      for (size_t member = 0; member < static_cast<size_t>(member_count_); ++member) {
        if (member == self) continue;
        const Slice slice = slice_of(step - 2, member);
        std::memcpy(op.out + slice.offset, result(static_cast<int>(member), number),
                    slice.count * unit);
      }
      Publish(&ProgressLine::gathered, number + 1);
    }
  }
  return true;
}

// A window is one stage full of each member's input.
bool HostChannel::GatherWindows(const Running& run) {
  const Op& op = run.op;
  const size_t total = op.bytes();
  const size_t window_bytes = layout_.stage_bytes();
  const uint64_t window_count = (total + window_bytes - 1) / window_bytes;
  const uint64_t base = next_window_;
  next_window_ += window_count;
  std::byte* const own = op.out + static_cast<size_t>(config_.member) * total;
  if (own != op.in) std::memcpy(own, op.in, total);

  for (uint64_t step = 0; step < window_count + 1; ++step) {
    if (step < window_count) {
      const uint64_t number = base + step;
      const size_t begin = static_cast<size_t>(step) * window_bytes;
      if (!AwaitCounter(run, &ProgressLine::reduced, number - 1)) return false;
      std::memcpy(stage(config_.member, number), op.in + begin,
                  std::min(window_bytes, total - begin));
      Publish(&ProgressLine::staged, number + 1);
    }
    if (step >= 1) {
      const uint64_t number = base + step - 1;
      const size_t begin = static_cast<size_t>(step - 1) * window_bytes;
      if (!AwaitCounter(run, &ProgressLine::staged, number + 1)) return false;
      for (int member = 0; member < member_count_; ++member) {
        if (member == config_.member) continue;
        std::memcpy(op.out + static_cast<size_t>(member) * total + begin, stage(member, number),
                    std::min(window_bytes, total - begin));
      }
      Publish(&ProgressLine::gathered, number + 1);
      Publish(&ProgressLine::reduced, number + 1);
    }
  }
  return true;
}

bool HostChannel::BroadcastWindows(const Running& run) {
  const Op& op = run.op;
  const size_t total = op.bytes();
  const size_t window_bytes = layout_.stage_bytes();
  const uint64_t window_count = (total + window_bytes - 1) / window_bytes;
  const uint64_t base = next_window_;
  next_window_ += window_count;

  for (uint64_t step = 0; step < window_count; ++step) {
    (void)run.watch.deadline.Left();  // a look, also when every window is there at once
    const uint64_t number = base + step;
    const size_t begin = static_cast<size_t>(step) * window_bytes;
    const size_t bytes = std::min(window_bytes, total - begin);
    if (op.root == config_.member) {
      if (!AwaitCounter(run, &ProgressLine::reduced, number - 1)) return false;
      std::memcpy(stage(config_.member, number), op.in + begin, bytes);
    } else {
      const auto staged = [&](int member) {
        return page(member).progress.staged.load(std::memory_order_acquire) > number;
      };
      if (!Await(run, Phase::kData, op.root, op.root + 1, staged)) return false;
      std::memcpy(op.out + begin, stage(op.root, number), bytes);
    }
    // The others' counters move too: the next op's windows continue from here on every member.
    Publish(&ProgressLine::staged, number + 1);
    Publish(&ProgressLine::gathered, number + 1);
    Publish(&ProgressLine::reduced, number + 1);
  }
  return true;
}

// ----------------------------------------------------------------------------------------- failing

base::Subject HostChannel::SubjectOf(int member, std::string call_site) const {
  const MemberCard& card = page(member).card;
  base::Subject subject;
  subject.job = config_.job;
  subject.host = config_.host;
  subject.rank = config_.world_ranks[static_cast<size_t>(member)];
  if (card.state.load(std::memory_order_acquire) >= MemberState::kJoined) {
    subject.pid = card.pid;
    subject.incarnation = base::Incarnation(card.incarnation);
  }
  subject.call_site = std::move(call_site);
  return subject;
}

std::string HostChannel::DescribeMembers(const Members& members) const {
  constexpr size_t kShown = 8;
  std::string text = members.count() == 1 ? "rank " : "ranks ";
  size_t shown = 0;
  for (size_t member = 0; member < config_.world_ranks.size() && shown < kShown; ++member) {
    if (members.test(member))
      text += (shown++ == 0 ? "" : ", ") + config_.world_ranks[member].ToString();
  }
  if (members.count() > kShown)
    text += " and " + std::to_string(members.count() - kShown) + " more";
  return text;
}

std::string HostChannel::DescribeRunning(const Running& run) const {
  return DescribeOp(run.op.kind, run.op.dtype, run.op.reduction, run.op.root, run.op.count) +
         ", op " + std::to_string(run.seq) + " of group " + config_.group_name;
}

bool HostChannel::FailMismatch(const Running& run) {
  for (int member = 0; member < member_count_; ++member) {
    if (AdoptRefusal(run, member)) return false;
  }
  std::map<uint64_t, Members> by_fingerprint;
  for (int member = 0; member < member_count_; ++member) {
    by_fingerprint[page(member).arrival[run.seq & 1].fingerprint].set(static_cast<size_t>(member));
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

  std::string message = "the members of group " + config_.group_name + " disagree on op " +
                        std::to_string(run.seq) + ": ";
  Members blamed;
  for (size_t i = 0; i < sides.size(); ++i) {
    const OpCard& card = page(first_of(sides[i])).ops[run.seq & 1];
    message += (i == 0 ? "" : "; ") + DescribeMembers(sides[i]) + " called " +
               DescribeOp(static_cast<OpKind>(card.kind), static_cast<Dtype>(card.dtype),
                          static_cast<Reduction>(card.reduction), card.root, card.count) +
               " at " + ReadText(card.call_site, kCallSiteBytes);
    if (i > 0 || tie) blamed |= sides[i];
  }
  if (tie) message += "; no side is a majority, so either may be wrong";
  PublishError(
      base::FailedPreconditionError(std::move(message)).WithClass(base::FailureClass::kUsage), &run,
      blamed);
  return false;
}

void HostChannel::FailDeadline(const Running& run, Phase phase, const Members& missing) {
  const OpDeadline::Due due = run.watch.deadline.due();
  const std::string timeout = base::FormatDuration(due.timeout);
  std::string message;
  if (run.op.kind == OpKind::kInit) {
    message = "joining group " + config_.group_name + ": " + DescribeMembers(missing) +
              " never came within " + timeout;
  } else {
    message = DescribeRunning(run) +
              (due.seq.value() == run.seq
                   ? ", ran out of its " + timeout
                   : ", holds up op " + due.seq.ToString() + ", which ran out of its " + timeout) +
              ": " + DescribeMembers(missing) +
              (phase == Phase::kArrival ? " never called it" : " stopped in the middle of it");
  }
  PublishError(
      base::DeadlineExceededError(std::move(message)).WithClass(base::FailureClass::kPeerStalled),
      &run, missing);
}

void HostChannel::FailLeft(const Running& run, Phase phase, const Members& left) {
  PublishError(base::UnavailableError(
                   DescribeRunning(run) + ": " + DescribeMembers(left) + " left the group " +
                   (phase == Phase::kArrival ? "without calling it" : "in the middle of it"))
                   .WithClass(base::FailureClass::kPeerDead),
               &run, left);
}

void HostChannel::Poison(const base::Status& reason) {
  PublishError(
      base::AbortedError("group " + config_.group_name + " was aborted by " +
                         DescribeMembers(Members().set(static_cast<size_t>(config_.member))) +
                         ": " + reason.ToString())
          .WithClass(reason.failure_class()),
      nullptr, {});
}

void HostChannel::PublishError(const base::Status& error, const Running* run,
                               const Members& blamed) {
  if (poisoned()) return;
  const std::lock_guard<std::mutex> lock(error_mutex_);
  WriteError(error, run, blamed);
  NameError(config_.member);
}

void HostChannel::WriteError(const base::Status& error, const Running* run, const Members& blamed) {
  if (std::exchange(error_written_, true)) return;
  SharedError& shared = mine().error;
  shared.seq = run != nullptr ? run->seq : 0;
  shared.code = static_cast<uint32_t>(error.code());
  shared.failure_class = static_cast<uint32_t>(error.failure_class());
  if (run != nullptr) {
    shared.op.kind = static_cast<uint8_t>(run->op.kind);
    shared.op.dtype = static_cast<uint8_t>(run->op.dtype);
    shared.op.reduction = static_cast<uint8_t>(run->op.reduction);
    shared.op.root = run->op.root;
    shared.op.count = run->op.count;
  }
  shared.blamed_count = 0;
  for (int member = 0; member < member_count_ && shared.blamed_count < kMaxBlamed; ++member) {
    if (!blamed.test(static_cast<size_t>(member))) continue;
    const MemberPage& their = page(member);
    const bool called = run != nullptr && run->seq != 0 &&
                        (member == config_.member || their.arrival[run->seq & 1].seq.load(
                                                         std::memory_order_acquire) == run->seq);
    SharedError::Blamed& entry = shared.blamed[shared.blamed_count++];
    entry.member = member;
    CopyText(called ? ReadText(their.ops[run->seq & 1].call_site, kCallSiteBytes) : "",
             entry.call_site, kCallSiteBytes);
  }
  CopyText(error.message(), shared.message, sizeof shared.message);
}

void HostChannel::NameError(int member) {
  uint32_t healthy = 0;
  control_->poison.compare_exchange_strong(healthy, static_cast<uint32_t>(member) + 1,
                                           std::memory_order_acq_rel);
  WakeSleepers();
}

// Other processes write it: what they wrote is read, not trusted.
base::Status HostChannel::DamagedError(const std::string& finding) const {
  return base::DataLossError("the shared memory of group " + config_.group_name + " " + finding +
                             ": a member's process wrote over it");
}

base::Status HostChannel::PoisonStatus() const {
  const uint32_t poison = control_->poison.load(std::memory_order_acquire);
  if (poison < 1 || poison > static_cast<uint32_t>(member_count_)) {
    return DamagedError("names member " + std::to_string(poison) + " of " +
                        std::to_string(member_count_) + " as the one with the error");
  }
  return ErrorOf(static_cast<int>(poison) - 1);
}

base::Status HostChannel::ErrorOf(int member) const {
  const SharedError& shared = page(member).error;
  const uint32_t code = shared.code;
  const uint32_t failure_class = shared.failure_class;
  if (code == 0 || code > static_cast<uint32_t>(base::Code::kUnauthenticated) ||
      failure_class > static_cast<uint32_t>(base::FailureClass::kAbortedByAgent)) {
    return DamagedError("holds an error of code " + std::to_string(code) + " and class " +
                        std::to_string(failure_class));
  }
  base::Status status =
      base::Status(static_cast<base::Code>(code), ReadText(shared.message, sizeof shared.message))
          .WithClass(static_cast<base::FailureClass>(failure_class));
  const int blamed_count = std::min(shared.blamed_count, kMaxBlamed);
  for (int i = 0; i < blamed_count; ++i) {
    const SharedError::Blamed& blamed = shared.blamed[i];
    if (blamed.member < 0 || blamed.member >= member_count_) continue;
    status =
        status.WithSubject(SubjectOf(blamed.member, ReadText(blamed.call_site, kCallSiteBytes)));
  }
  if (shared.seq == 0) return status;
  return status.WithOp(
      {.group = config_.group,
       .epoch = config_.epoch,
       .seq = base::OpSeq(shared.seq),
       .kind = DescribeOp(static_cast<OpKind>(shared.op.kind), static_cast<Dtype>(shared.op.dtype),
                          static_cast<Reduction>(shared.op.reduction), shared.op.root,
                          shared.op.count)});
}

}  // namespace lockstep::collectives
