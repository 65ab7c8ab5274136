// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_seat.h"

#include <sched.h>

#include <algorithm>
#include <string>
#include <utility>

#include "collectives/engine/sides.h"
#include "collectives/recorder/recorder.h"

namespace lockstep::collectives {
namespace {

bool IsOversubscribed(int members_here) {
  cpu_set_t cpus;
  if (::sched_getaffinity(0, sizeof cpus, &cpus) != 0) return true;
  return CPU_COUNT(&cpus) < members_here;
}

ErrorRecord RecordOf(const base::Status& error, const std::vector<int>& blamed, uint64_t from_seq) {
  ErrorRecord record{.code = error.code(),
                     .failure_class = error.failure_class(),
                     .from_seq = from_seq,
                     .message = error.message()};
  for (const int member : blamed) record.blamed.push_back({member, ""});
  return record;
}

}  // namespace

TcpSeat::TcpSeat(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end, Judging judging)
    : service_(std::move(service)),
      end_(std::move(end)),
      judging_(judging),
      members_here_(end_->members().CountOnThisHost()),
      oversubscribed_(IsOversubscribed(members_here_)) {}

void TcpSeat::Leave() {
  if (std::exchange(left_, true)) return;
  service_->Unregister(members().id(), members().spec().epoch, self(),
                       {.completed_seq = end_->completed_seq.load(), .failed = end_->poisoned()});
}

base::Status TcpSeat::LeavingError() const {
  return base::AbortedError("this member is leaving or aborting group " + members().spec().name);
}

base::Status TcpSeat::Run(const Op& op, base::OpSeq seq, const OpWatch& watch,
                          const std::function<bool(TcpWait&)>& body) {
  if (end_->PoisonedAt(seq.value())) return LateError(op, seq.value());
  if (ended_ || interrupted_.load(std::memory_order_relaxed)) return LeavingError();
  if (!op.refusal.ok()) return Refuse(op, seq.value());
  end_->called_seq.store(seq.value(), std::memory_order_release);
  TcpWait wait({.service = *service_,
                .end = end_,
                .interrupted = interrupted_,
                .members_here = members_here_,
                .oversubscribed = oversubscribed_,
                .cpu_share = cpu_share_,
                .judges_all = judging_ == Judging::kAll},
               op, seq.value(), watch);
  if (body(wait)) {
    end_->completed_seq.store(seq.value(), std::memory_order_release);
    return base::OkStatus();
  }
  ended_ = true;
  if (!end_->PoisonedAt(seq.value())) return LeavingError();
  return end_->ErrorStatus();
}

// The op that the error is about fails with the error itself, also on a member that comes to it
// late.
base::Status TcpSeat::LateError(const Op& op, uint64_t seq) {
  if (std::exchange(ended_, true) || end_->error()->op_seq != seq) return end_->FailedBefore();
  return op.refusal.ok() ? end_->ErrorStatus() : op.refusal;
}

// The others hear of it at once, and fail with it when they come to this op: those before it may
// still end well.
base::Status TcpSeat::Refuse(const Op& op, uint64_t seq) {
  ErrorRecord record;
  record.code = base::Code::kFailedPrecondition;
  record.failure_class = base::FailureClass::kUsage;
  record.from_seq = seq;
  record.SetOp(op, seq);
  record.message = DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count) + ", op " +
                   std::to_string(seq) + " of group " + members().spec().name +
                   ", was refused on " + members().Describe({self()}) + ": " + op.refusal.message();
  record.blamed.push_back({self(), EntryOf(op, seq).call_site});
  ended_ = true;
  if (end_->SetError(std::move(record))) service_->TellError(end_);
  return op.refusal;
}

CallEntry TcpSeat::EntryOf(const Op& op, uint64_t seq) const {
  CallEntry entry;
  entry.fingerprint = FingerprintOf(op, members().id(), members().spec().epoch, base::OpSeq(seq));
  entry.count = op.count;
  entry.scale = op.scale;
  entry.root = op.peer;
  entry.member = self();
  entry.kind = static_cast<uint8_t>(op.kind);
  entry.dtype = static_cast<uint8_t>(op.dtype);
  entry.reduction = static_cast<uint8_t>(op.reduction);
  entry.link = end_->link.load(std::memory_order_relaxed);
  FormatCallSite(op.call_file, op.call_line, entry.call_site, kCallSiteBytes);
  return entry;
}

bool TcpSeat::CallsAgree(const CallOf& call_of, TcpWait& wait) {
  const uint64_t first = call_of(0).fingerprint;
  for (int member = 1; member < size(); ++member) {
    if (call_of(member).fingerprint == first) continue;
    FailMismatch(call_of, wait);
    return false;
  }
  if (!link().measured()) {
    TcpLink slowest;
    for (int member = 0; member < size(); ++member)
      slowest = slowest.Worse(TcpLink::FromCode(call_of(member).link));
    link_.store(slowest.code(), std::memory_order_relaxed);
  }
  return true;
}

// Every member sees the same calls and comes to the same words.
void TcpSeat::FailMismatch(const CallOf& call_of, TcpWait& wait) const {
  std::vector<uint64_t> fingerprints;
  for (int member = 0; member < size(); ++member)
    fingerprints.push_back(call_of(member).fingerprint);
  const Sides sides(fingerprints);
  const auto names = [this](const std::vector<int>& side) { return members().Describe(side); };
  const auto describe = [&call_of](int member) {
    const CallEntry& call = call_of(member);
    return DescribeOp(static_cast<OpKind>(call.kind), static_cast<Dtype>(call.dtype),
                      static_cast<Reduction>(call.reduction), call.root, call.count) +
           " at " + call.call_site;
  };
  std::vector<ErrorRecord::Blamed> blamed;
  for (const int member : sides.Blamed()) blamed.push_back({member, call_of(member).call_site});
  wait.FailAlike("the members of group " + members().spec().name + " disagree on op " +
                     std::to_string(wait.seq()) + ": " + sides.DescribeCalls(names, describe),
                 std::move(blamed));
}

base::Status TcpSeat::Fail(const base::Status& error, const std::vector<int>& blamed) {
  // What has ended here can end everywhere.
  const uint64_t from_seq = end_->completed_seq.load() + 1;
  if (!end_->SetError(RecordOf(error, blamed, from_seq))) return end_->FailedBefore();
  service_->TellError(end_);
  return end_->ErrorStatus();
}

void TcpSeat::Poison(const base::Status& reason) {
  (void)Fail(base::AbortedError("group " + members().spec().name + " was aborted by " +
                                members().Describe({self()}) + ": " + reason.ToString())
                 .WithClass(reason.failure_class()),
             {});
}

void TcpSeat::Interrupt() {
  interrupted_.store(true, std::memory_order_relaxed);
  end_->Ring();
}

void TcpSeat::DeclareLongPhase(base::Duration at_most) {
  const base::SteadyTime until = base::RealClock().Now() + std::min(at_most, kMaxTimeout);
  end_->late_until_ns.store(at_most.count() > 0 ? until.time_since_epoch().count() : 0,
                            std::memory_order_release);
}

}  // namespace lockstep::collectives
