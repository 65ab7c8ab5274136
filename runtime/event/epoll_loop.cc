// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/event/epoll_loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <thread>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"

namespace lockstep::event {
namespace {

constexpr uint64_t kWakeId = 0;
constexpr int kEventsPerTurn = 64;

uint32_t ToEpoll(Readiness interest) {
  return (interest.readable ? static_cast<uint32_t>(EPOLLIN) : 0) |
         (interest.writable ? static_cast<uint32_t>(EPOLLOUT) : 0);
}

Readiness FromEpoll(uint32_t events) {
  return {.readable = (events & EPOLLIN) != 0,
          .writable = (events & EPOLLOUT) != 0,
          .closed = (events & (EPOLLHUP | EPOLLERR)) != 0};
}

}  // namespace

base::Result<std::unique_ptr<EpollLoop>> EpollLoop::Create(const base::Clock& clock) {
  base::UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return base::ErrnoStatus(errno, "create the event loop: epoll_create1");
  base::UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return base::ErrnoStatus(errno, "create the event loop: eventfd");
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWakeId}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return base::ErrnoStatus(errno, "create the event loop: epoll_ctl");
  }
  return std::unique_ptr<EpollLoop>(new EpollLoop(clock, std::move(epoll), std::move(wake)));
}

EpollLoop::EpollLoop(const base::Clock& clock, base::UniqueFd epoll, base::UniqueFd wake)
    : clock_(clock), epoll_(std::move(epoll)), wake_(std::move(wake)) {}

EpollLoop::~EpollLoop() {
  // Callbacks may own registrations, and even post when destroyed; they must meet a whole loop.
  while (!batch_.empty() || HasPosted()) {
    std::deque<Callback> doomed;
    doomed.swap(batch_);
    doomed.clear();
    std::lock_guard lock(mutex_);
    batch_.swap(posted_);
  }
  LOCKSTEP_CHECK(timers_.empty() && watches_.empty(), "a Registration outlives its loop");
}

Registration EpollLoop::At(base::SteadyTime due, Callback callback) {
  seq_.AssertHeld();
  const uint64_t id = next_id_++;
  timers_.emplace(TimerKey(due, id), std::move(callback));
  timer_due_.emplace(id, due);
  return Registration(*this, id);
}

Registration EpollLoop::Watch(int fd, Readiness interest, ReadyCallback callback) {
  seq_.AssertHeld();
  const uint64_t id = next_id_++;
  Watched& watched = watches_[id];
  watched = {.fd = fd, .interest = interest, .callback = std::move(callback)};
  Arm(id, watched);
  return Registration(*this, id);
}

void EpollLoop::SetInterest(const Registration& watch, Readiness interest) {
  seq_.AssertHeld();
  const auto it = watches_.find(watch.id());
  LOCKSTEP_CHECK(it != watches_.end(), "SetInterest() needs an active Watch()");
  Watched& watched = it->second;
  if (watched.interest == interest) return;
  watched.interest = interest;
  // A paused descriptor leaves epoll altogether: with an empty interest the kernel would still
  // report its hang-up, turn after turn.
  if (!interest.wanted()) {
    Disarm(watched);
    return;
  }
  Arm(watch.id(), watched);
}

void EpollLoop::Arm(uint64_t id, Watched& watched) {
  if (!watched.interest.wanted() || always_ready_.contains(id)) return;
  epoll_event event{.events = ToEpoll(watched.interest), .data = {.u64 = id}};
  const int operation = watched.in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (::epoll_ctl(epoll_.get(), operation, watched.fd, &event) == 0) {
    watched.in_epoll = true;
    return;
  }
  if (errno == EPERM) {
    always_ready_.insert(id);
    return;
  }
  LOCKSTEP_CHECK(errno != EBADF, "a watched descriptor must be open");
  LOCKSTEP_CHECK(errno != EEXIST, "a descriptor is watched once at a time");
  LOCKSTEP_CHECK(
      false, "epoll_ctl has no memory or no watches left (/proc/sys/fs/epoll/max_user_watches)");
}

void EpollLoop::Disarm(Watched& watched) {
  if (!std::exchange(watched.in_epoll, false)) return;
  const int result = ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, watched.fd, nullptr);
  LOCKSTEP_CHECK(result == 0, "a descriptor was closed before its Registration was reset");
}

void EpollLoop::Cancel(uint64_t id) {
  seq_.AssertHeld();
  // Nodes are taken out before they are destroyed: a callback's captures may cancel other
  // registrations.
  if (const auto due = timer_due_.find(id); due != timer_due_.end()) {
    const auto doomed = timers_.extract(TimerKey(due->second, id));
    timer_due_.erase(due);
    return;
  }
  const auto watch = watches_.find(id);
  if (watch == watches_.end()) return;
  Disarm(watch->second);
  always_ready_.erase(id);
  const auto doomed = watches_.extract(watch);
}

bool EpollLoop::IsActive(uint64_t id) const {
  seq_.AssertHeld();
  return timer_due_.contains(id) || watches_.contains(id);
}

