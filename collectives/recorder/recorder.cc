// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/recorder/recorder.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/errno_status.h"

namespace lockstep::collectives {
namespace {

uint64_t Nanoseconds(base::SteadyTime time) {
  return static_cast<uint64_t>(time.time_since_epoch().count());
}

void CopyText(std::string_view text, char* to, size_t capacity) {
  const size_t length = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

lockstep_ring_ticket Raw(Recorder::Ticket ticket) { return {ticket.index, ticket.valid}; }

}  // namespace

void FormatRing(const RingIdentity& identity, uint32_t slot_count, lockstep_ring_header& header) {
  header.layout_version = LOCKSTEP_RING_LAYOUT_VERSION;
  header.slot_count = slot_count;
  header.step = -1;
  header.rank = identity.rank.value();
  header.incarnation = identity.incarnation.value();
  header.round = identity.round.value();
  header.world_size = identity.world_size;
  CopyText(identity.job, header.job, sizeof header.job);
  CopyText(identity.host, header.host, sizeof header.host);
  CopyText(identity.boot_id, header.boot_id, sizeof header.boot_id);
  std::atomic_ref<uint64_t>(header.magic)
      .store(uint64_t{LOCKSTEP_RING_MAGIC}, std::memory_order_release);
}

Recorder::~Recorder() { lockstep_ring_close(&ring_); }

base::Result<std::unique_ptr<Recorder>> Recorder::Create(const base::UniqueFd& fd) {
  lockstep_ring ring;
  char why[256] = "";
  switch (lockstep_ring_open(fd.get(), &ring, why, sizeof why)) {
    case LOCKSTEP_RING_OK: return std::unique_ptr<Recorder>(new Recorder(ring));
    case LOCKSTEP_RING_ERRNO: return base::ErrnoStatus(errno, why);
    case LOCKSTEP_RING_OTHER_VERSION: return base::FailedPreconditionError(why);
    default: return base::DataLossError(why);
  }
}

Recorder::Ticket Recorder::Begin(const Call& call) {
  const lockstep_ring_call raw{.group_id = call.group.value(),
                               .seq = call.seq.value(),
                               .fingerprint = call.fingerprint,
                               .epoch = call.epoch.value(),
                               .op = call.op,
                               .dtype = call.dtype,
                               .reduction = call.reduction,
                               .root_or_peer = call.root_or_peer,
                               .group_size = call.group_size,
                               .count_in = call.count_in,
                               .count_out = call.count_out,
                               .enqueued_ns = Nanoseconds(call.enqueued),
                               .timeout_ns = static_cast<uint64_t>(call.timeout.count()),
                               .call_file = call.call_file,
                               .call_line = call.call_line,
                               .tag = call.tag};
  const lockstep_ring_ticket ticket = lockstep_ring_begin(&ring_, &raw);
  return {.index = ticket.index, .valid = ticket.valid};
}

void Recorder::Started(Ticket ticket, base::SteadyTime now) {
  lockstep_ring_started(&ring_, Raw(ticket), Nanoseconds(now));
}

void Recorder::WaitsFor(Ticket ticket, base::Rank rank) {
  lockstep_ring_waits_for(&ring_, Raw(ticket), rank.value());
}

void Recorder::Ended(Ticket ticket, lockstep_record_state state, uint64_t bytes_done,
                     base::SteadyTime now) {
  lockstep_ring_ended(&ring_, Raw(ticket), state, bytes_done, Nanoseconds(now));
}

void Recorder::SetStep(int64_t step) { lockstep_ring_set_step(&ring_, step); }

void Recorder::SetPhase(const std::string& name, base::SteadyTime until) {
  if (!lockstep_fork_guard_is_owner(&ring_.guard)) return;  // a copy of the lock may be held
  const std::lock_guard lock(phase_mutex_);
  declared_ = name;
  declared_until_ = until;
  WritePhase();
}

Recorder::Mark Recorder::MarkPhase(const Mark& mark) {
  if (!lockstep_fork_guard_is_owner(&ring_.guard)) return {};
  const std::lock_guard lock(phase_mutex_);
  Mark before = std::exchange(marked_, mark);
  WritePhase();
  return before;
}

void Recorder::WritePhase() {
  const std::string& marked = marked_.name;
  const base::SteadyTime until = std::max(declared_until_, marked_.until);
  if (until != base::SteadyTime()) {
    const std::string& name = marked.empty() ? declared_ : marked;
    lockstep_ring_set_phase(&ring_, name.c_str(), Nanoseconds(until));
  } else {
    lockstep_ring_set_phase(&ring_, marked.c_str(), marked.empty() ? 0 : LOCKSTEP_PHASE_MARKED);
  }
}

void Recorder::SetSamples(uint64_t samples, base::SteadyTime since) {
  lockstep_ring_set_samples(&ring_, samples, Nanoseconds(since));
}

Recorder::Seat Recorder::TakeSeat(base::GroupId group, base::Round epoch, base::GroupRank rank,
                                  std::span<const base::Rank> members, const std::string& name) {
  std::vector<int32_t> ranks;
  ranks.reserve(members.size());
  for (const base::Rank member : members) ranks.push_back(member.value());
  return {this,
          lockstep_ring_take_seat(&ring_, group.value(), epoch.value(), rank.value(),
                                  static_cast<int32_t>(ranks.size()), ranks.data(), name.c_str())};
}

Recorder::Seat::~Seat() {
  if (recorder_ != nullptr) lockstep_ring_leave_seat(&recorder_->ring_, number_);
}

void Recorder::Seat::AddWaiters(bool transfers, int change) const {
  if (recorder_ != nullptr)
    lockstep_ring_add_waiters(&recorder_->ring_, number_, transfers, change);
}

void Recorder::Seat::AddStreamWaiters(int change) const {
  if (recorder_ != nullptr) lockstep_ring_add_stream_waiters(&recorder_->ring_, number_, change);
}

}  // namespace lockstep::collectives
