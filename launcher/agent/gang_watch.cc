// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/gang_watch.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "collectives/diagnosis/words.h"
#include "elastic/gang.h"
#include "runtime/proto/duration_text.h"

namespace lockstep::launcher {
namespace {

HangWatch::Config ConfigOf(const proto::Hangs& hangs) {
  HangWatch::Config config;
  config.grace = proto::FromProto(hangs.grace());
  config.action_after = proto::FromProto(hangs.action_after());
  config.init_deadline = proto::FromProto(hangs.init_deadline());
  config.hard_deadline = proto::FromProto(hangs.deadline());
  return config;
}

PaceWatch::Config PaceConfigOf(const proto::Hangs& hangs) {
  PaceWatch::Config config;
  if (hangs.has_pace_window()) config.window = proto::FromProto(hangs.pace_window());
  if (hangs.straggler_percent() > 0) config.options.least_share = hangs.straggler_percent() / 100.0;
  return config;
}

elastic::RanksBlamed::Then ThenOf(proto::HangAction action) {
  switch (action) {
    case proto::HANG_ACTION_FAIL: return elastic::RanksBlamed::Then::kJobEnds;
    case proto::HANG_ACTION_ABORT: return elastic::RanksBlamed::Then::kJobEndsAtOnce;
    default: return elastic::RanksBlamed::Then::kAsAnyFailure;
  }
}

/// All stand in an op, and nobody is to blame.
bool IsStall(const collectives::Finding& finding) {
  return finding.culprits.empty() &&
         finding.verdict_class == collectives::Finding::Class::kLibraryStall;
}

/// Where too little is known ranks may be healthy.
bool EndsRounds(const collectives::Finding& finding) {
  return !finding.culprits.empty() || IsStall(finding);
}

}  // namespace

GangWatch::GangWatch(const proto::JobSpec& spec, EvidenceFacts facts, RingOf ring_of, Deps deps)
    : spec_(spec),
      facts_(std::move(facts)),
      ring_of_(std::move(ring_of)),
      deps_(deps),
      watch_(ConfigOf(spec.hangs()), deps.loop, *this),
      pace_watch_(PaceConfigOf(spec.hangs()), deps.loop, watch_.paces(), *this) {}

void GangWatch::AskTorch(FlightWatch::FilesOf files_of, FlightWatch::BytesWritten bytes_written,
                         FlightSource* source) {
  if (source == nullptr) source = &flight_asks_.emplace(deps_.loop);
  watch_.SetFlights(flights_.emplace(
      FlightWatch::Deps{.loop = deps_.loop,
                        .source = *source,
                        .files_of = std::move(files_of),
                        .bytes_written = std::move(bytes_written),
                        .on_trouble = [this](const base::Status& why) {
                          deps_.news.OnWatchTrouble(
                              "torch's flight recorder cannot be asked, so that a hang of "
                              "ranks of which nothing else tells is not seen: " +
                              why.message());
                        }}));
}

WatchedRank GangWatch::Watched(const elastic::RankRecord& rank) const {
  const base::Rank number = rank.process.rank;
  const bool is_here = is_here_.empty() || is_here_[static_cast<size_t>(number.value())];
  WatchedRank watched{
      .rank = number,
      .incarnation = rank.process.incarnation,
      .host = host_of_rank_.empty() ? "" : host_of_rank_[static_cast<size_t>(number.value())],
      .pid = rank.pid,
      .ring_fd = is_here ? ring_of_(number) : -1,
      .is_here = is_here,
      .is_recorded = are_ranks_recorded_};
  if (rank.exit.has_value()) {
    watched.ended = true;
    watched.exit_code = rank.exit->exit_code;
    watched.signal = rank.exit->signal;
    watched.out_of_memory = rank.exit->out_of_memory;
    watched.ended_at = rank.ended_at;
  }
  return watched;
}

std::vector<WatchedRank> GangWatch::RanksToWatch() {
  const elastic::GangState& gang = deps_.driver.state();
  const bool runs =
      gang.phase == elastic::Phase::kRunning || gang.phase == elastic::Phase::kStarting;
  if (!runs || gang.suspended || gang.stop_signal != 0) return {};
  return RanksThatRun();
}

std::vector<WatchedRank> GangWatch::RanksThatRun() const {
  const elastic::GangState& gang = deps_.driver.state();
  std::vector<WatchedRank> ranks;
  if (gang.phase < elastic::Phase::kStarting || gang.phase > elastic::Phase::kKilling) return ranks;
  for (const elastic::RankRecord& rank : gang.ranks) {
    if (!rank.excluded) ranks.push_back(Watched(rank));
  }
  return ranks;
}

void GangWatch::OnRoundFails() {
  std::vector<WatchedRank> ranks;
  for (const elastic::RankRecord& rank : deps_.driver.state().ranks) {
    if (!rank.excluded) ranks.push_back(Watched(rank));
  }
  watch_.TakeLastLook(ranks);
}

void GangWatch::OnRoundEnded(const elastic::RoundOutcome& outcome) {
  if (outcome.end != elastic::RoundEnd::kRankFailed) return;
  std::vector<WatchedRank> ranks;
  for (const elastic::RankRecord& rank : outcome.ranks) {
    if (rank.excluded) continue;
    ranks.push_back(Watched(rank));
    ranks.back().ended &= rank.ended_before_signal;  // else it is our doing
  }
  const auto look = watch_.JudgeLastLook(ranks);
  const bool tells =
      look.has_value() && std::any_of(look->evidence.ranks.begin(), look->evidence.ranks.end(),
                                      [](const auto& rank) { return !rank.ops.empty(); });
  if (!tells) return;
  (void)Save(outcome.round, look->finding, look->evidence);
  deps_.news.OnLastLook(look->finding, look->evidence);
}

std::string GangWatch::Save(base::Round round, const collectives::Finding& finding,
                            const collectives::Evidence& evidence) {
  EvidenceFacts facts = facts_;
  facts.round = round;
  facts.monotonic_ns = static_cast<uint64_t>(deps_.loop.Now().time_since_epoch().count());
  facts.grace = watch_.times().grace;
  std::vector<base::Rank> first;
  for (const collectives::Finding::Culprit& culprit : finding.culprits)
    first.push_back(culprit.rank);
  first.insert(first.end(), finding.victims.begin(), finding.victims.end());
  AskedFlights flights = watch_.TakeFlights();
  KeepWithin(kFlightsBytesMax, first, flights);
  std::string left_out = LeftOutText(flights.left_out);
  deps_.record.SaveEvidence(facts, evidence, watch_.rings(), std::move(flights));
  return left_out;
}

void GangWatch::OnHangNotice(const collectives::Finding& finding,
                             const collectives::Evidence& evidence) {
  deps_.news.OnHangNotice(finding, evidence);
}

void GangWatch::OnHangVerdict(const collectives::Finding& finding,
                              const collectives::Evidence& evidence) {
  if (spec_.hangs().action() == proto::HANG_ACTION_REPORT)
    return deps_.news.OnHangVerdict(finding, evidence, {}, HangNews::Fate::kSaid);
  // Before anything is ended: afterwards all states look alike.
  const base::Round round = deps_.driver.state().round;
  Verdict verdict{.finding = finding, .evidence = evidence, .stacks = {}};
  if (std::string left_out = Save(round, finding, evidence); !left_out.empty())
    verdict.evidence.notes.push_back(std::move(left_out));
  if (stacks_ == nullptr || !EndsRounds(finding)) return Act(verdict);
  stacks_->Take(round, Standing(finding),
                [this, rounds = rounds_,
                 verdict = std::move(verdict)](const std::vector<proto::Evidence>& stacks) mutable {
                  verdict.stacks = stacks;
                  if (rounds == rounds_) OnStacks(verdict);
                });
}

bool GangWatch::IsOverMeanwhile() {
  if (deps_.driver.state().suspended) {
    watch_.BeginRound();
    return true;
  }
  return RanksToWatch().empty();  // it comes down by itself meanwhile: the last look tells why
}

void GangWatch::OnStacks(const Verdict& verdict) {
  if (IsOverMeanwhile()) return;
  // Calls that differed have differed.
  if (verdict.finding.verdict_class == collectives::Finding::Class::kMismatch) return Act(verdict);
  // It has gone on meanwhile: that was no hang.
  if (watch_.HasMoved()) return watch_.BeginRound();
  if (!watch_.RestsOnFlights()) return Act(verdict);
  // Of these that is not seen by looking.
  const bool is_asked = watch_.FindAgain([this, rounds = rounds_, verdict](bool again) {
    if (rounds == rounds_) OnFoundAgain(verdict, again);
  });
  if (!is_asked) watch_.BeginRound();
}

void GangWatch::OnFoundAgain(const Verdict& verdict, bool again) {
  if (IsOverMeanwhile()) return;
  if (!again) return watch_.BeginRound();
  Act(verdict);
}

std::vector<PacedProcess> GangWatch::Processes() {
  std::vector<PacedProcess> processes;
  for (const WatchedRank& rank : RanksToWatch())
    processes.push_back({rank.rank, rank.host.empty() ? facts_.host : rank.host, rank.pid});
  return processes;
}

void GangWatch::OnStraggler(const collectives::Straggler& slow, const collectives::Pace& pace) {
  deps_.news.OnPace(PaceVerdict(slow, pace, Processes()));
}

void GangWatch::OnSlowLink(const collectives::SlowLink& slow, const collectives::Pace& pace) {
  deps_.news.OnPace(PaceVerdict(slow, pace, Processes()));
}

std::optional<proto::JobPace> GangWatch::pace() const {
  const auto& last = pace_watch_.last();
  if (!last.has_value()) return std::nullopt;
  return ToProto(last->pace, last->window, deps_.loop.Now() - last->at);
}

CulpritStacks::Culprits GangWatch::Standing(const collectives::Finding& finding) {
  CulpritStacks::Culprits culprits;
  for (const WatchedRank& rank : RanksToWatch()) {
    const bool is_blamed =
        std::any_of(finding.culprits.begin(), finding.culprits.end(),
                    [&](const auto& culprit) { return culprit.rank == rank.rank; });
    if (!(is_blamed || IsStall(finding)) || rank.pid <= 0 || rank.ended) continue;
    if (rank.is_here) {
      culprits.here.push_back({rank.rank, static_cast<pid_t>(rank.pid)});
    } else {
      culprits.far.push_back(rank.rank);
    }
  }
  return culprits;
}

void GangWatch::Act(const Verdict& verdict) {
  const collectives::Finding& finding = verdict.finding;
  const bool acts = spec_.hangs().action() != proto::HANG_ACTION_DUMP && EndsRounds(finding);
  deps_.news.OnHangVerdict(finding, verdict.evidence, verdict.stacks,
                           acts ? HangNews::Fate::kRoundEnds : HangNews::Fate::kKept);
  if (!acts) return;
  const std::string why =
      finding.culprits.empty()
          ? collectives::Summary(finding, verdict.evidence)
          : collectives::WhatItDid(finding, finding.culprits.front(), verdict.evidence);
  std::vector<base::Rank> blamed;
  for (const collectives::Finding::Culprit& culprit : finding.culprits)
    blamed.push_back(culprit.rank);
  deps_.driver.Blame(std::move(blamed), why, ThenOf(spec_.hangs().action()));
}

}  // namespace lockstep::launcher
