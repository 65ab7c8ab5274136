// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/shm_members.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <utility>

#include "collectives/engine/member_names.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {

ShmMembers::ShmMembers(Config config, std::shared_ptr<Segment> segment, ShmLayout layout)
    : config_(std::move(config)),
      segment_(std::move(segment)),
      layout_(layout),
      count_(static_cast<int>(config_.world_ranks.size())),
      control_(reinterpret_cast<Control*>(segment_->data())) {}

ShmMembers::~ShmMembers() {
  if (!entered_) return;
  mine().card.state.store(MemberState::kLeft, std::memory_order_release);
  WakeSleepers();
}

base::Status ShmMembers::Enter() {
  MemberCard& card = mine().card;
  MemberState expected = MemberState::kAbsent;
  if (!card.state.compare_exchange_strong(expected, MemberState::kJoining)) {
    return PlaceTaken(expected);
  }
  card.layout_version = kShmLayoutVersion;
  card.group = config_.group.value();
  card.epoch = config_.epoch.value();
  card.incarnation = config_.incarnation.value();
  card.member_count = count_;
  card.world_rank = config_.world_ranks[static_cast<size_t>(config_.member)].value();
  card.pid = getpid();
  if (getrandom(&probe_, sizeof probe_, GRND_NONBLOCK) != sizeof probe_) probe_ = 0;
  card.probe_address = reinterpret_cast<uint64_t>(&probe_);
  card.probe_value = probe_;
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

base::Status ShmMembers::PlaceTaken(MemberState state) const {
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

base::Status ShmMembers::CheckCards() const {
  const MemberCard& own = mine().card;
  for (int member = 0; member < count_; ++member) {
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

int ShmMembers::CpuCount() const {
  int cpu_count = 0;
  for (size_t word = 0; word < std::size(mine().card.cpus); ++word) {
    uint64_t any = 0;
    for (int member = 0; member < count_; ++member) any |= page(member).card.cpus[word];
    cpu_count += std::popcount(any);
  }
  return cpu_count;
}

void ShmMembers::PopulateSmall() {
  if (small_populated_) return;
  segment_->Populate(layout_.small_offset(self()), layout_.all_small_bytes());
  small_populated_ = true;
}

void ShmMembers::PopulateStages() {
  if (stages_populated_) return;
  const size_t begin = layout_.stage_offset(self(), 0);
  segment_->Populate(begin, layout_.payload_offset(self()) + layout_.payload_bytes() - begin);
  stages_populated_ = true;
}

bool ShmMembers::MayBeLate(int member) const {
  const int64_t until = page(member).late_until_ns.load(std::memory_order_acquire);
  return until != 0 && until > base::RealClock().Now().time_since_epoch().count();
}

void ShmMembers::WakeSleepers() const {
  if (control_->sleepers.load(std::memory_order_relaxed) == 0) return;
  control_->bell.fetch_add(1, std::memory_order_release);
  syscall(SYS_futex, &control_->bell, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

std::string ShmMembers::Describe(const Set& members) const {
  std::vector<int> named;
  for (int member = 0; member < count_; ++member) {
    if (members.test(static_cast<size_t>(member))) named.push_back(member);
  }
  return NameMembers(config_.world_ranks, named);
}

base::Subject ShmMembers::SubjectOf(int member, std::string call_site) const {
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

std::string ReadSharedText(const char* text, size_t capacity) {
  return std::string(text, strnlen(text, capacity));
}

}  // namespace lockstep::collectives
