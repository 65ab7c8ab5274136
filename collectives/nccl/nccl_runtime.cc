// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_runtime.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <thread>
#include <utility>

#include "collectives/engine/op.h"
#include "collectives/engine/quiet_thread.h"

namespace lockstep::collectives {
namespace {

// A CUDA event query costs a microsecond. A sleeping waiter is woken late by this at most, or by a
// sixteenth of the time since an op was called or ended, up to the other: who has waited long waits
// for a rank that is late, or for a large op.
constexpr base::Duration kProgressEvery = std::chrono::microseconds(200);
constexpr base::Duration kProgressEveryMost = std::chrono::milliseconds(2);
// Deadlines are seconds; a mark of another member is heard at most this late.
constexpr base::Duration kWatchEvery = std::chrono::milliseconds(5);

void EndProcess(const base::Status& status) {
  std::fprintf(stderr, "lockstep: %s; ending the process with status %d\n",
               status.ToString().c_str(), kNcclStuckExitCode);
  _exit(kNcclStuckExitCode);
}

}  // namespace

struct NcclBoundedCall::State {
  std::string what;
  base::SteadyTime due;
  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;  // guarded by mutex
};

bool NcclBoundedCall::WaitFor(base::Duration at_most) {
  std::unique_lock<std::mutex> lock(state_->mutex);
  return state_->changed.wait_until(
      lock, std::chrono::steady_clock::now() + std::min(at_most, kMaxTimeout),
      [this] { return state_->ended; });
}

bool NcclBoundedCall::ended() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->ended;
}

struct NcclRuntime::Shared {
  void ProgressMain();
  void WatchMain();
  void CheckLimits(std::unique_lock<std::mutex>& lock);

  base::RealClock clock;
  std::function<void(const base::Status&)> on_stuck;
  base::Duration abort_limit{0};

  std::mutex mutex;
  std::condition_variable progress_wake;
  std::condition_variable watch_wake;
  std::condition_variable went_idle;
  // Guarded by mutex:
  std::vector<std::shared_ptr<NcclWatched>> active;
  std::vector<std::shared_ptr<NcclBoundedCall::State>> limited;
  std::map<int, std::vector<CudaEvent>> events;  // by device
  int calls = 0;                                 // that have not returned
  int looking = 0;                               // of the two threads: have a copy of active
  bool stopping = false;
  std::thread progress;
  std::thread watch;
};

NcclRuntime::NcclRuntime(Config config)
    : config_(std::move(config)), shared_(std::make_shared<Shared>()) {
  shared_->on_stuck = config_.on_stuck ? config_.on_stuck : EndProcess;
  shared_->abort_limit = config_.abort_limit;
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->progress =
      StartQuietThread("nccl progress", [shared = shared_] { shared->ProgressMain(); });
  shared_->watch = StartQuietThread("nccl watch", [shared = shared_] { shared->WatchMain(); });
}

NcclRuntime::~NcclRuntime() {
  std::thread progress, watch;
  {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->stopping = true;
    shared_->progress_wake.notify_one();
    shared_->watch_wake.notify_one();
    progress = std::move(shared_->progress);
    watch = std::move(shared_->watch);
  }
  // The last group may go on one of these threads, in a callback; it then ends by itself. A
  // progress thread that hangs in NCCL holds a group, and with it the runtime: then we do not come
  // here.
  for (std::thread* const thread : {&progress, &watch}) {
    if (thread->get_id() == std::this_thread::get_id()) {
      thread->detach();
    } else {
      thread->join();
    }
  }
  for (const auto& [_, events] : shared_->events) {
    for (const CudaEvent event : events) libraries().cuda().event_destroy(event);
  }
}

void NcclRuntime::Activate(std::shared_ptr<NcclWatched> watched) {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->active.push_back(std::move(watched));
  shared_->progress_wake.notify_one();
  shared_->watch_wake.notify_one();
}

void NcclRuntime::Shared::ProgressMain() {
  std::unique_lock<std::mutex> lock(mutex);
  while (!stopping) {
    auto watched = active;
    ++looking;
    lock.unlock();
    std::vector<NcclWatched*> idle;
    base::SteadyTime moved_at{};
    for (const auto& one : watched) {
      const std::optional<base::SteadyTime> moved = one->Progress();
      if (!moved.has_value()) idle.push_back(one.get());
      moved_at = std::max(moved_at, moved.value_or(base::SteadyTime{}));
    }
    lock.lock();
    // Of one that was activated again meanwhile, one entry is left.
    for (NcclWatched* const one : idle) {
      const auto found = std::find_if(active.begin(), active.end(),
                                      [one](const auto& other) { return other.get() == one; });
      if (found != active.end()) active.erase(found);
    }
    // What they held is destroyed without the lock.
    lock.unlock();
    watched.clear();
    lock.lock();
    --looking;
    went_idle.notify_all();
    if (stopping) continue;
    if (active.empty()) {
      progress_wake.wait(lock);
    } else {
      progress_wake.wait_for(
          lock, std::clamp((clock.Now() - moved_at) / 16, kProgressEvery, kProgressEveryMost));
    }
  }
}

