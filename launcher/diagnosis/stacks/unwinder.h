// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_UNWINDER_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_UNWINDER_H_

#include <elfutils/libdwfl.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {

/// Reads the call stacks of a process whose threads are held, and says what is where in its code:
/// by the files it has mapped and their tables for unwinding, symbols (of stripped programs the
/// exported ones) and lines. Confined to one thread, the one that holds the threads.
class Unwinder {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Stack {
    /// To be looked up, the innermost first.
    std::vector<uint64_t> addresses;
    std::string problem;  // why it ends early; "" = it does not
  };

  /// Looks at what the process has mapped; it need not be held yet.
  /// Errors: Unavailable - its maps or program cannot be read, or are none.
  static base::Result<std::unique_ptr<Unwinder>> Create(pid_t pid);
  ~Unwinder();
  Unwinder(const Unwinder&) = delete;
  Unwinder& operator=(const Unwinder&) = delete;

  /// Of a thread that is held, at most `frames_max` frames, until `deadline`.
  Stack Unwind(pid_t tid, size_t frames_max, Time deadline);
  /// Needs nothing to be held.
  proto::Frame Describe(uint64_t address);

 private:
  explicit Unwinder(Dwfl* dwfl) : dwfl_(dwfl) {}

  Dwfl* const dwfl_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_UNWINDER_H_
