// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_end.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

base::UniqueFd Bell(TcpEnd::Bells bells) {
  if (bells == TcpEnd::Bells::kNone) return base::UniqueFd();
  return base::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

}  // namespace

TcpEnd::TcpEnd(TcpMembers members, Bells bells)
    : members_(std::move(members)),
      bells_{Bell(bells), Bell(bells)},
      notes_(members_.count()),
      facts_(static_cast<size_t>(members_.count())),
      come_(static_cast<size_t>(members_.count())) {}

void TcpEnd::Ring() {
  news_.fetch_add(1, std::memory_order_release);
  const uint64_t one = 1;
  for (const base::UniqueFd& bell : bells_) {
    if (bell.valid()) (void)!::write(bell.get(), &one, sizeof one);  // full is as good
  }
}

void TcpEnd::ClearBell(bool transfers) {
  uint64_t rings;
  (void)!::read(bell(transfers), &rings, sizeof rings);
}

void TcpEnd::PutIncoming(Flow flow, TcpLine line) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    incoming_.try_emplace(flow, std::move(line));  // a second one is closed: one was made already
  }
  Ring();
}

void TcpEnd::PutOutgoing(Flow flow, TcpLine line) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    outgoing_.try_emplace(flow, std::move(line));
  }
  Ring();
}

// The place stays, empty: a flow is made once in the life of a group.
TcpLine TcpEnd::Take(std::map<Flow, TcpLine>& lines, Flow flow) {
  const auto place = lines.find(flow);
  return place == lines.end() ? TcpLine() : std::move(place->second);
}

TcpLine TcpEnd::TakeIncoming(Flow flow) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return Take(incoming_, flow);
}

TcpLine TcpEnd::TakeOutgoing(Flow flow) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return Take(outgoing_, flow);
}

int TcpEnd::PeersReached(FlowPurpose purpose) const {
  std::set<int> peers;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto* lines : {&incoming_, &outgoing_}) {
    for (const auto& [flow, line] : *lines) {
      if (flow.purpose == purpose) peers.insert(flow.member);
    }
  }
  return static_cast<int>(peers.size());
}

PeerFact TcpEnd::fact(int member) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return facts_[static_cast<size_t>(member)];
}

void TcpEnd::SetFact(int member, PeerFact fact) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    PeerFact& known = facts_[static_cast<size_t>(member)];
    if (known.kind == PeerFact::Kind::kLeft) return;  // nothing comes after that
    // A connection that ops need is made once: without it none goes on, whatever is heard.
    if (known.is_cut_here() && fact.kind != PeerFact::Kind::kLeft) return;
    if (fact.kind == PeerFact::Kind::kLost) {
      fact.called_seq = known.called_seq;
      fact.completed_seq = known.completed_seq;
      if (fact.is_our_trouble()) fact.late_until = known.late_until;
    } else {
      come_[static_cast<size_t>(member)] = true;
    }
    known = std::move(fact);
  }
  Ring();
}

bool TcpEnd::HasCome(int member) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return come_[static_cast<size_t>(member)];
}

void TcpEnd::SetCome(int member) {
  const std::lock_guard<std::mutex> lock(mutex_);
  come_[static_cast<size_t>(member)] = true;
}

bool TcpEnd::SetError(ErrorRecord record) {
  bool first = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    first = !error_.has_value();
    const uint64_t from = std::min(record.from_seq, poisoned_from_.load(std::memory_order_relaxed));
    if (first) error_ = std::move(record);
    error_->from_seq = from;
    poisoned_from_.store(from, std::memory_order_release);
  }
  Ring();
  return first;
}

std::optional<ErrorRecord> TcpEnd::error() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return error_;
}

base::Status TcpEnd::ErrorStatus() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  LOCKSTEP_CHECK(error_.has_value(), "asked of a group with an error");
  return members_.StatusOf(*error_);
}

base::Status TcpEnd::FailedBefore() const {
  const base::Status root = ErrorStatus();
  return base::AbortedError("group " + members_.spec().name +
                            " failed before this call and cannot be used any more")
      .WithClass(root.failure_class())
      .WithCause(root);
}

}  // namespace lockstep::collectives
