// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/make_in_round.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "collectives/engine/own_deadline.h"

namespace lockstep::collectives {
namespace {

/// The agent tells of a round before it refuses what is of an earlier one, on two connections: the
/// news may be read so much later. Costs nothing but the time to an error that is another one.
constexpr base::Duration kNewsLag = std::chrono::seconds(1);
constexpr size_t kGoneTold = 8;

/// A deadline that is not ours has passed for a member that knew of the round before us.
bool MayBeOfOldRound(const base::Status& error, const OpDeadline& whole) {
  if (error.code() == base::Code::kDeadlineExceeded) return whole.Left().count() > 0;
  return error.code() == base::Code::kFailedPrecondition || error.code() == base::Code::kAborted;
}

/// Whether a later round than that of `spec` has begun, or who was to come is known to be gone.
bool IsOver(const GroupSpec& spec, const base::Status& error, const OpDeadline& whole,
            Rounds& rounds) {
  if (rounds.current() > spec.epoch || !rounds.GoneOf(spec.world_ranks).empty()) return true;
  if (!MayBeOfOldRound(error, whole)) return false;
  const OwnDeadline lag(kNewsLag);
  return rounds.AwaitLaterThan(spec.epoch, lag.deadline).ok();
}

bool HasAny(const GroupSpec& spec, const std::vector<Rounds::Gone>& gone) {
  return std::any_of(gone.begin(), gone.end(), [&spec](const Rounds::Gone& one) {
    const auto& ranks = spec.world_ranks;
    return std::find(ranks.begin(), ranks.end(), one.rank) != ranks.end();
  });
}

}  // namespace

base::Status GoneError(const std::string& doing, const std::string& job,
                       const std::vector<Rounds::Gone>& gone) {
  std::string message = doing + ": ";
  for (size_t i = 0; i < gone.size() && i < kGoneTold; ++i) {
    message += (i == 0 ? "rank " : "; rank ") + gone[i].rank.ToString() + " is gone" +
               (gone[i].why.empty() ? "" : " (" + gone[i].why + ")");
  }
  if (gone.size() > kGoneTold) message += "; " + std::to_string(gone.size() - kGoneTold) + " more";
  base::Status error =
      base::UnavailableError(std::move(message)).WithClass(base::FailureClass::kPeerDead);
  for (const Rounds::Gone& one : gone) {
    base::Subject subject;
    subject.job = job;
    subject.rank = one.rank;
    error = error.WithSubject(std::move(subject));
  }
  return error;
}

base::Result<std::unique_ptr<Backend>> MakeInRound(GroupSpec& spec, BackendMaker& maker,
                                                   Rounds* rounds, const OpDeadline& deadline) {
  if (rounds == nullptr) return maker.Make(spec, deadline);
  for (;;) {
    spec.epoch = rounds->current();
    const std::vector<Rounds::Gone> gone = rounds->GoneOf(spec.world_ranks);
    if (!gone.empty()) return GoneError("joining group " + spec.name, spec.job, gone);
    OpDeadline attempt(deadline.clock());
    attempt.Set(deadline.due());
    const auto watching =
        rounds->Subscribe([&](base::Round round, const std::vector<Rounds::Gone>& all) {
          if (round > spec.epoch || HasAny(spec, all)) attempt.End();
        });
    base::Result<std::unique_ptr<Backend>> made = maker.Make(spec, attempt);
    if (made.ok() || !IsOver(spec, made.status(), deadline, *rounds)) return made;
  }
}

}  // namespace lockstep::collectives
