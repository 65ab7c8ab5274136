// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_EVENT_EPOLL_LOOP_H_
#define LOCKSTEP_RUNTIME_EVENT_EPOLL_LOOP_H_

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"

namespace lockstep::event {

/// The loop of a living process, over epoll. One per thread that wants one; its creator owns it.
/// Everything but Post() and Quit() belongs to one thread, the first that uses it.
///
/// Costs: two descriptors; one system call per turn (none more for timers, whose nearest due time
/// is the wait's timeout); one write per burst of posts from other threads. Timers fire within the
/// kernel's timer slack (50 us) of their due time, never before it; kernels without epoll_pwait2
/// (before 5.11) round up to the next millisecond.
///
/// Files and /dev/null, which epoll refuses, count as always ready, as poll() says of them.
class EpollLoop final : public Loop {
 public:
  /// Errors: ResourceExhausted - descriptor limit.
  static base::Result<std::unique_ptr<EpollLoop>> Create(const base::Clock& clock);
  ~EpollLoop() override;

  const base::Clock& clock() const override { return clock_; }
  [[nodiscard]] Registration At(base::SteadyTime due, Callback callback) override;
  [[nodiscard]] Registration Watch(int fd, Readiness interest, ReadyCallback callback) override;
  void SetInterest(const Registration& watch, Readiness interest) override;
  void Post(Callback callback) override;
  void Run() override;
  void Quit() override;

 private:
  struct Watched {
    int fd = -1;
    Readiness interest;
    bool in_epoll = false;  // not while paused, and never for a descriptor that epoll refuses
    ReadyCallback callback;
  };
  using TimerKey =
      std::pair<base::SteadyTime, uint64_t>;  // the id breaks ties in the order of setting

  EpollLoop(const base::Clock& clock, base::UniqueFd epoll, base::UniqueFd wake);

  void Cancel(uint64_t id) override;
  bool IsActive(uint64_t id) const override;

  void Arm(uint64_t id, Watched& watched) REQUIRES(seq_);
  void Disarm(Watched& watched) REQUIRES(seq_);
  void Wake();
  void RunPosted() REQUIRES(seq_);
  void RunTimers() REQUIRES(seq_);
  /// Waits for descriptors until the nearest timer, and runs their callbacks.
  void RunReady() REQUIRES(seq_);
  /// nullopt = for ever.
  std::optional<base::Duration> WaitTime() REQUIRES(seq_);
  bool HasPosted();
  int Wait(epoll_event* events, int capacity, std::optional<base::Duration> limit) REQUIRES(seq_);
  void Deliver(uint64_t id, Readiness readiness) REQUIRES(seq_);
  void DeliverAlwaysReady() REQUIRES(seq_);

  const base::Clock& clock_;
  const base::UniqueFd epoll_;
  const base::UniqueFd wake_;  // an eventfd: written when another thread posts or quits
  base::Sequence seq_;

  std::unordered_map<uint64_t, Watched> watches_ GUARDED_BY(seq_);
  std::set<uint64_t> always_ready_ GUARDED_BY(seq_);
  std::map<TimerKey, Callback> timers_ GUARDED_BY(seq_);
  std::unordered_map<uint64_t, base::SteadyTime> timer_due_ GUARDED_BY(seq_);
  std::deque<Callback> batch_ GUARDED_BY(seq_);  // taken from posted_, older than all in it
  uint64_t next_id_ GUARDED_BY(seq_) = 1;
  bool running_ GUARDED_BY(seq_) = false;
  bool has_pwait2_ GUARDED_BY(seq_) = true;

  std::atomic<bool> quit_{false};
  std::atomic<std::thread::id> running_thread_{};
  std::mutex mutex_;
  std::deque<Callback> posted_;  // guarded by mutex_
};

}  // namespace lockstep::event

#endif  // LOCKSTEP_RUNTIME_EVENT_EPOLL_LOOP_H_
