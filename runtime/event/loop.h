// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_EVENT_LOOP_H_
#define LOCKSTEP_RUNTIME_EVENT_LOOP_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "runtime/base/clock.h"

namespace lockstep::event {

class Loop;

/// What a watched descriptor is waited for, and what it became. Error and hang-up are always
/// reported.
struct Readiness {
  bool readable = false;
  bool writable = false;
  bool closed = false;  // only reported: EPOLLHUP or EPOLLERR

  /// As an interest: whether anything is waited for. When not, a hang-up is not reported either.
  bool wanted() const { return readable || writable; }
  /// As a state: whether there is anything to report.
  bool any() const { return readable || writable || closed; }
  /// What of this state someone with `interest` is told.
  Readiness For(Readiness interest) const {
    return {.readable = readable && interest.readable,
            .writable = writable && interest.writable,
            .closed = closed && interest.wanted()};
  }

  friend bool operator==(const Readiness&, const Readiness&) = default;
};

/// A pending callback: destroying or resetting it cancels, and after that the callback never runs.
/// Moves, does not copy. Must not outlive its loop. Confined to the loop's thread.
class Registration {
 public:
  Registration() = default;
  Registration(Loop& loop, uint64_t id) : loop_(&loop), id_(id) {}
  Registration(Registration&& other) noexcept
      : loop_(std::exchange(other.loop_, nullptr)), id_(std::exchange(other.id_, 0)) {}
  Registration& operator=(Registration&& other) noexcept;
  ~Registration() { reset(); }

  void reset();
  /// False once reset, moved from, or (for a timer) fired.
  bool active() const;
  uint64_t id() const { return id_; }

 private:
  Loop* loop_ = nullptr;
  uint64_t id_ = 0;
};

/// One thread that runs callbacks one after the other: timers, descriptors that became ready, and
/// work posted from other threads. Two implementations keep one contract (loop_contract_test.cc):
/// EpollLoop in life, SimLoop in tests.
///
/// Order: posted callbacks run in the order of posting; timers by due time, equal ones in the order
/// they were set. A callback never runs inside the call that registered it, and never after its
/// Registration is gone. Threads: everything but Post() and Quit() belongs to the thread that calls
/// Run().
class Loop {
 public:
  using Callback = std::function<void()>;
  using ReadyCallback = std::function<void(Readiness)>;

  virtual ~Loop() = default;

  virtual const base::Clock& clock() const = 0;
  base::SteadyTime Now() const { return clock().Now(); }

  /// Runs `callback` once, not before `due`. A due time in the past means as soon as possible.
  [[nodiscard]] virtual Registration At(base::SteadyTime due, Callback callback) = 0;
  [[nodiscard]] Registration After(base::Duration delay, Callback callback) {
    const base::SteadyTime now = Now();
    return At(delay < base::SteadyTime::max() - now ? now + delay : base::SteadyTime::max(),
              std::move(callback));
  }

  /// Runs `callback` each time `fd` is ready (level-triggered). The caller keeps `fd` open while it
  /// is watched; one registration per descriptor at a time.
  [[nodiscard]] virtual Registration Watch(int fd, Readiness interest, ReadyCallback callback) = 0;
  /// Changes what a Watch() registration waits for. Nothing at all is allowed (a paused reader) and
  /// then not even a hang-up is reported, since it would be reported for ever.
  virtual void SetInterest(const Registration& watch, Readiness interest) = 0;

  /// Runs `callback` on the loop's thread. Any thread. Callbacks posted before Run() run in it;
  /// those that a finished loop never ran are destroyed with it.
  virtual void Post(Callback callback) = 0;

  /// Runs until Quit(). May be called again, but not from a callback.
  virtual void Run() = 0;
  /// Ends Run() after the callback that is running; callbacks still pending stay pending. Outside
  /// Run() it ends the next one before its first callback. Any thread.
  virtual void Quit() = 0;

 private:
  friend class Registration;
  virtual void Cancel(uint64_t id) = 0;
  virtual bool IsActive(uint64_t id) const = 0;
};

inline void Registration::reset() {
  if (loop_ != nullptr) loop_->Cancel(id_);
  loop_ = nullptr;
  id_ = 0;
}

inline Registration& Registration::operator=(Registration&& other) noexcept {
  if (this != &other) {
    reset();
    loop_ = std::exchange(other.loop_, nullptr);
    id_ = std::exchange(other.id_, 0);
  }
  return *this;
}

inline bool Registration::active() const { return loop_ != nullptr && loop_->IsActive(id_); }

}  // namespace lockstep::event

#endif  // LOCKSTEP_RUNTIME_EVENT_LOOP_H_
