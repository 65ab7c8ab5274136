// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/flight_watch.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "collectives/diagnosis/words.h"
#include "launcher/diagnosis/flight_merge.h"
#include "runtime/process/process_look.h"

namespace lockstep::launcher {
namespace {

using collectives::FlightDump;
using collectives::FlightEntry;

constexpr uint32_t kInVainMax = 16;
constexpr size_t kSilentTold = 8;

base::Duration QuietNeeded(const FlightWatch::Times& times, uint32_t in_vain) {
  base::Duration quiet = times.quiet;
  for (uint32_t i = 0; i < in_vain && quiet < times.quiet_max; ++i) quiet *= 2;
  return std::max(times.quiet, std::min(quiet, times.quiet_max));
}

/// It would not answer, and be waited for in vain.
bool IsHeld(const WatchedRank& rank) {
  using Doing = process::ProcessLook::Doing;
  const auto look = process::LookAtProcess(static_cast<pid_t>(rank.pid));
  return look.has_value() && (look->doing == Doing::kStopped || look->doing == Doing::kTraced ||
                              look->doing == Doing::kFrozen);
}

}  // namespace

void FlightWatch::Clear() {
  ++round_;
  in_vain_ = 0;
  written_ = deps_.bytes_written();
  asked_ = {};
  dumps_.clear();
  silent_.clear();
  WaitForQuiet();
}

void FlightWatch::WaitForQuiet() {
  quiet_since_ = deps_.loop.Now();
  ask_at_.reset();
  question_ = {};
  asks_again_ = false;
}

void FlightWatch::Look(const std::vector<WatchedRank>& here, const Times& times,
                       std::function<void()> on_answers) {
  if (asking_) return;
  const base::SteadyTime now = deps_.loop.Now();
  if (const uint64_t written = deps_.bytes_written(); written != written_) {
    written_ = written;
    quiet_since_ = now;
  }
  const bool is_time =
      ask_at_.has_value() ? now >= *ask_at_ : now - quiet_since_ >= QuietNeeded(times, in_vain_);
  if (!is_time) return;
  if (!Ask(here,
           [this, times, on_answers = std::move(on_answers)] { OnAnswers(times, on_answers); })) {
    WaitForQuiet();
  }
}

bool FlightWatch::AskAgain(const std::vector<WatchedRank>& here, base::Duration least_wait,
                           std::function<void(bool)> on_answers) {
  return !asking_ && Ask(here, [this, least_wait, on_answers = std::move(on_answers)] {
    on_answers(SomebodyMayWait(least_wait));
  });
}

bool FlightWatch::Ask(const std::vector<WatchedRank>& here, std::function<void()> then) {
  std::vector<FlightAsk> asks;
  held_.clear();
  for (const WatchedRank& rank : here) {
    if (rank.pid == 0 || rank.ended) continue;
    topology::FlightFiles files = deps_.files_of(rank.rank);
    if (files.pipe.empty()) continue;
    if (IsHeld(rank)) {
      held_.push_back(rank.rank);
    } else {
      asks.push_back({.rank = rank.rank, .files = std::move(files)});
    }
  }
  if (asks.empty()) return false;
  asking_ = true;
  deps_.source.Ask(std::move(asks),
                   [this, round = round_, then = std::move(then)](FlightAnswers answers) {
                     asking_ = false;
                     const bool hangs = !answers.hangs.ok();
                     if (hangs && !is_trouble_told_) deps_.on_trouble(answers.hangs);
                     is_trouble_told_ = hangs;
                     if (round != round_) return;
                     Keep(std::move(answers));
                     then();
                   });
  return true;
}

void FlightWatch::Keep(FlightAnswers answers) {
  std::optional<collectives::OpenEntries> open_before;
  if (asks_again_) open_before = collectives::OpenEntriesOf(dumps_);
  question_ = {.asked_ns = answers.asked_ns, .open_before = std::move(open_before)};
  dumps_.clear();
  silent_.clear();
  asked_ = {.asked_ns = answers.asked_ns, .dumps = {}, .left_out = {}};
  size_t silent = 0;
  for (FlightAnswer& answer : answers.ranks) {
    if (answer.status.ok()) {
      dumps_.emplace(answer.rank, std::move(answer.dump));
      asked_.dumps.emplace(answer.rank,
                           std::make_shared<const std::string>(std::move(answer.bytes)));
    } else if (++silent <= kSilentTold) {
      silent_.push_back("rank " + answer.rank.ToString() + ": " + answer.status.message());
    }
  }
  if (!held_.empty()) {
    silent_.push_back(collectives::RankList(held_) +
                      (held_.size() == 1 ? ": it is" : ": they are") + " held, and " +
                      (held_.size() == 1 ? "was" : "were") + " not asked what torch has recorded");
  }
  if (silent > kSilentTold) {
    silent_.push_back("and " + std::to_string(silent - kSilentTold) +
                      " other ranks have not answered");
  }
}

void FlightWatch::OnAnswers(const Times& times, const std::function<void()>& on_answers) {
  if (!SomebodyMayWait(times.least_wait)) return OnJudged(std::nullopt, times);
  if (std::exchange(asks_again_, true)) return on_answers();
  ask_at_ = deps_.loop.Now() + times.grace;
}

bool FlightWatch::SomebodyMayWait(base::Duration least_wait) const {
  return std::any_of(dumps_.begin(), dumps_.end(), [&](const auto& of_rank) {
    const std::vector<FlightEntry>& entries = of_rank.second.entries;
    return std::any_of(entries.begin(), entries.end(), [&](const FlightEntry& entry) {
      return entry.state != FlightEntry::State::kCompleted && !entry.is_retired &&
             base::Duration(question_.asked_ns - entry.created_ns) >= least_wait;
    });
  });
}

collectives::Finding::Confidence FlightWatch::AddTo(collectives::Evidence& evidence) const {
  const auto confidence_max = AddFlightDumps(dumps_, question_, evidence);
  evidence.notes.insert(evidence.notes.end(), silent_.begin(), silent_.end());
  return confidence_max;
}

void FlightWatch::OnJudged(std::optional<base::Duration> acts_in, const Times& times) {
  if (acts_in.has_value()) {
    in_vain_ = 0;
    ask_at_ = deps_.loop.Now() + std::max(*acts_in, times.grace);
    return;
  }
  in_vain_ = std::min(in_vain_ + 1, kInVainMax);
  asked_ = {};
  dumps_.clear();
  WaitForQuiet();
}

}  // namespace lockstep::launcher
