// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/pace_watch.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace lockstep::launcher {

using collectives::PaceWindow;

PaceWatch::PaceWatch(const Config& config, event::Loop& loop, PaceLooks& looks,
                     PaceDelegate& delegate)
    : config_(config), loop_(loop), looks_(looks), delegate_(delegate) {}

void PaceWatch::BeginRound() {
  ++round_;
  slow_.clear();
  slow_links_.clear();
  last_.reset();
  window_began_ = loop_.Now();
  ScheduleWindow();
}

void PaceWatch::ScheduleWindow() {
  timer_ = loop_.After(config_.window, [this] {
    ScheduleWindow();
    TakeWindow();
  });
}

void PaceWatch::TakeWindow() {
  const std::vector<WatchedRank> ranks = delegate_.RanksToWatch();
  if (ranks.empty()) {
    slow_.clear();
    slow_links_.clear();
    return;
  }
  std::vector<PaceWindow> here = looks_.Take(loop_.Now());
  if (far_ == nullptr) return Judge(std::move(here), ranks);
  far_->TakePaces(
      [this, round = round_, ranks, here = std::move(here)](std::vector<PaceWindow> far) mutable {
        if (round != round_) return;
        std::move(far.begin(), far.end(), std::back_inserter(here));
        Judge(std::move(here), ranks);
      });
}

void PaceWatch::Judge(std::vector<PaceWindow> windows, const std::vector<WatchedRank>& ranks) {
  std::map<base::Rank, const WatchedRank*> watched;
  for (const WatchedRank& rank : ranks) watched[rank.rank] = &rank;
  std::erase_if(windows, [&](const PaceWindow& window) {
    const auto found = watched.find(window.rank);
    return found == watched.end() || found->second->incarnation != window.incarnation;
  });
  // Nothing is known that was not known before: a window may be shorter than a step.
  if (std::all_of(windows.begin(), windows.end(),
                  [](const PaceWindow& window) { return window.ops == 0; }))
    return;
  for (PaceWindow& window : windows) window.host = watched[window.rank]->host;
  const base::SteadyTime now = loop_.Now();
  last_ = {collectives::JudgePace(windows, config_.options), now - window_began_, now};
  window_began_ = now;

  const collectives::Pace pace = last_->pace;  // the delegate may begin a round
  std::map<base::Rank, Found> slow_before = std::exchange(slow_, {});
  std::vector<const collectives::Straggler*> slow_again;
  for (const collectives::Straggler& slow : pace.stragglers) {
    if (IsFoundAgain(slow, slow_before)) slow_again.push_back(&slow);
  }
  const std::set<Key> links_before = std::exchange(slow_links_, {});
  for (const collectives::SlowLink& slow : pace.slow_links) slow_links_.insert(KeyOf(slow));
  const uint64_t round = round_;
  for (const collectives::Straggler* slow : slow_again) {
    if (round == round_ && IsToBeTold({What::kStraggler, slow->rank, slow->rank}))
      delegate_.OnStraggler(*slow, pace);
  }
  for (const collectives::SlowLink& slow : pace.slow_links) {
    if (round == round_ && links_before.contains(KeyOf(slow)) && IsToBeTold(KeyOf(slow)))
      delegate_.OnSlowLink(slow, pace);
  }
}

bool PaceWatch::IsFoundAgain(const collectives::Straggler& slow,
                             std::map<base::Rank, Found>& found_before) {
  // In two groups by turns it is as slow as in one.
  Found& found = slow_[slow.rank] = std::move(found_before[slow.rank]);
  const auto [first, is_new] = found.try_emplace({slow.group, slow.epoch}, slow.last_op);
  // A group that makes few calls is told again with those of earlier windows.
  return !is_new && std::count_if(slow.late_turns.begin(), slow.late_turns.end(), [&](uint64_t op) {
                      return op > first->second;
                    }) >= config_.options.least_turns;
}

PaceWatch::Key PaceWatch::KeyOf(const collectives::SlowLink& slow) {
  // Which of a rank's links is the slowest, and which sides are, changes with every window.
  const std::vector<base::Rank> ranks = collectives::RanksOf(slow);
  return {What::kLink, ranks.front(), ranks.back()};
}

bool PaceWatch::IsToBeTold(const Key& key) {
  const auto told = told_.find(key);
  if (told != told_.end() && loop_.Now() - told->second < config_.say_again) return false;
  told_[key] = loop_.Now();
  return true;
}

}  // namespace lockstep::launcher
