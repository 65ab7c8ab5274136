// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Whom NcclEngine waits for and blames: what the boards say of the others, and in which words.
#include <algorithm>
#include <utility>

#include "collectives/engine/member_names.h"
#include "collectives/nccl/nccl_engine.h"

namespace lockstep::collectives {

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
  std::string text = DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count) + " number " +
                     part.seq.ToString() + " of group " + config_.info.name + " ran out of its " +
                     base::FormatDuration(op.timeout) + ": ";
  if (!silent.empty()) {
    text += (missing.empty() ? "in the middle of it " : "") + DoNotAnswer(silent) +
            (missing.empty() ? ": stopped" : "");
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
  std::vector<int> uncalled, silent;
  for (const int member : missing) (board_->IsSilent(member) ? silent : uncalled).push_back(member);
  std::string text;
  if (!uncalled.empty())
    text = "never called by " + NameMembers(config_.spec.world_ranks, uncalled);
  if (!silent.empty()) text += (text.empty() ? "" : "; ") + DoNotAnswer(silent);
  return text;
}

std::string NcclEngine::DoNotAnswer(const std::vector<int>& silent) const {
  return NameMembers(config_.spec.world_ranks, silent) +
         (silent.size() == 1 ? " does not answer" : " do not answer");
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
