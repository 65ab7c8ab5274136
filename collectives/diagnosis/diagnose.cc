// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/diagnose.h"

#include <signal.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "collectives/diagnosis/broken_network.h"
#include "collectives/diagnosis/group_views.h"
#include "collectives/diagnosis/mismatch.h"
#include "collectives/diagnosis/wait_graph.h"

namespace lockstep::collectives {
namespace {

using Class = Finding::Class;
using Confidence = Finding::Confidence;

class Diagnosis {
 public:
  Diagnosis(const Evidence& evidence, const DiagnoseOptions& options)
      : evidence_(evidence),
        options_(options),
        groups_(evidence),
        waits_(evidence, groups_,
               {.least = options.least_wait, .errors_count = options.errors_count}) {
    for (const SeenRank& rank : evidence.ranks) ranks_.emplace(rank.rank, &rank);
  }

  Finding Run() const {
    for (const auto find :
         {&Diagnosis::DeadOfItself, &Diagnosis::NodeLost, &Diagnosis::Mismatch, &Diagnosis::Held,
          &Diagnosis::Deadlock, &Diagnosis::Network, &Diagnosis::Missing, &Diagnosis::FailedFirst,
          &Diagnosis::Unheard, &Diagnosis::Stall}) {
      std::optional<Finding> finding = (this->*find)();
      if (!finding.has_value()) continue;
      AddVictims(*finding);
      return *std::move(finding);
    }
    return {};
  }

 private:
  std::optional<Finding> DeadOfItself() const;
  std::optional<Finding> NodeLost() const;
  std::optional<Finding> Mismatch() const;
  std::optional<Finding> Held() const;
  std::optional<Finding> Deadlock() const;
  std::optional<Finding> Network() const;
  std::optional<Finding> Missing() const;
  std::optional<Finding> FailedFirst() const;
  std::optional<Finding> Unheard() const;
  std::optional<Finding> Stall() const;

  Absence AbsenceOf(base::Rank rank) const;
  const SeenRank* Find(base::Rank rank) const {
    const auto found = ranks_.find(rank);
    return found != ranks_.end() ? found->second : nullptr;
  }
  std::set<base::Rank> UnheardOf() const;
  /// By the one that ended first of them.
  base::Duration EndedAgo(const std::set<base::Rank>& ranks) const {
    base::Duration longest{0};
    for (const base::Rank rank : ranks) longest = std::max(longest, Find(rank)->process.ended_ago);
    return longest;
  }
  bool AnyHasLostRecords(const std::set<base::Rank>& ranks) const {
    return std::any_of(ranks.begin(), ranks.end(),
                       [&](base::Rank rank) { return Find(rank)->ring_overflowed; });
  }
  void DoubtAnExit(Finding& finding) const;
  void Locate(Finding& finding, const std::set<base::Rank>& awaited) const;
  void AddVictims(Finding& finding) const;

