// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/event/sim_loop.h"

#include "runtime/base/check.h"

namespace lockstep::event {
namespace {

constexpr int64_t kMaxCallbacksAtOneInstant = 10'000'000;

}  // namespace

SimLoop::~SimLoop() {
  // Callbacks may own registrations, and even post when destroyed; they must meet a whole loop.
  while (!posted_.empty()) {
    const std::deque<Callback> doomed = std::move(posted_);
    posted_.clear();
  }
  LOCKSTEP_CHECK(timers_.empty() && watches_.empty(), "a Registration outlives its loop");
}

Registration SimLoop::At(base::SteadyTime due, Callback callback) {
  seq_.AssertHeld();
  const uint64_t id = next_id_++;
  timers_.emplace(TimerKey(due, id), std::move(callback));
  timer_due_.emplace(id, due);
  return Registration(*this, id);
}

Registration SimLoop::Watch(int fd, Readiness interest, ReadyCallback callback) {
  seq_.AssertHeld();
  for (const auto& [other, watched] : watches_) {
    LOCKSTEP_CHECK(watched.fd != fd, "a descriptor is watched once at a time");
  }
  const uint64_t id = next_id_++;
  watches_[id] = {.fd = fd, .interest = interest, .callback = std::move(callback)};
  return Registration(*this, id);
}

void SimLoop::SetInterest(const Registration& watch, Readiness interest) {
  seq_.AssertHeld();
  const auto it = watches_.find(watch.id());
  LOCKSTEP_CHECK(it != watches_.end(), "SetInterest() needs an active Watch()");
  it->second.interest = interest;
}

void SimLoop::Post(Callback callback) {
  seq_.AssertHeld();
  posted_.push_back(std::move(callback));
}

void SimLoop::Quit() {
  seq_.AssertHeld();
  quit_ = true;
}

void SimLoop::SetReady(int fd, Readiness readiness) {
  seq_.AssertHeld();
  ready_[fd] = readiness;
}

void SimLoop::Cancel(uint64_t id) {
  seq_.AssertHeld();
  // Nodes are taken out before they are destroyed: a callback's captures may cancel other
  // registrations.
  if (const auto due = timer_due_.find(id); due != timer_due_.end()) {
    const auto doomed = timers_.extract(TimerKey(due->second, id));
    timer_due_.erase(due);
    return;
  }
  const auto doomed = watches_.extract(id);
}

bool SimLoop::IsActive(uint64_t id) const {
  seq_.AssertHeld();
  return timer_due_.contains(id) || watches_.contains(id);
}

void SimLoop::Run() {
  seq_.AssertHeld();
  LOCKSTEP_CHECK(!running_, "Run() inside a callback of the same loop");
  running_ = true;
  while (!quit_)
    LOCKSTEP_CHECK(Step(base::SteadyTime::max()),
                   "nothing is left that could run: this would hang");
  quit_ = false;
  running_ = false;
}

bool SimLoop::RunUntil(const std::function<bool()>& done, base::Duration timeout) {
  seq_.AssertHeld();
  LOCKSTEP_CHECK(!running_, "RunUntil() inside a callback of the same loop");
  running_ = true;
  const base::SteadyTime limit = Now() + timeout;
  bool reached = done();
  while (!reached && Step(limit)) reached = done();
  running_ = false;
  return reached;
}

void SimLoop::RunFor(base::Duration time) {
  RunUntil([] { return false; }, time);
}

bool SimLoop::Step(base::SteadyTime limit) {
  // Posts, descriptors and timers take turns, so that none of them can starve the others.
  for (int tried = 0; tried < 3; ++tried) {
    turn_ = (turn_ + 1) % 3;
    const bool ran = turn_ == 0 ? RunPosted() : turn_ == 1 ? RunReady() : RunTimer();
    if (ran) {
      CountAgainstLivelock();
      return true;
    }
  }
  callbacks_at_this_instant_ = 0;
  if (timers_.empty() || timers_.begin()->first.first > limit) {
    if (limit != base::SteadyTime::max() && limit > Now()) clock_.AdvanceTo(limit);
    return false;
  }
  clock_.AdvanceTo(timers_.begin()->first.first);
  return RunTimer();
}

bool SimLoop::RunPosted() {
  if (posted_.empty()) return false;
  const Callback callback = std::move(posted_.front());
  posted_.pop_front();
  callback();
  return true;
}

bool SimLoop::RunTimer() {
  if (timers_.empty() || timers_.begin()->first.first > Now()) return false;
  const auto timer = timers_.extract(timers_.begin());
  timer_due_.erase(timer.key().second);
  timer.mapped()();
  return true;
}

bool SimLoop::RunReady() {
  if (ready_.empty()) return false;
  auto it = watches_.upper_bound(last_delivered_);
  for (size_t tried = 0; tried < watches_.size(); ++tried, ++it) {
    if (it == watches_.end()) it = watches_.begin();
    const auto state = ready_.find(it->second.fd);
    if (state == ready_.end()) continue;
    const Readiness visible = state->second.For(it->second.interest);
    if (!visible.any()) continue;
    const uint64_t id = last_delivered_ = it->first;
    // The callback stays alive while it runs, even when it cancels itself.
    ReadyCallback callback = std::move(it->second.callback);
    callback(visible);
    if (const auto after = watches_.find(id); after != watches_.end())
      after->second.callback = std::move(callback);
    return true;
  }
  return false;
}

void SimLoop::CountAgainstLivelock() {
  LOCKSTEP_CHECK(++callbacks_at_this_instant_ < kMaxCallbacksAtOneInstant,
                 "ten million callbacks while simulated time stood still: a live-lock");
}

}  // namespace lockstep::event
