// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// How a group of NcclEngine fails: what it hears, what it waits for too long, and what then ends.
#include <algorithm>
#include <utility>

#include "collectives/nccl/nccl_engine.h"

namespace lockstep::collectives {

void NcclEngine::Abort(const base::Status& reason) {
  const Lock lock(mutex_);
  if (!root_.ok()) return;
  const base::Status root =
      base::AbortedError("group " + config_.info.name + " was aborted: " + reason.ToString());
  board_->PostError({root, base::OpSeq(0)});
  FailLocked(root);
}

/// A call that this member refused is an op all the same: it fails in its turn, and the others with
/// it.
void NcclEngine::FailRefused() {
  if (!root_.ok() || collectives_.live.empty()) return;
  NcclPart& first = *collectives_.live.front();
  if (first.op.refusal.ok()) return;
  first.culprit = true;
  TellRefusal(first.op, first.op.refusal, first.seq);
  FailLocked(first.op.refusal);
}

void NcclEngine::TellRefusal(const Op& op, const base::Status& refusal, base::OpSeq seq) {
  const int self = config_.spec.rank.value();
  const base::Status told =
      base::FailedPreconditionError("rank " +
                                    config_.spec.world_ranks[static_cast<size_t>(self)].ToString() +
                                    " of group " + config_.info.name + " was refused its " +
                                    std::string(OpKindName(op.kind)) + ": " + refusal.ToString())
          .WithClass(base::FailureClass::kUsage);
  board_->PostError({Blaming(told, {self}), seq});
}

void NcclEngine::FailLocked(base::Status root) {
  root_ = std::move(root);
  failed_at_ = clock_.Now();
  StartAbort(collectives_);
  for (const auto& [_, route] : transfers_) StartAbort(*route);
  if (aborts_left_ == 0) EndAll("");
  ActivateLocked();
  changed_.notify_all();
}

/// NCCL's abort wants no thread in a call on the communicator; one that has nothing in flight is
/// left for later, since the abort of one rank alone can hang or crash its siblings.
void NcclEngine::StartAbort(Route& route) {
  if (route.issued == 0 || route.lane == nullptr || route.aborting) return;
  route.aborting = true;
  ++aborts_left_;
  const std::shared_ptr<NcclLane> lane = route.lane;
  const bool keep = route.peer < 0;  // for Shrink
  config_.runtime->Start("ending what is in flight of " + lane->communicator().config().name,
                         NcclRuntime::Limit::kAbort, [self = shared_from_this(), lane, keep] {
                           lane->Stop(keep);
                           const Lock lock(self->mutex_);
                           if (--self->aborts_left_ == 0) self->EndAll("");
                           self->changed_.notify_all();
                         });
}

/// `note`: what is to be known of the buffers.
void NcclEngine::EndAll(const std::string& note) {
  const base::SteadyTime now = clock_.Now();
  const auto end = [&](Route& route) {
    while (!route.live.empty()) {
      const NcclPart& part = *route.live.front();
      base::Status status = !part.op.refusal.ok() ? part.op.refusal
                            : part.culprit        ? root_
                                                  : FailedBefore();
      if (!note.empty()) status = status.WithFrame(note);
      Over(route, std::move(status), now);
    }
  };
  end(collectives_);
  for (const auto& [_, route] : transfers_) end(*route);
  changed_.notify_all();
}

void NcclEngine::Close() {
  Lock lock(mutex_);
  closed_ = true;
  board_->Leave();
  for (const auto& [_, route] : transfers_) {
    if (route->board != nullptr) route->board->Leave();
  }
  if (root_.ok() && AnyLive()) {
    FailLocked(base::AbortedError("group " + config_.info.name +
                                  " was destroyed on this rank before the op ended"));
  }
  const auto over = [this] {
    return !AnyLive() && aborts_left_ == 0 &&
           (running_callbacks_ == std::this_thread::get_id() ||
            (ready_callbacks_.empty() && running_callbacks_ == std::thread::id()));
  };
  // Longer than the limit: when it passes, the process ends.
  const base::Duration limit = config_.runtime->abort_limit();
  (void)changed_.wait_until(lock, clock_.Now() + limit + kGrace, over);
  std::vector<std::shared_ptr<NcclLane>> lanes = {collectives_.lane};
  for (const auto& [_, route] : transfers_) {
    if (route->lane != nullptr) lanes.push_back(route->lane);
  }
  const base::Duration patience = root_.ok() ? limit : base::Duration(0);
  lock.unlock();
  for (const auto& lane : lanes) {
    config_.runtime->Start("retiring " + lane->communicator().config().name,
                           NcclRuntime::Limit::kNone, [lane, patience] { lane->Retire(patience); });
  }
}

// ---------------------------------------------------------------------------------------- watching

void NcclEngine::Watch() {
  const Lock lock(mutex_);
  if (root_.ok()) HearOthers();
  if (root_.ok()) BlameBroken();
  if (root_.ok()) AskOthers();
  if (root_.ok()) CheckDeadlines();
  if (root_.ok()) CheckLeavers();
  if (!root_.ok() && AnyLive() && clock_.Now() - failed_at_ >= kGrace) {
    EndAll(
        "the abort of its communicator has not ended, so that the GPU may still use the op's "
        "buffers");
  }
}

/// What another member has made the group's error: ops before that one may still end well.
void NcclEngine::HearOthers() {
  if (!root_.ok()) return;
  const std::optional<GroupBoard::Error> error = board_->error();
  if (!error.has_value()) return;
  const auto& live = collectives_.live;
  const base::OpSeq next = live.empty() ? collectives_.next_seq : live.front()->seq;
  const bool transfers_wait =
      std::any_of(transfers_.begin(), transfers_.end(),
                  [](const auto& entry) { return !entry.second->live.empty(); });
  if (next < error->seq && !transfers_wait) return;
  if (!live.empty()) live.front()->culprit = true;
  for (const auto& [_, route] : transfers_) {
    if (!route->live.empty()) route->live.front()->culprit = true;
  }
  FailLocked(error->status);
}

/// NCCL has lost a member: whose process is gone, the board says.
void NcclEngine::BlameBroken() {
  if (broken_.ok()) return;
  if (!Knows(collectives_, broken_since_)) return;
  // Only what was found out since: a member that was lost before may be back.
  const std::vector<int> lost = Lost(collectives_, broken_since_);
  std::string text = broken_.message();
  for (const int member : lost) {
    text += "; rank " + config_.spec.world_ranks[static_cast<size_t>(member)].ToString() + " " +
            WhyLost(collectives_, member, broken_since_).value_or("is gone");
  }
  const base::Status status = Blaming(
      base::Status(broken_.code(), std::move(text)).WithClass(broken_.failure_class()), lost);
  board_->PostError({status, base::OpSeq(0)});
  FailLocked(status);
}

/// What waits for long wants to know for whom.
void NcclEngine::AskOthers() {
  const base::SteadyTime now = clock_.Now();
  const auto ask = [&](Route& route) {
    if (route.live.empty()) return;
    if (route.first_since == base::SteadyTime()) route.first_since = now;
    if (now - route.first_since >= kAskAfter) (void)Knows(route, now - kAskEvery);
  };
  ask(collectives_);
  for (const auto& [_, route] : transfers_) ask(*route);
}

std::vector<int> NcclEngine::Others(const Route& route) const {
  const int self = config_.spec.rank.value();
  std::vector<int> others;
  for (int member = 0; member < config_.info.size; ++member) {
    if (member != self && (route.peer < 0 || route.peer == member)) others.push_back(member);
  }
  return others;
}

/// Of the others that `route` deals with.
bool NcclEngine::Knows(const Route& route, base::SteadyTime since) const {
  const bool of_group = board_->Knows(Others(route), since);
  if (route.board == nullptr || route.peer == config_.spec.rank.value()) return of_group;
  const int end = route.receives ? 0 : 1;
  return route.board->Knows({end}, since) && of_group;
}

void NcclEngine::CheckDeadlines() {
  const bool any_long_phase = AnyLongPhase();
  CheckDeadlines(collectives_, any_long_phase);
  for (const auto& [_, route] : transfers_) {
    if (root_.ok()) CheckDeadlines(*route, any_long_phase);
  }
}

void NcclEngine::CheckDeadlines(Route& route, bool any_long_phase) {
  const AwakeTime now = awake_.Now();
  for (const auto& part : route.live) {
    if (any_long_phase && Excused(NotCalled(route, part->seq))) {
      part->due = now + part->op.timeout;  // its time begins anew once they have come
      part->overdue_since = {};
      continue;
    }
    if (part->due > now) continue;
    if (part->overdue_since == base::SteadyTime()) part->overdue_since = clock_.Now();
    if (!Knows(route, part->overdue_since)) return;
    std::vector<int> missing = NotCalled(route, part->seq);
    if (Excused(missing)) return;  // as they have just said: the next look
    std::erase_if(missing, [this](int member) { return Excused({member}); });
    // Of a large group, others know more, and say it.
    const bool may_hear = clock_.Now() - part->overdue_since < GroupBoard::kAnswerTime;
    if (missing.empty() && may_hear && Unknown(route) > 0) return;
    part->culprit = true;
    const base::Status status = Expired(route, *part, missing);
    board_->PostError({status, base::OpSeq(0)});
    FailLocked(status);
    return;
  }
  RecordWaits(route);
}

bool NcclEngine::AnyLongPhase() const {
  const base::SteadyTime now = clock_.Now();
  for (int member = 0; member < config_.info.size; ++member) {
    if (board_->LongPhase(member) > now) return true;
  }
  return false;
}

/// Whether all that an op waits for have said that they may be late.
bool NcclEngine::Excused(const std::vector<int>& missing) const {
  const base::SteadyTime now = clock_.Now();
  return !missing.empty() && std::all_of(missing.begin(), missing.end(), [&](int member) {
    return board_->LongPhase(member) > now;
  });
}

/// Members that have not come to op `seq` of `route`, those that do not answer included.
std::vector<int> NcclEngine::NotCalled(const Route& route, base::OpSeq seq) const {
  const int self = config_.spec.rank.value();
  if (route.peer >= 0) {
    const bool met =
        route.peer != self && route.board != nullptr && route.board->NeverCame().empty();
    const int end = route.receives ? 0 : 1;  // of the peer, on the route's board
    if (met && route.board->Called(end).value_or(base::OpSeq(0)) >= seq) return {};
    return {route.peer};
  }
  std::vector<int> missing;
  for (int member = 0; member < config_.info.size; ++member) {
    if (member == self) continue;
    const std::optional<base::OpSeq> called = board_->Called(member);
    if (called.has_value() ? *called < seq : board_->IsSilent(member)) missing.push_back(member);
  }
  return missing;
}

/// Others of whom nobody here knows how far they are; 0 for a pair.
int NcclEngine::Unknown(const Route& route) const {
  if (route.peer >= 0) return 0;
  const std::vector<int> others = Others(route);
  return static_cast<int>(std::count_if(others.begin(), others.end(), [this](int member) {
    return !board_->Called(member).has_value();
  }));
}

/// What the boards say of `member`: the group's, and, of a large group's pair, that of the two.
template <class Question>
auto NcclEngine::OfBoards(const Route& route, int member, const Question& question) const {
  auto answer = question(*board_, member);
  if (answer || route.board == nullptr || route.peer != member ||
      member == config_.spec.rank.value()) {
    return answer;
  }
  return question(*route.board, route.receives ? 0 : 1);
}

std::optional<std::string> NcclEngine::WhyLost(const Route& route, int member,
                                               base::SteadyTime since) const {
  return OfBoards(route, member, [since](const GroupBoard& board, int of) {
    return board.WhyLostSince(of, since);
  });
}

bool NcclEngine::HasLeft(const Route& route, int member) const {
  return OfBoards(route, member, [](const GroupBoard& board, int of) { return board.HasLeft(of); });
}

/// Members whose processes are gone, as was found out at `since` or later.
std::vector<int> NcclEngine::Lost(const Route& route, base::SteadyTime since) const {
  std::vector<int> lost = Others(route);
  std::erase_if(lost, [&](int member) { return !WhyLost(route, member, since).has_value(); });
  return lost;
}

std::vector<int> NcclEngine::Silent(const Route& route) const {
  std::vector<int> silent = Others(route);
  std::erase_if(silent, [&](int member) {
    return !OfBoards(route, member,
                     [](const GroupBoard& board, int of) { return board.IsSilent(of); });
  });
  return silent;
}

base::Status NcclEngine::Expired(const Route& route, const NcclPart& part,
                                 const std::vector<int>& missing) const {
  const Op& op = part.op;
  const auto world_rank = [this](int member) {
    return config_.spec.world_ranks[static_cast<size_t>(member)].ToString();
  };
  const std::vector<int> lost =
      missing.empty() ? Lost(route, part.overdue_since) : std::vector<int>();
  const bool may_be_silent = route.peer >= 0 || missing.empty();
  const std::vector<int> silent =
      may_be_silent && lost.empty() ? Silent(route) : std::vector<int>();
  const auto name_all = [&](const std::vector<int>& members) {
    std::string names;
    for (const int member : members) names += (names.empty() ? "" : ", ") + world_rank(member);
    return names;
  };
  std::string text = DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count) + " number " +
                     part.seq.ToString() + " of group " + config_.info.name + " ran out of its " +
                     base::FormatDuration(op.timeout) + ": ";
  if (!silent.empty()) {
    text += missing.empty() ? "in the middle of it rank " + name_all(silent) +
                                  " has stopped: it does not answer"
                            : "rank " + name_all(silent) + " does not answer";
  } else if (!lost.empty()) {
    text += "in the middle of it rank " + world_rank(lost.front()) + " was lost: it " +
            WhyLost(route, lost.front(), part.overdue_since).value_or("is gone");
  } else if (route.peer >= 0) {
    text += "rank " + world_rank(route.peer) +
            (missing.empty()  ? " stopped in the middle of it"
             : route.receives ? " never sent it"
                              : " never received it");
  } else if (missing.empty()) {
    const int unknown = Unknown(route);
    text += unknown == 0 ? "all members have called it"
                         : std::to_string(config_.info.size - unknown) + " of " +
                               std::to_string(config_.info.size) +
                               " members have called it, of the others this one knows nothing,";
    text += " and NCCL has not ended it: a member's GPU or network hangs, or its call differs";
    text += Unasked(route);
  } else {
    text += Uncalled(missing);
  }
  const bool known = route.peer >= 0 || !missing.empty() || !silent.empty();
  const base::Status status = base::DeadlineExceededError(std::move(text))
                                  .WithClass(!lost.empty() ? base::FailureClass::kPeerDead
                                             : known       ? base::FailureClass::kPeerStalled
                                                           : base::FailureClass::kTimeoutUnknown);
  if (!lost.empty()) return Blaming(status, lost);
  if (!silent.empty()) return Blaming(status, silent);
  return Blaming(status, route.peer >= 0 ? std::vector{route.peer} : missing);
}

