// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_wait.h"

#include <sched.h>

#include <algorithm>
#include <utility>

namespace lockstep::collectives {
namespace {

// A round trip over a network takes 20 to 60 us, and waking up costs that again.
constexpr base::Duration kSpinTime = std::chrono::microseconds(100);
// With more members than cores the one waited for may need this core.
constexpr base::Duration kYieldTime = std::chrono::microseconds(50);
// Where what is burnt now is missing afterwards: what falling asleep and waking up costs.
constexpr base::Duration kScarceTime = std::chrono::microseconds(10);
constexpr int kSleepMs = 10;  // the deadline's clock wants to be looked at that often
// Longer than healthy members are apart, so that it costs those nothing.
constexpr base::Duration kAskAfter = std::chrono::milliseconds(20);
// For the last answers once a deadline has passed, well within the second that an op may take
// beyond it.
constexpr base::Duration kAnswerTime = std::chrono::milliseconds(600);
constexpr base::Duration kAskAgain = std::chrono::milliseconds(100);
constexpr base::Duration kClosedTime = std::chrono::milliseconds(500);
constexpr size_t kAskedMax = 64;  // members, so that a large group's deadline is no storm

}  // namespace

TcpWait::TcpWait(const Deps& deps, const Op& op, uint64_t seq, const OpWatch& watch)
    : deps_(deps), members_(deps.end->members()), op_(op), seq_(seq), watch_(watch) {}

TcpWait::~TcpWait() { deps_.end->waits.store(false, std::memory_order_relaxed); }

bool TcpWait::Over() const {
  return deps_.end->PoisonedAt(seq_) || deps_.interrupted.load(std::memory_order_relaxed);
}

void TcpWait::Closed(int member, const base::Status& fault) {
  if (!fault.ok()) {
    return Fail(fault.code(), base::FailureClass::kNetwork,
                Describe() + ": the connection with " + members_.DescribeWithPlace(member) + ": " +
                    fault.message(),
                {{member, ""}});
  }
  if (closed_.try_emplace(member, clock_.Now()).second) Ask({member});
}

bool TcpWait::LooksAgain() {
  const base::SteadyTime now = clock_.Now();
  if (since_ == base::SteadyTime()) {
    since_ = now;
    if (deps_.end->waits.load(std::memory_order_relaxed))
      deps_.end->waits.store(false, std::memory_order_relaxed);
    return true;
  }
  if (now - since_ >= SpinTime()) return false;
  if (Yields()) sched_yield();
  return true;
}

base::Duration TcpWait::SpinTime() const {
  if (deps_.cpu_share.throttled() || deps_.cpu_share.quota() < deps_.members_here)
    return kScarceTime;
  return Yields() ? kYieldTime : kSpinTime;
}

bool TcpWait::IdleLong(Phase phase, Wants& wants) {
  deps_.cpu_share.Refresh(clock_.Now());
  if (!wants.missing.empty() &&
      std::exchange(told_, wants.missing.front()) != wants.missing.front() && watch_.on_long_wait)
    watch_.on_long_wait(told_);
  if (!Look(phase, wants)) return false;
  const auto left_ms = std::chrono::ceil<std::chrono::milliseconds>(watch_.deadline.Left()).count();
  wants.fds.push_back({.fd = deps_.end->bell(false), .events = POLLIN, .revents = 0});
  ::poll(wants.fds.data(), wants.fds.size(),
         left_ms > 0 ? static_cast<int>(std::min<int64_t>(left_ms, kSleepMs)) : kSleepMs);
  if (wants.fds.back().revents != 0) deps_.end->ClearBell(false);
  return true;
}

bool TcpWait::Tend(Phase phase, int member) {
  if (Over()) return false;
  if (since_ == base::SteadyTime()) since_ = clock_.Now();
  return Look(phase, {.fds = {}, .missing = {member}, .direct = {member}});
}

bool TcpWait::Look(Phase phase, const Wants& wants) {
  deps_.end->waits.store(true, std::memory_order_release);
  const std::vector<int> missing = deps_.judges_all ? Others() : wants.missing;
  if (clock_.Now() - since_ >= kAskAfter) {
    AskOnce(wants.direct);
    AskOnce(missing);
  }
  if (FailGone(phase, missing, wants.direct)) return false;
  return watch_.deadline.Left().count() > 0 || !JudgeDeadline(phase, wants);
}

void TcpWait::AskOnce(const std::vector<int>& members) {
  std::vector<int> fresh;
  for (const int member : members) {
    if (fresh.size() == kAskedMax) break;  // the rest at the next look
    if (asked_.insert(member).second) fresh.push_back(member);
  }
  if (!fresh.empty()) Ask(std::move(fresh));
}

void TcpWait::Ask(std::vector<int> members) {
  if (members.size() > kAskedMax) members.resize(kAskedMax);
  deps_.service.Ask(deps_.end, std::move(members));
}

std::vector<int> TcpWait::Others() const {
  std::vector<int> others;
  for (int member = 0; member < members_.count(); ++member) {
    if (member != members_.self()) others.push_back(member);
  }
  return others;
}

// Of a member that this one cannot reach for a reason of its own: that one is there.
void TcpWait::FailHere(int member, const std::string& reason) {
  Fail(base::Code::kUnavailable, base::FailureClass::kNetwork,
       Describe() + ": " + members_.DescribeWithPlace(members_.self()) +
           " cannot go on: " + members_.DescribeWithPlace(member) + " " + reason,
       {{members_.self(), ""}});
}

// Who has left after this op did its part: what others still miss of it is on its way. Who is lost
// counts only for those who wait for itself, for the same reason.
bool TcpWait::FailGone(Phase phase, const std::vector<int>& missing,
                       const std::vector<int>& direct) {
  const char* const when = phase == Phase::kArrival ? "without calling it" : "in the middle of it";
  std::vector<int> left;
  for (const int member : missing) {
    const PeerFact fact = deps_.end->fact(member);
    if (fact.kind != PeerFact::Kind::kLeft || fact.completed_seq >= seq_) continue;
    // Who left because of an error has told it, and that is the cause: it comes any moment.
    if (!fact.failed || clock_.Now() - fact.at >= kClosedTime) left.push_back(member);
  }
  if (!left.empty()) {
    std::vector<ErrorRecord::Blamed> blamed;
    for (const int member : left) blamed.push_back({member, ""});
    Fail(base::Code::kUnavailable, base::FailureClass::kPeerDead,
         Describe() + ": " + members_.Describe(left) + " left the group " + when,
         std::move(blamed));
    return true;
  }
  for (const int member : direct) {
    const PeerFact fact = deps_.end->fact(member);
    const auto closed = closed_.find(member);
    std::string reason = fact.reason;
    if (fact.is_cut_here()) {
      FailHere(member, reason);
      return true;
    }
    if (fact.kind != PeerFact::Kind::kLost || fact.is_unasked()) {
      if (closed == closed_.end() || clock_.Now() - closed->second < kClosedTime) continue;
      reason = "closed its connection";
    }
    Fail(base::Code::kUnavailable, base::FailureClass::kPeerDead,
         Describe() + ": " + members_.DescribeWithPlace(member) + " " + reason + "; it was lost " +
             when,
         {{member, ""}});
    return true;
  }
  return false;
}

std::vector<int> TcpWait::Questionable(Phase phase, const Wants& wants) const {
  std::vector<int> members =
      phase == Phase::kArrival && !deps_.judges_all ? wants.missing : Others();
  if (deps_.judges_all) {
    members.erase(members.begin(),
                  members.begin() + static_cast<ptrdiff_t>(std::min(acquitted_, members.size())));
  }
  if (members.size() > kAskedMax) members.resize(kAskedMax);
  return members;
}

// Who waits may itself be waited for: only the members know who is late, so they are asked.
bool TcpWait::JudgeDeadline(Phase phase, const Wants& wants) {
  const base::SteadyTime now = clock_.Now();
  if (now < judge_again_at_) return false;
  if (judged_at_ == base::SteadyTime()) {
    judged_at_ = asked_at_ = now;
    questioned_ = Questionable(phase, wants);
    Ask(questioned_);
    return false;
  }
  if (now - judged_at_ < kAnswerTime && !AllHaveAnswered(now)) return false;
  // Who leaves because of an error has told it, which may take longer than the news of the leaving.
  const bool error_comes = std::any_of(questioned_.begin(), questioned_.end(), [&](int member) {
    const PeerFact fact = deps_.end->fact(member);
    return fact.kind == PeerFact::Kind::kLeft && fact.failed && now - fact.at < kClosedTime;
  });
  if (error_comes) return false;
  std::vector<int> late;
  if (phase == Phase::kArrival)
    late = LateInArrival(deps_.judges_all ? questioned_ : wants.missing);
  if (late.empty() && (phase == Phase::kData || deps_.judges_all)) late = LateInData();
  if (late.empty() && deps_.judges_all && acquitted_ + questioned_.size() < Others().size()) {
    acquitted_ += questioned_.size();
    judged_at_ = base::SteadyTime();
    return false;
  }
  if (late.empty()) late = wants.direct.empty() ? wants.missing : wants.direct;
  const bool may_be_late = std::any_of(late.begin(), late.end(), [&](int member) {
    return deps_.end->fact(member).late_until > now;
  });
  if (may_be_late) {
    // A long phase: asked again, but not as fast as answers come.
    acquitted_ = 0;
    judged_at_ = base::SteadyTime();
    judge_again_at_ = now + kAskAgain;
    return false;
  }
  const auto unasked = std::partition(
      late.begin(), late.end(), [&](int member) { return !deps_.end->fact(member).is_unasked(); });
  if (unasked == late.begin()) {
    FailUnasked(late);
    return true;
  }
  late.erase(unasked, late.end());
  FailDeadline(phase, late);
  return true;
}

/// Who was asked while an earlier answer was on its way is asked anew.
bool TcpWait::AllHaveAnswered(base::SteadyTime now) {
  std::vector<int> unheard;
  for (const int member : questioned_) {
    if (!deps_.end->fact(member).Settles(judged_at_)) unheard.push_back(member);
  }
  if (unheard.empty()) return true;
  if (now - asked_at_ >= kAskAgain) {
    asked_at_ = now;
    Ask(std::move(unheard));
  }
  return false;
}

std::vector<int> TcpWait::LateInArrival(const std::vector<int>& members) const {
  std::vector<int> late, idle;
  for (const int member : members) {
    const PeerFact fact = deps_.end->fact(member);
    const bool answered = fact.kind == PeerFact::Kind::kAnswered && fact.Settles(judged_at_);
    if (answered && fact.called_seq >= seq_) continue;
    late.push_back(member);
    if (!answered || !fact.waits) idle.push_back(member);
  }
  // Who waits in the op before, which has ended here, is held up by another one itself.
  return idle.empty() ? late : idle;
}

std::vector<int> TcpWait::LateInData() const {
  std::vector<int> late;
  for (const int member : questioned_) {
    const PeerFact fact = deps_.end->fact(member);
    const bool answered = fact.kind == PeerFact::Kind::kAnswered && fact.Settles(judged_at_);
    if (!answered || (fact.completed_seq < seq_ && !fact.waits)) late.push_back(member);
  }
  return late;
}

void TcpWait::FailDeadline(Phase phase, const std::vector<int>& late) {
  std::vector<ErrorRecord::Blamed> blamed;
  for (const int member : late) blamed.push_back({member, ""});
  Fail(base::Code::kDeadlineExceeded, base::FailureClass::kPeerStalled,
       DescribeDeadline() + ": " + members_.Describe(late) +
           (phase == Phase::kArrival ? " never called it" : " stopped in the middle of it"),
       std::move(blamed));
}

/// What a deadline says of members that are there, for all that this one knows.
void TcpWait::FailUnasked(const std::vector<int>& waited_for) {
  Fail(base::Code::kDeadlineExceeded, base::FailureClass::kNetwork,
       DescribeDeadline() + ": " + members_.DescribeWithPlace(members_.self()) + " waited for " +
           members_.Describe(waited_for) +
           " and could not ask why: " + members_.DescribeWithPlace(waited_for.front()) + " " +
           deps_.end->fact(waited_for.front()).reason,
       {{members_.self(), ""}});
}

std::string TcpWait::DescribeDeadline() const {
  const OpDeadline::Due due = watch_.deadline.due();
  const std::string timeout = base::FormatDuration(due.timeout);
  return Describe() + (due.seq.value() == seq_ ? ", ran out of its " + timeout
                                               : ", holds up op " + due.seq.ToString() +
                                                     ", which ran out of its " + timeout);
}

std::string TcpWait::Describe() const {
  return DescribeOp(op_.kind, op_.dtype, op_.reduction, op_.peer, op_.count) + ", op " +
         std::to_string(seq_) + " of group " + members_.spec().name;
}

ErrorRecord TcpWait::RecordOf(base::Code code, base::FailureClass failure_class,
                              std::string message, std::vector<ErrorRecord::Blamed> blamed) const {
  ErrorRecord record;
  record.code = code;
  record.failure_class = failure_class;
  record.from_seq = seq_;
  record.SetOp(op_, seq_);
  record.message = std::move(message);
  record.blamed = std::move(blamed);
  return record;
}

void TcpWait::Fail(base::Code code, base::FailureClass failure_class, std::string message,
                   std::vector<ErrorRecord::Blamed> blamed) {
  if (deps_.end->SetError(RecordOf(code, failure_class, std::move(message), std::move(blamed))))
    deps_.service.TellError(deps_.end);
}

void TcpWait::FailAlike(std::string message, std::vector<ErrorRecord::Blamed> blamed) {
  deps_.end->SetError(RecordOf(base::Code::kFailedPrecondition, base::FailureClass::kUsage,
                               std::move(message), std::move(blamed)));
}

void TcpWait::FailProtocol(int member, const base::Status& finding) {
  Fail(finding.code(), base::FailureClass::kNetwork,
       Describe() + ": what " + members_.DescribeWithPlace(member) +
           " sent is wrong: " + finding.message(),
       {{member, ""}});
}

}  // namespace lockstep::collectives
