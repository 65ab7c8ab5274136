// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_WORK_H_
#define LOCKSTEP_COLLECTIVES_WORK_H_

#include <cstdint>
#include <functional>
#include <optional>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// One collective in flight. States:
///
///   kEnqueued -> kStarted -> kCompleted
///                         -> kTimedOut | kError | kAborted | kRemoteError
///
/// It always reaches a final state: an abort, a dead peer or a passed deadline completes it. Held
/// by shared_ptr because the caller and the progress thread both need it. Thread-safe. Buffers must
/// stay alive and untouched until done().
class Work {
 public:
  enum class State : uint8_t {
    kEnqueued,
    kStarted,
    kCompleted,
    kTimedOut,
    kError,
    kAborted,
    kRemoteError
  };
  struct Timings {
    base::SteadyTime enqueued{};
    std::optional<base::SteadyTime> started;
    std::optional<base::SteadyTime> completed;
  };
  using Callback = std::function<void(const base::Status&)>;

  virtual ~Work() = default;

  virtual State state() const = 0;
  bool done() const { return state() > State::kStarted; }
  /// The op's number in its group.
  virtual base::OpSeq seq() const = 0;
  /// OK while in flight and when completed; else what ended it, with the blamed ranks as subjects.
  virtual base::Status status() const = 0;
  virtual Timings timings() const = 0;

  /// Blocks the calling thread until the end and returns status(). A wait of the host on every
  /// backend: after OK the output may be read by anybody, also where a device wrote it. The op's
  /// own deadline bounds it: nobody waits for ever.
  virtual base::Status Wait() = 0;
  /// Waits no longer than `at_most`; DeadlineExceeded leaves the op in flight.
  virtual base::Status WaitFor(base::Duration at_most) = 0;
  /// Runs `callback` once when done: on the progress thread, or at once on the caller's when
  /// already done.
  virtual void OnComplete(Callback callback) = 0;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_WORK_H_
