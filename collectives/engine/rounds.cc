// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/rounds.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace lockstep::collectives {
namespace {

/// Whoever waits by an AwakeClock looks at it at least so often.
constexpr base::Duration kLook = std::chrono::milliseconds(10);

}  // namespace

Rounds::Subscription::~Subscription() {
  if (rounds_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(rounds_->mutex_);
  rounds_->subscribers_.erase(id_);
}

base::Round Rounds::current() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return round_;
}

std::vector<Rounds::Gone> Rounds::gone() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return gone_;
}

std::optional<std::string> Rounds::WhyGone(base::Rank rank) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = index_.find(rank);
  if (found == index_.end()) return std::nullopt;
  return gone_[found->second].why;
}

std::vector<Rounds::Gone> Rounds::GoneOf(const std::vector<base::Rank>& ranks) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Gone> found;
  for (const base::Rank rank : ranks) {
    const auto place = index_.find(rank);
    if (place != index_.end()) found.push_back(gone_[place->second]);
  }
  return found;
}

std::unique_ptr<Rounds::Subscription> Rounds::Subscribe(OnRound on_round) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!gone_.empty()) on_round(round_, gone_);
  subscribers_.emplace(next_id_, std::move(on_round));
  return std::make_unique<Subscription>(this, next_id_++);
}

base::Status Rounds::AwaitLaterThan(base::Round after, const OpDeadline& deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (round_ <= after) {
    if (!closed_.ok()) return closed_;
    const base::Duration left = deadline.Left();
    if (left.count() <= 0) {
      return base::DeadlineExceededError("round " + after.ToString() +
                                         " was still in force after " +
                                         base::FormatDuration(deadline.due().timeout));
    }
    changed_.wait_for(lock, std::min(left, kLook));
  }
  return base::OkStatus();
}

void Rounds::Begin(base::Round round, std::vector<Gone> gone) {
  const std::lock_guard<std::mutex> lock(mutex_);
  // That in which the process attached comes again, with those who had gone before.
  if (round < round_ || (round == round_ && gone.size() <= gone_.size())) return;
  round_ = round;
  gone_ = std::move(gone);
  index_.clear();
  for (size_t i = 0; i < gone_.size(); ++i) index_[gone_[i].rank] = i;
  for (const auto& [id, on_round] : subscribers_) on_round(round_, gone_);
  changed_.notify_all();
}

void Rounds::Close(base::Status why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_.ok()) closed_ = std::move(why);
  changed_.notify_all();
}

}  // namespace lockstep::collectives
