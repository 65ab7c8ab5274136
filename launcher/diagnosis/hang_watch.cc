// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/hang_watch.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <utility>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/ring_evidence.h"
#include "collectives/recorder/ring_copy.h"
#include "collectives/recorder/ring_reader.h"

namespace lockstep::launcher {
namespace {

using collectives::Absence;
using collectives::Evidence;
using collectives::Finding;
using collectives::SeenRank;

/// Calls of each rank that are compared when nobody is suspected.
constexpr size_t kCallsCompared = 256;
constexpr size_t kAllRecords = SIZE_MAX;
/// From a look to the next one, as many times what the look took: 5 % of a core.
constexpr int kPauseFactor = 20;
constexpr size_t kSaidMax = 256;
/// What is unknown, and was said, may become known: so often it is looked at.
constexpr base::Duration kAfterSaid = std::chrono::seconds(1);
/// A broken connection is one that is found broken for so long.
constexpr base::Duration kNetworkConfirmed = std::chrono::milliseconds(1000);

std::vector<WatchedRank> Here(const std::vector<WatchedRank>& ranks) {
  std::vector<WatchedRank> here;
  std::copy_if(ranks.begin(), ranks.end(), std::back_inserter(here),
               [](const WatchedRank& rank) { return rank.is_here; });
  return here;
}

/// Of ranks elsewhere fewer are fetched the more ranks there are: 3 MiB for a thousand.
size_t RecordsOfEach(size_t rank_count) {
  return std::clamp<size_t>(size_t{16384} / std::max<size_t>(rank_count, 1), 16, kCallsCompared);
}

/// Whether somebody stands at the op of which the finding is, or at a later one of its group.
bool IsWaitedInSince(const Finding& finding, const Evidence& evidence) {
  if (!finding.op.has_value()) return false;
  const collectives::SeenOp& at = *finding.op;
  return std::any_of(evidence.ranks.begin(), evidence.ranks.end(), [&](const SeenRank& rank) {
    return std::any_of(rank.ops.begin(), rank.ops.end(), [&](const collectives::SeenOp& op) {
      return op.group == at.group && op.seq >= at.seq && op.is_waited_in();
    });
  });
}

}  // namespace

HangWatch::HangWatch(const Config& config, event::Loop& loop, HangDelegate& delegate,
                     ProcessorTime processor_time)
    : config_(config),
      loop_(loop),
      delegate_(delegate),
      processor_time_(std::move(processor_time)) {}

base::Duration HangWatch::ProcessorTimeOfThread() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

void HangWatch::SetTimes(const Times& times) {
  config_.grace = times.grace;
  config_.action_after = times.action_after;
  config_.init_deadline = times.init_deadline;
  config_.hard_deadline = times.hard_deadline;
}

void HangWatch::BeginRound() {
  ++round_;
  began_ = loop_.Now();
  looks_.Clear();
  paces_.Clear();
  far_ranks_.clear();
  looks_far_ = false;
  if (flights_ != nullptr) flights_->Clear();
  last_look_.reset();
  found_.reset();
  verdict_.reset();
  noticed_ = decided_ = moved_ = over_ = compares_again_ = false;
  said_.clear();
  ScheduleLook(config_.look_every);
}

std::map<base::Rank, std::span<const std::byte>> HangWatch::rings() const {
  auto rings = looks_.rings();
  for (const auto& [rank, far] : far_ranks_) {
    if (!far.ring.empty()) rings.emplace(rank, collectives::MemoryOf(far.ring));
  }
  return rings;
}

void HangWatch::ScheduleLook(base::Duration after) {
  timer_ = loop_.After(after, [this] {
    ScheduleLook(config_.look_every);
    look_took_ = base::Duration(0);
    Paced([this] { Look(); });
  });
}

/// What the same look has taken already counts: where agents elsewhere are asked it has two parts.
void HangWatch::Paced(const std::function<void()>& look) {
  const uint64_t round = round_;
  const base::Duration before = processor_time_();
  look();
  look_took_ += processor_time_() - before;
  const base::Duration pause = kPauseFactor * look_took_;
  if (round == round_ && pause > config_.look_every) ScheduleLook(pause);
}

void HangWatch::Look() {
  if (over_) return;
  const std::vector<WatchedRank> ranks = delegate_.RanksToWatch();
  if (ranks.empty()) {
    found_.reset();
    return;
  }
  const base::SteadyTime now = loop_.Now();
  const RankLooks::Heads heads = looks_.LookAtHeads(Here(ranks), config_.least_wait, now);
  paces_.Look(looks_.RingsAtHeads(), now);
  compares_again_ |= heads.changed;
  moved_ |= heads.changed;
  const bool suspicious = heads.suspicious || (far_ != nullptr && far_->AnyStandsStill());
  if (decided_ && suspicious && !moved_) return;
  decided_ = false;  // nothing was done about it, and it goes on: there may be more to say
  const bool compares = compares_again_ && now - compared_at_ >= config_.compare_every;
  if (!suspicious && !compares) {
    if (flights_ != nullptr && !RingsTell()) return LookAtFlights(ranks);
    found_.reset();
    return;
  }
  compared_at_ = now;
  compares_again_ = false;
  if (suspicious && far_ != nullptr) return LookEverywhere(ranks, now);
  // Where nobody waits, calls are compared within this machine.
  const size_t records_max = suspicious ? kAllRecords : kCallsCompared;
  const Evidence evidence = Merge(looks_.Gather(Here(ranks), records_max, now), ranks, {}, now);
  Judge(Find(evidence), evidence, Source::kRings);
}

/// One look after the other: the agents elsewhere may take longer than look_every. This machine's
/// ranks are looked at when they are asked, so that all of it is of one moment.
void HangWatch::LookEverywhere(const std::vector<WatchedRank>& ranks, base::SteadyTime now) {
  if (std::exchange(looks_far_, true)) return;
  far_->Look(RecordsOfEach(ranks.size()),
             [this, round = round_, ranks, here = looks_.Gather(Here(ranks), kAllRecords, now),
              now](FarRanks far) mutable {
               if (round != round_ || over_) return;
               looks_far_ = false;
               if (decided_) return;
               if (delegate_.RanksToWatch().empty()) return;
               far_ranks_ = std::move(far);
               Paced([&] {
                 const Evidence evidence = Merge(std::move(here), ranks, far_ranks_, now);
                 Judge(Find(evidence), evidence, Source::kRings);
               });
             });
}

Evidence HangWatch::Merge(std::vector<SeenRank> here, const std::vector<WatchedRank>& ranks,
                          const FarRanks& far, base::SteadyTime now) const {
  Evidence evidence{.ranks = std::move(here), .world_size = config_.world_size};
  for (const WatchedRank& rank : ranks) {
    if (!rank.is_here) evidence.ranks.push_back(SeenFar(rank, far, now));
  }
  std::sort(evidence.ranks.begin(), evidence.ranks.end(),
            [](const SeenRank& a, const SeenRank& b) { return a.rank < b.rank; });
  return evidence;
}

/// Of a node that has not answered nothing is known but what the gang knows: whether it is lost,
/// its lease says. No wait is older than the round, whatever its clock says.
SeenRank HangWatch::SeenFar(const WatchedRank& rank, const FarRanks& far,
                            base::SteadyTime now) const {
  const auto found = far.find(rank.rank);
  if (found == far.end() || found->second.incarnation != rank.incarnation) {
    return {.rank = rank.rank,
            .process = ProcessWithoutLook(rank, now).value_or(
                collectives::SeenProcess{.host = rank.host, .pid = rank.pid}),
            .ring_read = false};
  }
  SeenRank seen = found->second.seen;
  seen.process.host = rank.host;
  for (collectives::SeenOp& op : seen.ops) op.age = std::min(op.age, loop_.Now() - began_);
  return seen;
}

bool HangWatch::HasMoved() {
  moved_ |=
      looks_.LookAtHeads(Here(delegate_.RanksToWatch()), config_.least_wait, loop_.Now()).changed;
  return moved_;
}

void HangWatch::TakeLastLook(const std::vector<WatchedRank>& ranks) {
  if (last_look_.has_value()) return;
  last_look_at_ = loop_.Now();
  last_look_ = looks_.Gather(Here(ranks), kAllRecords, last_look_at_);
  over_ = true;
  far_ranks_.clear();
  if (far_ == nullptr) return;
  far_->Look(RecordsOfEach(ranks.size()), [this, round = round_](FarRanks far) {
    if (round == round_) far_ranks_ = std::move(far);
  });
}

std::optional<HangWatch::LastLook> HangWatch::JudgeLastLook(const std::vector<WatchedRank>& ranks) {
  if (!last_look_.has_value()) return std::nullopt;
  const base::SteadyTime now = loop_.Now();
  LastLook look;
  look.evidence = Merge(*last_look_, ranks, far_ranks_, now);
  for (SeenRank& seen : look.evidence.ranks) {
    const auto rank = std::find_if(ranks.begin(), ranks.end(), [&](const WatchedRank& watched) {
      return watched.rank == seen.rank;
    });
    if (rank == ranks.end() || !rank->ended) continue;
    const collectives::SeenProcess before =
        std::exchange(seen.process, *ProcessWithoutLook(*rank, now));
    const collectives::ProcessState was = before.state;
    seen.process.memory_kills = before.memory_kills;
    seen.process.segments_sent = before.segments_sent;
    seen.process.segments_lost = before.segments_lost;
    // Who was seen alive has ended since, whatever the clock of its machine says.
    const bool lived = was != collectives::ProcessState::kEnded &&
                       was != collectives::ProcessState::kUnknown &&
                       was != collectives::ProcessState::kNeverStarted;
    if (lived) seen.process.ended_ago = std::min(seen.process.ended_ago, now - last_look_at_);
  }
  look.finding = collectives::Diagnose(look.evidence,
                                       {.least_wait = config_.least_wait, .grace = config_.grace});
  return look;
}

bool HangWatch::RingsTell() const {
  const auto rings = looks_.RingsAtHeads();
  return std::any_of(rings.begin(), rings.end(),
                     [](const RankLooks::Ring& ring) { return ring.record_count > 0; });
}

void HangWatch::LookAtFlights(const std::vector<WatchedRank>& ranks) {
  flights_->Look(Here(ranks), FlightTimes(), [this, round = round_] {
    if (round == round_ && !over_ && !RingsTell()) Paced([this] { JudgeFlights(); });
  });
}

FlightWatch::Times HangWatch::FlightTimes() const {
  return {.least_wait = config_.least_wait,
          .grace = config_.grace,
          .quiet = config_.action_after,
          .quiet_max = config_.hard_deadline};
}

HangWatch::LastLook HangWatch::FindInFlights(const std::vector<WatchedRank>& ranks) {
  const base::SteadyTime now = loop_.Now();
  LastLook look;
  look.evidence = Merge(looks_.Gather(Here(ranks), kAllRecords, now), ranks, {}, now);
  const Finding::Confidence confidence_max = flights_->AddTo(look.evidence);
  look.finding = Find(look.evidence);
  look.finding.confidence = std::min(look.finding.confidence, confidence_max);
  // Dumps are written one after the other, and the newest call in one may be half told.
  if (look.finding.verdict_class == Finding::Class::kMismatch &&
      !IsWaitedInSince(look.finding, look.evidence))
    look.finding = Finding();
  // Their times are those of a clock that may have been set.
  look.finding.waited = std::min(look.finding.waited, now - began_);
  return look;
}

/// Each judgement rests on answers of its own: what was found is asked for anew before it is acted
/// upon.
void HangWatch::JudgeFlights() {
  const std::vector<WatchedRank> ranks = delegate_.RanksToWatch();
  if (ranks.empty()) return;
  const LastLook look = FindInFlights(ranks);
  const Finding& finding = look.finding;
  const uint64_t round = round_;
  decided_ = false;
  Judge(finding, look.evidence, Source::kFlights);
  if (round != round_) return;
  std::optional<base::Duration> acts_in;
  if (finding.verdict_class != Finding::Class::kNone) {
    acts_in = finding.is_provable ? config_.grace : ActionAfter(finding) - finding.waited;
    if (decided_ || said_.contains(*found_)) acts_in = config_.hard_deadline;
    acts_in = std::min(*acts_in, config_.hard_deadline);
  }
  flights_->OnJudged(acts_in, FlightTimes());
}

bool HangWatch::FindAgain(std::function<void(bool)> done) {
  if (flights_ == nullptr || !verdict_.has_value()) return false;
  return flights_->AskAgain(
      Here(delegate_.RanksToWatch()), config_.least_wait,
      [this, round = round_, verdict = *verdict_, done = std::move(done)](bool tells) {
        if (round != round_ || over_) return;
        const bool again = tells && !RingsTell() &&
                           KeyOf(FindInFlights(delegate_.RanksToWatch()).finding) == verdict;
        (void)flights_->TakeAsked();  // what the verdict rests on is kept already
        done(again);
      });
}

Finding HangWatch::Find(const Evidence& evidence) const {
  // Of an error the program was told: it may go on without the group, or end by itself.
  return collectives::Diagnose(
      evidence, {.least_wait = config_.least_wait, .grace = config_.grace, .errors_count = false});
}

base::Duration HangWatch::ActionAfter(const Finding& finding) const {
  const bool in_phase = std::any_of(
      finding.culprits.begin(), finding.culprits.end(),
      [](const Finding::Culprit& culprit) { return culprit.absence == Absence::kInDeclaredPhase; });
  if (in_phase || finding.culprits.empty()) return config_.hard_deadline;
  // Before a group's first op programs load and compile for long; those of a circle wait.
  const bool begins = finding.op.has_value() && !finding.op->is_transfer() &&
                      finding.op->seq <= base::OpSeq(1) && finding.cycle.empty();
  return begins ? std::max(config_.init_deadline, config_.action_after) : config_.action_after;
}

base::Duration HangWatch::NoticeAfter(const Finding& finding) const {
  if (!finding.op.has_value()) return config_.grace;
  const auto usual = paces_.UsualAtMost(finding.op->group, finding.op->epoch, finding.op->kind);
  if (!usual.has_value()) return config_.grace;
  const base::Duration at_most = std::max(config_.grace, config_.action_after / 2);
  // Bounded before it is multiplied: clocks that went wrong do not overflow it.
  return std::clamp(config_.usual_factor * std::min(*usual, at_most), config_.grace, at_most);
}

HangWatch::Key HangWatch::KeyOf(const Finding& finding) {
  std::vector<base::Rank> culprits;
  for (const Finding::Culprit& culprit : finding.culprits) culprits.push_back(culprit.rank);
  return {finding.verdict_class, std::move(culprits),
          finding.op.has_value() ? finding.op->group.value() : 0,
          finding.op.has_value() ? finding.op->seq.value() : 0};
}

void HangWatch::Judge(const Finding& finding, const Evidence& evidence, Source source) {
  if (finding.verdict_class == Finding::Class::kNone) {
    found_.reset();
    said_.clear();
    return;
  }
  Key key = KeyOf(finding);
  const bool again = found_ == key;
  if (!again) {
    found_ = std::move(key);
    found_at_ = loop_.Now();
    noticed_ = false;
  }
  // What was called stays so; all else may have changed while the rings were read.
  const bool is_sure =
      again || (source == Source::kRings && finding.verdict_class == Finding::Class::kMismatch);
  const bool is_of_network = finding.verdict_class == Finding::Class::kNetworkStall ||
                             finding.verdict_class == Finding::Class::kPartition;
  // So soon the kernel has not sent again what the finding rests on.
  const bool is_too_soon = is_of_network && loop_.Now() - found_at_ < kNetworkConfirmed;
  const bool acts =
      finding.is_provable ? is_sure && !is_too_soon : finding.waited >= ActionAfter(finding);
  if (acts) {
    if (said_.size() == kSaidMax) said_.clear();
    if (!said_.insert(*found_).second) return ScheduleLook(kAfterSaid);
    verdict_ = found_;
    verdict_source_ = source;
    // Nothing is done about what is unknown, and all that is missing to know it may come.
    decided_ = finding.verdict_class != Finding::Class::kUnknown;
    moved_ = false;
    delegate_.OnHangVerdict(finding, evidence);
  } else if (!noticed_ && !finding.is_provable && finding.waited >= NoticeAfter(finding)) {
    noticed_ = true;
    delegate_.OnHangNotice(finding, evidence);
  }
}

}  // namespace lockstep::launcher