void EpollLoop::Post(Callback callback) {
  bool was_empty = false;
  {
    std::lock_guard lock(mutex_);
    was_empty = posted_.empty();
    posted_.push_back(std::move(callback));
  }
  // The first post of a burst wakes, later ones need not; and the loop's own thread looks into the
  // queue before it sleeps.
  if (was_empty && running_thread_.load() != std::this_thread::get_id()) Wake();
}

void EpollLoop::Quit() {
  quit_.store(true);
  Wake();
}

void EpollLoop::Wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the loop is about to wake anyway.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void EpollLoop::Run() {
  seq_.AssertHeld();
  LOCKSTEP_CHECK(!running_, "Run() inside a callback of the same loop");
  running_ = true;
  running_thread_.store(std::this_thread::get_id());
  while (!quit_.load()) {
    RunPosted();
    RunTimers();
    RunReady();
  }
  quit_.store(false);
  running_thread_.store(std::thread::id());
  running_ = false;
}

void EpollLoop::RunPosted() {
  if (batch_.empty()) {
    std::lock_guard lock(mutex_);
    batch_.swap(posted_);
  }
  // Only this batch: callbacks that post anew must not keep timers and descriptors waiting.
  while (!batch_.empty() && !quit_.load()) {
    const Callback callback = std::move(batch_.front());
    batch_.pop_front();
    callback();
  }
}

void EpollLoop::RunTimers() {
  if (timers_.empty()) return;
  const base::SteadyTime now = clock_.Now();
  // A timer set by one of these callbacks waits for the next turn, however early it is due.
  const uint64_t first_new_id = next_id_;
  while (!quit_.load()) {
    auto it = timers_.begin();
    while (it != timers_.end() && it->first.first <= now && it->first.second >= first_new_id) ++it;
    if (it == timers_.end() || it->first.first > now) return;
    const auto timer = timers_.extract(it);
    timer_due_.erase(timer.key().second);
    timer.mapped()();
  }
}

std::optional<base::Duration> EpollLoop::WaitTime() {
  if (quit_.load() || !batch_.empty() || HasPosted()) return base::Duration(0);
  for (const uint64_t id : always_ready_) {
    if (watches_.at(id).interest.wanted()) return base::Duration(0);
  }
  if (timers_.empty()) return std::nullopt;
  return std::max(base::Duration(0), timers_.begin()->first.first - clock_.Now());
}

bool EpollLoop::HasPosted() {
  std::lock_guard lock(mutex_);
  return !posted_.empty();
}

void EpollLoop::RunReady() {
  epoll_event events[kEventsPerTurn];
  const int count = Wait(events, kEventsPerTurn, WaitTime());
  // After Quit() the rest is dropped: epoll reports it again in the next Run().
  for (int i = 0; i < count && !quit_.load(); ++i) {
    if (events[i].data.u64 == kWakeId) {
      uint64_t posts = 0;
      [[maybe_unused]] const ssize_t taken = ::read(wake_.get(), &posts, sizeof(posts));
      continue;
    }
    Deliver(events[i].data.u64, FromEpoll(events[i].events));
  }
  if (!always_ready_.empty()) DeliverAlwaysReady();
}

int EpollLoop::Wait(epoll_event* events, int capacity, std::optional<base::Duration> limit) {
  int count = 0;
  if (limit && limit->count() > 0 && has_pwait2_) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*limit);
    const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (*limit - seconds).count()};
    // Called by number: a libc older than the kernel may lack the wrapper.
    count = static_cast<int>(
        ::syscall(SYS_epoll_pwait2, epoll_.get(), events, capacity, &timeout, nullptr, 0));
    // EPERM: a container's filter that does not know the call.
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
      LOCKSTEP_CHECK(count >= 0 || errno == EINTR, "epoll_pwait2 failed");
      return count;
    }
    has_pwait2_ = false;
  }
  int milliseconds = -1;
  if (limit) {
    const int64_t rounded_up = std::chrono::ceil<std::chrono::milliseconds>(*limit).count();
    milliseconds = static_cast<int>(std::min<int64_t>(rounded_up, INT_MAX));
  }
  count = ::epoll_wait(epoll_.get(), events, capacity, milliseconds);
  LOCKSTEP_CHECK(count >= 0 || errno == EINTR, "epoll_wait failed");
  return count;
}

void EpollLoop::Deliver(uint64_t id, Readiness readiness) {
  auto it = watches_.find(id);
  // Cancelled or paused by a callback of the same turn. Ids are never used twice, so a new watch on
  // the same descriptor cannot be mistaken for the old one.
  if (it == watches_.end()) return;
  const Readiness visible = readiness.For(it->second.interest);
  if (!visible.any()) return;
  // The callback stays alive while it runs, even when it cancels itself.
  ReadyCallback callback = std::move(it->second.callback);
  callback(visible);
  it = watches_.find(id);
  if (it != watches_.end()) it->second.callback = std::move(callback);
}

void EpollLoop::DeliverAlwaysReady() {
  const std::vector<uint64_t> ids(always_ready_.begin(), always_ready_.end());
  for (const uint64_t id : ids) {
    if (quit_.load()) return;
    Deliver(id, {.readable = true, .writable = true});
  }
}

}  // namespace lockstep::event