void NcclRuntime::Shared::WatchMain() {
  std::unique_lock<std::mutex> lock(mutex);
  while (!stopping) {
    auto watched = active;
    ++looking;
    lock.unlock();
    for (const auto& one : watched) one->Watch();
    watched.clear();
    lock.lock();
    --looking;
    went_idle.notify_all();
    CheckLimits(lock);
    if (stopping) break;
    if (active.empty() && limited.empty()) {
      watch_wake.wait(lock);
    } else {
      watch_wake.wait_for(lock, kWatchEvery);
    }
  }
}

void NcclRuntime::Shared::CheckLimits(std::unique_lock<std::mutex>& lock) {
  const base::SteadyTime now = clock.Now();
  std::vector<std::shared_ptr<NcclBoundedCall::State>> stuck;
  std::erase_if(limited, [&](const auto& call) {
    const std::lock_guard<std::mutex> guard(call->mutex);
    if (!call->ended && now >= call->due) stuck.push_back(call);
    return call->ended || now >= call->due;
  });
  lock.unlock();
  for (const auto& call : stuck) {
    on_stuck(base::DeadlineExceededError(
        call->what + " has not returned within " + base::FormatDuration(abort_limit) +
        ": NCCL hangs in it, and so would every other way out of this process"));
  }
  lock.lock();
}

NcclBoundedCall NcclRuntime::Start(std::string what, Limit limit, std::function<void()> call) {
  NcclBoundedCall handle;
  handle.state_ = std::make_shared<NcclBoundedCall::State>();
  handle.state_->what = std::move(what);
  const std::lock_guard<std::mutex> guard(shared_->mutex);
  if (limit == Limit::kAbort) {
    handle.state_->due = shared_->clock.Now() + config_.abort_limit;
    shared_->limited.push_back(handle.state_);
    shared_->watch_wake.notify_one();
  }
  StartQuietThread("nccl call", [state = handle.state_, shared = shared_,
                                 call = std::move(call)]() mutable {
    call();
    call = nullptr;  // what it held goes before anybody is told
    {
      const std::lock_guard<std::mutex> lock(state->mutex);
      state->ended = true;
      state->changed.notify_all();
    }
    const std::lock_guard<std::mutex> lock(shared->mutex);
    --shared->calls;
    shared->went_idle.notify_all();
  }).detach();
  ++shared_->calls;  // not when there is no thread left to be had, which is thrown
  return handle;
}

bool NcclRuntime::AwaitIdle(base::Duration at_most) {
  std::unique_lock<std::mutex> lock(shared_->mutex);
  return shared_->went_idle.wait_until(
      lock, std::chrono::steady_clock::now() + std::min(at_most, kMaxTimeout),
      [this] { return shared_->calls == 0 && shared_->active.empty() && shared_->looking == 0; });
}

CudaEvent NcclRuntime::TakeEvent(int device) {
  {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    std::vector<CudaEvent>& events = shared_->events[device];
    if (!events.empty()) {
      const CudaEvent event = events.back();
      events.pop_back();
      return event;
    }
  }
  CudaEvent event = nullptr;
  if (libraries().cuda().event_create_with_flags(&event, kCudaEventDisableTiming) != kCudaSuccess)
    return nullptr;
  return event;
}

void NcclRuntime::GiveEvent(int device, CudaEvent event) {
  if (event == nullptr) return;
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->events[device].push_back(event);
}

CudaDeviceScope::CudaDeviceScope(const GpuLibraries& libraries, int device)
    : libraries_(libraries) {
  int current = -1;
  if (libraries.cuda().get_device(&current) == kCudaSuccess && current == device) return;
  if (libraries.cuda().set_device(device) == kCudaSuccess) before_ = current;
}

CudaDeviceScope::~CudaDeviceScope() {
  if (before_ >= 0) (void)libraries_.cuda().set_device(before_);
}

}  // namespace lockstep::collectives
