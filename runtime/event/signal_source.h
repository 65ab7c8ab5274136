// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_EVENT_SIGNAL_SOURCE_H_
#define LOCKSTEP_RUNTIME_EVENT_SIGNAL_SOURCE_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"

namespace lockstep::event {

struct Signal {
  int number = 0;
  pid_t sender_pid = 0;  // 0 when the kernel sent it, as for ^C in a terminal
  uid_t sender_uid = 0;
  int code = 0;  // SI_USER, SI_KERNEL, CLD_EXITED ...
};

/// Turns signals into callbacks on a loop, through a signalfd. Owned by whoever wants them;
/// confined to the loop's thread. Several sources may exist as long as no signal is in two of them.
///
/// The signals are blocked in the creating thread and stay blocked after this is gone: to unblock
/// them could let one that is pending kill the process. Threads started later inherit the block;
/// one that was started before and does not block them would take them away, so create this first.
/// A child must clear its mask before exec (Processes does).
class SignalSource {
 public:
  using Callback = std::function<void(const Signal&)>;

  /// `callback` runs on the loop's thread once for each signal; equal ones that come while one is
  /// pending are one. Errors: ResourceExhausted - descriptor limit.
  static base::Result<std::unique_ptr<SignalSource>> Create(Loop& loop,
                                                            const std::vector<int>& signals,
                                                            Callback callback);

 private:
  SignalSource(base::UniqueFd fd, Callback callback);
  void OnReadable();

  const base::UniqueFd fd_;
  Callback callback_;
  Registration watch_;  // after fd_: gone first
};

}  // namespace lockstep::event

#endif  // LOCKSTEP_RUNTIME_EVENT_SIGNAL_SOURCE_H_
