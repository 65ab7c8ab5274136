// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/news_queue.h"

#include <utility>

#include "runtime/base/check.h"

namespace lockstep::launcher {
namespace {

/// Of a change within its message: a tag and a length of four bytes.
constexpr size_t kFrameOfChange = 5;

}  // namespace

proto::RankChange& NewsQueue::Add(base::Round round, const elastic::RankProcess& process) {
  Waiting& waiting = waiting_.emplace_back();
  waiting.round = round;
  waiting.change.set_rank(process.rank.value());
  waiting.change.set_incarnation(process.incarnation.value());
  return waiting.change;
}

void NewsQueue::SetStep(base::Round round, const elastic::RankProcess& process, int64_t step) {
  const auto [place, is_new] = steps_.try_emplace({process.rank, process.incarnation});
  if (!is_new) {
    waiting_[place->second - taken_total_].change.set_step(step);
    return;
  }
  place->second = taken_total_ + waiting_.size();
  Add(round, process).set_step(step);
}

proto::RankNews NewsQueue::Take() {
  LOCKSTEP_CHECK(!waiting_.empty(), "there is no news");
  proto::RankNews news;
  const base::Round round = waiting_.front().round;
  news.set_round(round.value());
  size_t bytes = 0;
  while (!waiting_.empty() && waiting_.front().round == round) {
    proto::RankChange& change = waiting_.front().change;
    bytes += change.ByteSizeLong() + kFrameOfChange;
    if (bytes > kMessageBytes && news.changes_size() > 0) break;
    if (change.kind_case() == proto::RankChange::kStep) {
      steps_.erase({base::Rank(change.rank()), base::Incarnation(change.incarnation())});
    }
    *news.add_changes() = std::move(change);
    waiting_.pop_front();
    ++taken_total_;
  }
  return news;
}

}  // namespace lockstep::launcher