  const Evidence& evidence_;
  const DiagnoseOptions& options_;
  const GroupViews groups_;
  const WaitGraph waits_;
  std::map<base::Rank, const SeenRank*> ranks_;
};

/// Nothing that a peer does brings it to a process; an exit code, SIGABRT or SIGPIPE is what one
/// whose peer vanished ends with.
bool DiedOfItself(const SeenProcess& process) {
  return process.out_of_memory ||
         (process.signal != 0 && process.signal != SIGABRT && process.signal != SIGPIPE);
}

Finding DeadRanks() { return {.verdict_class = Class::kDeadRank, .is_provable = true}; }

std::optional<Finding> Diagnosis::DeadOfItself() const {
  Finding finding = DeadRanks();
  for (const SeenRank& rank : evidence_.ranks) {
    if (!rank.process.failed() || !DiedOfItself(rank.process)) continue;
    finding.culprits.push_back({rank.rank});
    finding.waited = std::max(finding.waited, rank.process.ended_ago);
  }
  if (finding.culprits.empty()) return std::nullopt;
  return finding;
}

std::optional<Finding> Diagnosis::FailedFirst() const {
  const SeenRank* first = nullptr;
  for (const SeenRank& rank : evidence_.ranks) {
    if (!rank.process.failed()) continue;
    if (first == nullptr || rank.process.ended_ago > first->process.ended_ago) first = &rank;
  }
  if (first == nullptr) return std::nullopt;
  Finding finding = DeadRanks();
  finding.culprits.push_back({first->rank});
  finding.waited = first->process.ended_ago;
  DoubtAnExit(finding);
  return finding;
}

/// Whoever exits may do so because of what a ring says that is not here.
void Diagnosis::DoubtAnExit(Finding& finding) const {
  for (const SeenRank& rank : evidence_.ranks) {
    if (rank.ring_read && !rank.ring_overflowed) continue;
    finding.confidence = Confidence::kMedium;
    if (!rank.ring_read) finding.unheard.push_back(rank.rank);
  }
}

std::optional<Finding> Diagnosis::NodeLost() const {
  Finding finding{.verdict_class = Class::kNodeLost, .is_provable = true};
  for (const SeenRank& rank : evidence_.ranks) {
    if (!rank.node_answers) finding.culprits.push_back({rank.rank});
  }
  if (finding.culprits.empty()) return std::nullopt;
  return finding;
}

std::optional<Finding> Diagnosis::Mismatch() const {
  return FindMismatch(groups_, options_.errors_count);
}

/// A process that is kept from running, and takes part in what others wait in, called or not.
std::optional<Finding> Diagnosis::Held() const {
  std::set<base::Rank> held;
  for (const Awaited& awaited : waits_.awaited()) {
    for (const auto* const ranks : {&awaited.missing, &awaited.unheard, &awaited.called}) {
      for (const base::Rank rank : *ranks) {
        const SeenRank* const seen = Find(rank);
        const bool is_held = seen != nullptr && seen->process.is_held();
        if (is_held && awaited.HoldsOthersThan(rank)) held.insert(rank);
      }
    }
  }
  if (held.empty()) return std::nullopt;
  Finding finding{.verdict_class = Class::kMissingRank};
  for (const base::Rank rank : held) {
    finding.culprits.push_back({rank, AbsenceOf(rank)});
    finding.is_provable |= Find(rank)->process.state != ProcessState::kTraced;
  }
  Locate(finding, held);
  return finding;
}

std::optional<Finding> Diagnosis::Deadlock() const {
  const std::vector<const Wait*> cycle = waits_.Cycle();
  if (cycle.empty()) return std::nullopt;
  Finding finding{.verdict_class = Class::kCrossGroupDeadlock, .is_provable = true};
  for (size_t i = 0; i < cycle.size(); ++i) {
    const Wait& wait = *cycle[i];
    finding.cycle.push_back({.waiter = wait.waiter,
                             .awaited = cycle[(i + 1) % cycle.size()]->waiter,
                             .group = wait.op->group,
                             .seq = wait.op->seq});
    finding.culprits.push_back({wait.waiter, Absence::kInOtherGroup});
    finding.waited = std::max(finding.waited, wait.op->age);
    if (wait.op->caller_waits) continue;
    // Whoever put it on a stream may still come, if only late.
    finding.is_provable = false;
    finding.confidence = Confidence::kMedium;
  }
  std::sort(finding.culprits.begin(), finding.culprits.end(),
            [](const auto& a, const auto& b) { return a.rank < b.rank; });
  finding.op = *cycle.front()->op;
  return finding;
}

std::optional<Finding> Diagnosis::Network() const {
  return FindBrokenNetwork(evidence_, waits_,
                           {.grace = std::min(options_.grace, options_.broken_after),
                            .broken_after = options_.broken_after});
}

/// Ranks that wait for nobody and for which others do.
std::optional<Finding> Diagnosis::Missing() const {
  std::set<base::Rank> failed, ended, busy, in_phase;
  bool only_told = false;
  for (const auto& [rank, freedom] : waits_.AwaitedAndFree()) {
    const Absence absence = AbsenceOf(rank);
    if (Find(rank)->process.failed()) {
      failed.insert(rank);
    } else if (absence == Absence::kEndedEarly) {
      ended.insert(rank);
    } else if (freedom.waited >= options_.grace || freedom.was_told) {
      // What the others' library says of a lost peer needs no grace: it may have closed its
      // connections, and do something else.
      (absence == Absence::kInDeclaredPhase ? in_phase : busy).insert(rank);
      only_told |= freedom.waited < options_.grace;
    }
  }
  // Whoever was told of the one that ended may have failed before its call was seen.
  if (!ended.empty() && EndedAgo(ended) > EndedAgo(failed)) failed.clear();
  const std::set<base::Rank>& named = !failed.empty()  ? failed
                                      : !ended.empty() ? ended
                                      : !busy.empty()  ? busy
                                                       : in_phase;
  if (named.empty()) return std::nullopt;
  Finding finding{.verdict_class = failed.empty() ? Class::kMissingRank : Class::kDeadRank,
                  .is_provable = !failed.empty() || !ended.empty()};
  for (const base::Rank rank : named)
    finding.culprits.push_back({rank, failed.empty() ? AbsenceOf(rank) : Absence::kNone});
  if (!failed.empty()) {
    DoubtAnExit(finding);
  } else if (const std::set<base::Rank> unheard = UnheardOf(); !unheard.empty()) {
    finding.unheard.assign(unheard.begin(), unheard.end());
    finding.confidence = Confidence::kMedium;
  } else if (only_told && ended.empty() && named.size() > 1) {
    finding.confidence = Confidence::kMedium;  // one of them may be late and no more
  } else if (ended.empty() && named.size() > 1 && AnyHasLostRecords(named)) {
    finding.confidence = Confidence::kMedium;  // one of them may wait in an op that its ring lost
  }
  Locate(finding, named);
  return finding;
}

/// Whoever is waited for, and known, waits as well: the cause lies with those that are not known.
std::optional<Finding> Diagnosis::Unheard() const {
  const std::set<base::Rank> unheard = UnheardOf();
  if (unheard.empty()) return std::nullopt;
  Finding finding{.verdict_class = Class::kUnknown, .confidence = Confidence::kLow};
  finding.unheard.assign(unheard.begin(), unheard.end());
  Locate(finding, unheard);
  return finding.waited >= options_.grace ? std::optional(std::move(finding)) : std::nullopt;
}

std::optional<Finding> Diagnosis::Stall() const {
  const base::Duration grace = FindPacketLosses(evidence_).empty()
                                   ? options_.grace
                                   : std::max(options_.grace, 2 * kSilenceOfLosses);
  const Wait* longest = nullptr;
  for (const Wait& wait : waits_.waits()) {
    if (!wait.is_complete() || wait.op->age < grace) continue;
    if (longest == nullptr || wait.op->age > longest->op->age) longest = &wait;
  }
  if (longest == nullptr) return std::nullopt;
  return Finding{.verdict_class = Class::kLibraryStall,
                 .confidence = Confidence::kMedium,
                 .op = *longest->op,
                 .waited = longest->op->age};
}

Absence Diagnosis::AbsenceOf(base::Rank rank) const {
  const SeenRank* const seen = Find(rank);
  if (seen == nullptr) return Absence::kNone;
  switch (seen->process.state) {
    case ProcessState::kStopped: return Absence::kStopped;
    case ProcessState::kFrozen: return Absence::kFrozen;
    case ProcessState::kTraced: return Absence::kTraced;
    case ProcessState::kEnded: return Absence::kEndedEarly;
    default: break;
  }
  if (!seen->phase.empty()) return Absence::kInDeclaredPhase;
  if (seen->ring_read && seen->groups.empty() && seen->ops.empty())
    return Absence::kNeverInitialised;
  switch (seen->process.state) {
    case ProcessState::kBlockedInIo: return Absence::kBlockedInIo;
    case ProcessState::kSleeps: return Absence::kSleepsElsewhere;
    default: return Absence::kRunsElsewhere;
  }
}

std::set<base::Rank> Diagnosis::UnheardOf() const {
  std::set<base::Rank> unheard;
  for (const Awaited& awaited : waits_.awaited())
    unheard.insert(awaited.unheard.begin(), awaited.unheard.end());
  return unheard;
}

/// The op in which somebody has waited longest for one of `awaited`.
void Diagnosis::Locate(Finding& finding, const std::set<base::Rank>& awaited) const {
  const auto is_awaited = [&](base::Rank rank) { return awaited.contains(rank); };
  std::map<const Awaited*, std::vector<base::Rank>> concerned;  // of each the first two
  for (const Awaited& op : waits_.awaited()) {
    std::vector<base::Rank>& first = concerned[&op];
    for (const auto* const ranks : {&op.missing, &op.unheard, &op.called}) {
      for (auto rank = ranks->begin(); rank != ranks->end() && first.size() < 2; ++rank) {
        if (is_awaited(*rank)) first.push_back(*rank);
      }
    }
  }
  for (const Wait& wait : waits_.waits()) {
    const std::vector<base::Rank>& ranks = concerned.at(wait.awaited);
    // Its own call of a collective is none that it waits for.
    const bool concerns = ranks.size() > 1 || (ranks.size() == 1 &&
                                               (wait.op->is_transfer() || ranks[0] != wait.waiter));
    if (!concerns || (finding.op.has_value() && wait.op->age <= finding.waited)) continue;
    finding.op = *wait.op;
    finding.waited = wait.op->age;
  }
}

void Diagnosis::AddVictims(Finding& finding) const {
  std::set<base::Rank> culprits;
  for (const Finding::Culprit& culprit : finding.culprits) culprits.insert(culprit.rank);
  for (const SeenRank& rank : evidence_.ranks) {
    if (culprits.contains(rank.rank)) continue;
    if (waits_.Waits(rank.rank)) finding.victims.push_back(rank.rank);
  }
}

}  // namespace

Finding Diagnose(const Evidence& evidence, const DiagnoseOptions& options) {
  return Diagnosis(evidence, options).Run();
}

}  // namespace lockstep::collectives
