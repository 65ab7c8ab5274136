// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/hang_watch.h"

#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/ring_evidence.h"
#include "collectives/recorder/ring_reader.h"
#include "runtime/process/process_look.h"

namespace lockstep::launcher {
namespace {

using collectives::Absence;
using collectives::Evidence;
using collectives::Finding;
using collectives::ProcessState;
using collectives::SeenProcess;
using collectives::SeenRank;
using process::ProcessLook;

/// Calls of each rank that are compared when nobody is suspected.
constexpr size_t kCallsCompared = 256;

uint64_t Nanoseconds(base::SteadyTime time) {
  return static_cast<uint64_t>(time.time_since_epoch().count());
}

ProcessState StateOf(ProcessLook::Doing doing) {
  switch (doing) {
    case ProcessLook::Doing::kRuns: return ProcessState::kRuns;
    case ProcessLook::Doing::kSleeps: return ProcessState::kSleeps;
    case ProcessLook::Doing::kReadsOrWrites: return ProcessState::kBlockedInIo;
    case ProcessLook::Doing::kStopped: return ProcessState::kStopped;
    case ProcessLook::Doing::kTraced: return ProcessState::kTraced;
    case ProcessLook::Doing::kFrozen: return ProcessState::kFrozen;
    case ProcessLook::Doing::kEnded: return ProcessState::kEnded;
  }
  return ProcessState::kUnknown;
}

}  // namespace

void HangWatch::BeginRound() {
  watched_.clear();
  found_.reset();
  noticed_ = decided_ = compares_again_ = false;
  ScheduleLook();
}

std::map<base::Rank, std::span<const std::byte>> HangWatch::rings() const {
  std::map<base::Rank, std::span<const std::byte>> rings;
  for (const auto& [rank, watched] : watched_) {
    if (watched.ring != nullptr) rings.emplace(rank, watched.ring->memory());
  }
  return rings;
}

void HangWatch::ScheduleLook() {
  timer_ = loop_.After(config_.look_every, [this] {
    ScheduleLook();
    Look();
  });
}

void HangWatch::Look() {
  if (decided_) return;
  const std::vector<WatchedRank> ranks = delegate_.RanksToWatch();
  if (ranks.empty()) {
    found_.reset();
    return;
  }
  const base::SteadyTime now = loop_.Now();
  const Heads heads = LookAtHeads(ranks, now);
  compares_again_ |= heads.changed;
  const bool compares = compares_again_ && now - compared_at_ >= config_.compare_every;
  if (!heads.suspicious && !compares) {
    found_.reset();
    return;
  }
  compared_at_ = now;
  compares_again_ = false;
  const Evidence evidence = Gather(ranks, now, heads.suspicious);
  // Of an error the program was told: it may go on without the group, or end by itself.
  Judge(collectives::Diagnose(
            evidence,
            {.least_wait = config_.least_wait, .grace = config_.grace, .errors_count = false}),
        evidence);
}

HangWatch::Heads HangWatch::LookAtHeads(const std::vector<WatchedRank>& ranks,
                                        base::SteadyTime now) {
  Heads heads;
  for (const WatchedRank& rank : ranks) {
    Watched& watched = watched_[rank.rank];
    if (watched.incarnation != rank.incarnation)
      watched = {.incarnation = rank.incarnation, .ring = nullptr};
    if (watched.ring == nullptr && rank.ring_fd >= 0) {
      auto ring = MappedRing::Create(rank.ring_fd);
      if (ring.ok()) watched.ring = *std::move(ring);
      watched.since = now;
    }
    if (watched.ring == nullptr) continue;
    const auto head = collectives::ReadRingPulse(watched.ring->memory());
    if (!head.ok()) continue;
    watched.waits = head->waits;
    if (watched.record_count != head->record_count) {
      watched.record_count = head->record_count;
      watched.since = now;
      heads.changed = true;
    }
    heads.suspicious |= watched.waits && now - watched.since >= config_.least_wait;
  }
  return heads;
}

Evidence HangWatch::Gather(const std::vector<WatchedRank>& ranks, base::SteadyTime now, bool all) {
  Evidence evidence;
  for (const WatchedRank& rank : ranks) {
    Watched& watched = watched_[rank.rank];
    // Who has no ring has made no call.
    SeenRank seen{.rank = rank.rank, .ring_read = rank.ring_fd < 0};
    if (watched.ring != nullptr) {
      const auto ring = collectives::ReadRing(watched.ring->memory());
      if (ring.ok()) seen = collectives::FromRing(*ring, Nanoseconds(now));
    }
    seen.rank = rank.rank;
    if (!all && seen.ops.size() > kCallsCompared) {
      seen.ops.erase(seen.ops.begin(), seen.ops.end() - kCallsCompared);
      seen.ring_overflowed = true;
    }
    seen.process = LookAt(rank, watched, now);
    evidence.ranks.push_back(std::move(seen));
  }
  return evidence;
}

SeenProcess HangWatch::LookAt(const WatchedRank& rank, Watched& watched, base::SteadyTime now) {
  SeenProcess seen{.pid = rank.pid};
  if (rank.ended) {
    seen.state = ProcessState::kEnded;
    seen.exit_code = rank.exit_code;
    seen.signal = rank.signal;
    seen.ended_ago = now - rank.ended_at;
    return seen;
  }
  if (rank.pid == 0) {
    seen.state = ProcessState::kNeverStarted;
    return seen;
  }
  const auto look = process::LookAtProcess(static_cast<pid_t>(rank.pid));
  // It has ended, and how is about to be told.
  if (!look.has_value() || look->doing == ProcessLook::Doing::kEnded) return seen;
  seen.state = StateOf(look->doing);
  seen.detail = look->ToString();
  if (watched.cpu_ticks.has_value() && now > watched.looked_at) {
    const double seconds = std::chrono::duration<double>(now - watched.looked_at).count();
    seen.cpu_share = static_cast<double>(look->cpu_ticks - *watched.cpu_ticks) /
                     static_cast<double>(::sysconf(_SC_CLK_TCK)) / seconds;
  }
  watched.cpu_ticks = look->cpu_ticks;
  watched.looked_at = now;
  return seen;
}

base::Duration HangWatch::ActionAfter(const Finding& finding) const {
  const bool in_phase = std::any_of(
      finding.culprits.begin(), finding.culprits.end(),
      [](const Finding::Culprit& culprit) { return culprit.absence == Absence::kInDeclaredPhase; });
  if (in_phase || finding.culprits.empty()) return config_.hard_deadline;
  // Before a group's first op programs load and compile for long.
  const bool begins =
      finding.op.has_value() && !finding.op->is_transfer() && finding.op->seq <= base::OpSeq(1);
  return begins ? config_.init_deadline : config_.action_after;
}

void HangWatch::Judge(const Finding& finding, const Evidence& evidence) {
  if (finding.verdict_class == Finding::Class::kNone) {
    found_.reset();
    return;
  }
  std::vector<base::Rank> culprits;
  for (const Finding::Culprit& culprit : finding.culprits) culprits.push_back(culprit.rank);
  Key key{finding.verdict_class, std::move(culprits),
          finding.op.has_value() ? finding.op->group.value() : 0,
          finding.op.has_value() ? finding.op->seq.value() : 0};
  const bool again = found_ == key;
  if (!again) {
    found_ = std::move(key);
    noticed_ = false;
  }
  // What was called stays so; all else may have changed while the rings were read.
  const bool is_sure = again || finding.verdict_class == Finding::Class::kMismatch;
  const bool acts = finding.is_provable ? is_sure : finding.waited >= ActionAfter(finding);
  if (acts) {
    decided_ = true;
    delegate_.OnHangVerdict(finding, evidence);
  } else if (!noticed_ && !finding.is_provable && finding.waited >= config_.grace) {
    noticed_ = true;
    delegate_.OnHangNotice(finding, evidence);
  }
}

}  // namespace lockstep::launcher
