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
  found_.clear();
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
    found_.clear();
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

  const std::set<Key> before = std::exchange(found_, {});
  const collectives::Pace pace = last_->pace;  // the delegate may begin a round
  for (const collectives::Straggler& slow : pace.stragglers) {
    if (IsToBeTold({What::kStraggler, slow.rank, slow.rank}, before))
      delegate_.OnStraggler(slow, pace);
  }
  for (const collectives::SlowLink& slow : pace.slow_links) {
    if (IsToBeTold({What::kLink, slow.link.from, slow.link.to}, before))
      delegate_.OnSlowLink(slow, pace);
  }
}

bool PaceWatch::IsToBeTold(const Key& key, const std::set<Key>& found_before) {
  found_.insert(key);
  if (!found_before.contains(key)) return false;
  const auto told = told_.find(key);
  if (told != told_.end() && loop_.Now() - told->second < config_.say_again) return false;
  told_[key] = loop_.Now();
  return true;
}

}  // namespace lockstep::launcher
