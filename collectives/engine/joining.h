// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_JOINING_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_JOINING_H_

#include "collectives/engine/backend.h"
#include "collectives/recorder/recorder.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// The record of making a group, which is op number 0 of it: whoever has come waits there for the
/// others. On the stack of who makes it; confined to its thread.
class Joining {
 public:
  /// `recorder`: null records nothing. `spec`: with the round in which the making begins.
  Joining(Recorder* recorder, const GroupSpec& spec, base::Duration timeout);
  /// It failed, unless End() came before.
  ~Joining();
  Joining(const Joining&) = delete;
  Joining& operator=(const Joining&) = delete;

  /// The seat in the group as it was made, which may be in a later round.
  Recorder::Seat End(const GroupSpec& spec);

 private:
  static Recorder::Seat TakeSeat(Recorder* recorder, const GroupSpec& spec);
  void Finish(lockstep_record_state state);

  Recorder* const recorder_;
  const base::Round epoch_;
  const bool waits_;  // there is somebody to wait for, and somewhere to say so
  const base::RealClock clock_;
  Recorder::Seat seat_;
  Recorder::Ticket ticket_;
  bool has_ended_ = false;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_JOINING_H_
