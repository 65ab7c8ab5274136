// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// QueuedGroup: the groups of those that are left, in a job that keeps its survivors.
#include <algorithm>
#include <chrono>
#include <utility>

#include "collectives/engine/own_deadline.h"
#include "collectives/engine/queued_group.h"

namespace lockstep::collectives {
namespace {

using base::Rank;

/// A death is on its way here as news of the agent when an op sees it first.
constexpr base::Duration kNewsTime = std::chrono::milliseconds(100);
/// In which members that live have come: an op of a failed group ends on all of them within a
/// second.
constexpr base::Duration kComeTime = std::chrono::seconds(2);
constexpr int kRepairsMax = 3;

bool Has(const std::vector<Rank>& ranks, Rank rank) {
  return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
}

bool BlamesAProcess(const base::Status& failure) {
  return failure.failure_class() == base::FailureClass::kPeerDead ||
         failure.failure_class() == base::FailureClass::kPeerStalled ||
         failure.failure_class() == base::FailureClass::kNetwork;
}

std::vector<Rank> SubjectsOf(const base::Status& failure, const std::vector<Rank>& among) {
  std::vector<Rank> ranks;
  for (const base::Subject& subject : failure.root().subjects()) {
    if (subject.rank && Has(among, *subject.rank)) ranks.push_back(*subject.rank);
  }
  return ranks;
}

}  // namespace

base::Status QueuedGroup::failure() const {
  const std::lock_guard<std::mutex> lock(failure_mutex_);
  return failure_;
}

std::vector<Rank> QueuedGroup::Suspects() const {
  const base::Status failure = this->failure();
  if (!BlamesAProcess(failure)) return {};
  std::vector<Rank> others = info_.world_ranks;
  others.erase(others.begin() + info_.rank.value());
  return SubjectsOf(failure, others);
}

base::Status QueuedGroup::GiveUp(const std::vector<Rank>& ranks, const std::string& why,
                                 base::Duration timeout) const {
  Rounds& rounds = *config_.rounds;
  const OwnDeadline own(timeout);
  for (const Rank rank : ranks) {
    if (!rounds.WhyGone(rank)) {
      const base::Status told = rounds.GiveUp(rank, why, own.deadline.Left());
      if (!told.ok()) return told.WithFrame("shrinking group " + info_.name);
    }
    while (!rounds.WhyGone(rank)) {
      const base::Round round = rounds.current();
      if (rounds.WhyGone(rank)) break;  // since that round
      const base::Status begun = rounds.AwaitLaterThan(round, own.deadline);
      if (!begun.ok())
        return begun.WithFrame("shrinking group " + info_.name + " by rank " + rank.ToString());
    }
  }
  return base::OkStatus();
}

base::Result<std::shared_ptr<Group>> QueuedGroup::DeriveWithout(Derivation derivation,
                                                                const OpDeadline& deadline) {
  const base::RealClock clock;
  const base::SteadyTime due = clock.Now() + std::max(deadline.Left(), base::Duration(0));
  std::vector<Rank> excluded = info_.world_ranks;
  std::erase_if(excluded, [&](Rank rank) { return Has(derivation.world_ranks, rank); });
  RETURN_IF_ERROR(GiveUp(excluded, derivation.reason, due - clock.Now()));
  // Others may have heard of that round first, and shrink to its survivors: it is one group.
  derivation.name = SurvivorsName(info_.name);
  derivation.world_ranks = info_.world_ranks;
  return DeriveSurvivors(std::move(derivation), due);
}

base::Status QueuedGroup::AwaitNews(base::Duration timeout) const {
  Rounds& rounds = *config_.rounds;
  const OwnDeadline soon(std::min(kNewsTime, timeout));
  const base::Round round = rounds.current();
  if (!rounds.GoneOf(info_.world_ranks).empty()) return base::OkStatus();
  const base::Status begun = rounds.AwaitLaterThan(round, soon.deadline);
  return begun.code() == base::Code::kDeadlineExceeded ? base::OkStatus() : begun;
}

base::Result<int> QueuedGroup::RepairsWith(const std::vector<Rank>& left) const {
  if (left.size() < info_.world_ranks.size()) return 0;
  const int repairs = has_served_.load(std::memory_order_relaxed) ? 1 : config_.repairs + 1;
  if (repairs <= kRepairsMax) return repairs;
  return base::FailedPreconditionError("shrinking group " + info_.name +
                                       " to its survivors: all of its members live, and have "
                                       "made it again " +
                                       std::to_string(kRepairsMax) +
                                       " times, but none of its ops ends well")
      .WithCause(failure());
}

base::Result<std::shared_ptr<Group>> QueuedGroup::DeriveSurvivors(Derivation derivation,
                                                                  const OpDeadline& deadline) {
  if (!owner()) return ForkedError();
  if (config_.rounds == nullptr) return Group::DeriveSurvivors(std::move(derivation), deadline);
  const base::RealClock clock;
  return DeriveSurvivors(std::move(derivation),
                         clock.Now() + std::max(deadline.Left(), base::Duration(0)));
}

// Who is blamed may live: a member that waited itself, or one that was only slow. The word that
// counts is its own: who comes is no suspect, and who neither comes nor is gone is given up. `due`
// is of the time that passes: nobody looks at an awake clock while the agent is asked.
base::Result<std::shared_ptr<Group>> QueuedGroup::DeriveSurvivors(Derivation derivation,
                                                                  base::SteadyTime due) {
  Rounds& rounds = *config_.rounds;
  const std::vector<Rank> all = derivation.world_ranks;
  const Rank self = all[static_cast<size_t>(info_.rank.value())];
  std::vector<Rank> suspects = Suspects();
  const base::RealClock clock;
  RETURN_IF_ERROR(AwaitNews(due - clock.Now()));
  base::SteadyTime suspects_due = clock.Now() + kComeTime;
  for (;;) {
    std::vector<Rank>& left = derivation.world_ranks;
    left = all;
    std::erase_if(left, [&](Rank rank) { return rounds.WhyGone(rank).has_value(); });
    if (const auto why = rounds.WhyGone(self)) {
      return base::FailedPreconditionError("shrinking group " + info_.name +
                                           ": the job has gone on without this rank, which " +
                                           *why);
    }
    std::erase_if(suspects, [&](Rank rank) { return !Has(left, rank); });
    ASSIGN_OR_RETURN(const int repairs, RepairsWith(left));
    const bool probes = !suspects.empty() && suspects_due < due;
    const base::SteadyTime attempt_due = probes ? suspects_due : due;
    const OwnDeadline attempt(std::max(attempt_due - clock.Now(), base::Duration(0)));
    base::Result<std::shared_ptr<Group>> made = Make(derivation, attempt.deadline, repairs);
    if (made.ok()) return made;
    if (!rounds.GoneOf(left).empty()) {  // again, without it
      suspects_due = clock.Now() + kComeTime;
      continue;
    }
    if (made.status().code() != base::Code::kDeadlineExceeded) return made;
    if (clock.Now() < attempt_due) continue;  // that of another one has passed
    if (!probes) return made;
    const std::vector<Rank> absent = SubjectsOf(made.status(), suspects);
    suspects.clear();
    RETURN_IF_ERROR(GiveUp(
        absent,
        "did not come to the survivors of group " + info_.name + " after " + failure().message(),
        due - clock.Now()));
  }
}

}  // namespace lockstep::collectives