/// Of members that do not answer nobody knows whether they have called an op.
std::string NcclEngine::Uncalled(const std::vector<int>& missing) const {
  std::string uncalled, silent;
  for (const int member : missing) {
    std::string& names = board_->IsSilent(member) ? silent : uncalled;
    names += (names.empty() ? "" : ", ") +
             config_.spec.world_ranks[static_cast<size_t>(member)].ToString();
  }
  std::string text = uncalled.empty() ? "" : "never called by rank " + uncalled;
  if (!silent.empty()) text += (text.empty() ? "" : "; ") + ("rank " + silent) + " does not answer";
  return text;
}

/// Whom this member's own trouble keeps it from asking: of many the first.
std::string NcclEngine::Unasked(const Route& route) const {
  for (const int member : Others(route)) {
    const std::optional<std::string> why = board_->WhyUnasked(member);
    if (!why.has_value()) continue;
    return "; rank " + config_.spec.world_ranks[static_cast<size_t>(member)].ToString() + " " +
           *why;
  }
  return "";
}

void NcclEngine::CheckLeavers() {
  CheckLeavers(collectives_);
  for (const auto& [_, route] : transfers_) {
    if (root_.ok()) CheckLeavers(*route);
  }
}

/// Who has dropped the group, or has died, will not come. But what it did before may have been
/// heard of later than its end.
void NcclEngine::CheckLeavers(Route& route) {
  if (route.live.empty() || (route.peer >= 0 && route.board == nullptr)) return;
  NcclPart& first = *route.live.front();
  if (GoneBefore(route, first.seq, {}) < 0) {
    route.gone_since = {};
    return;
  }
  if (route.gone_since == base::SteadyTime()) route.gone_since = clock_.Now();
  if (!Knows(route, route.gone_since)) return;
  const int member = GoneBefore(route, first.seq, route.gone_since);
  if (member < 0) return;
  // Of the dead nobody knows what they called last: what is on its way from them still comes.
  const bool died = !HasLeft(route, member);
  if (died && clock_.Now() - route.gone_since < GroupBoard::kAnswerTime) return;
  first.culprit = true;
  const base::Status status = Blaming(Left(route, member, first), {member});
  board_->PostError({status, base::OpSeq(0)});
  FailLocked(status);
}

/// The first member that has not come to op `seq` and never will, since it has left, or was found
/// to be gone at `since` or later; -1: there is none.
int NcclEngine::GoneBefore(const Route& route, base::OpSeq seq, base::SteadyTime since) const {
  for (const int member : NotCalled(route, seq)) {
    if (HasLeft(route, member) || WhyLost(route, member, since).has_value()) return member;
  }
  return -1;
}

base::Status NcclEngine::Left(const Route& route, int member, const NcclPart& part) const {
  const Op& op = part.op;
  const std::string how = HasLeft(route, member)
                              ? " has dropped group " + config_.info.name
                              : " " + WhyLost(route, member, route.gone_since).value_or("is gone") +
                                    "; group " + config_.info.name + " lost it";
  return base::UnavailableError("rank " +
                                config_.spec.world_ranks[static_cast<size_t>(member)].ToString() +
                                how + " before op " + part.seq.ToString() + ", " +
                                DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count))
      .WithClass(base::FailureClass::kPeerDead);
}

void NcclEngine::RecordWaits(const Route& route) {
  if (config_.recorder == nullptr || route.live.empty()) return;
  const NcclPart& first = *route.live.front();
  const std::vector<int> missing = NotCalled(route, first.seq);
  if (missing.empty()) return;
  config_.recorder->WaitsFor(first.record,
                             config_.spec.world_ranks[static_cast<size_t>(missing.front())]);
}

base::Status NcclEngine::Blaming(base::Status status, const std::vector<int>& members) const {
  for (const int member : members) status = status.WithSubject(board_->SubjectOf(member));
  return status;
}

}  // namespace lockstep::collectives
