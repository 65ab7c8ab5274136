// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_OOM_COUNTER_H_
#define LOCKSTEP_RUNTIME_PROCESS_OOM_COUNTER_H_

#include <cstdint>

#include "runtime/base/unique_fd.h"

namespace lockstep::process {

/// Tells a process that the kernel killed for want of memory from one that somebody sent SIGKILL.
/// Ranks stay in the memory cgroup of their agent (which carries the limits of Slurm or of the
/// pod), so its counter of OOM kills counts theirs. Each kill counted is attributed once. Confined
/// to one thread.
class OomCounter {
 public:
  /// Finds the counter of our own memory cgroup: memory.events in v2, memory.oom_control in v1.
  /// Without one (or in the root cgroup of v2, which has none) nothing is ever called out of
  /// memory.
  OomCounter();

  /// OOM kills so far in the cgroup; 0 without a counter.
  uint64_t Read() const;
  /// Whether a process that was spawned when Read() was `count_at_spawn` and then died of a SIGKILL
  /// not sent by us was such a kill; takes it off those not yet attributed.
  bool Attribute(uint64_t count_at_spawn);

 private:
  base::UniqueFd file_;
  uint64_t attributed_ = 0;  // kills up to this count belong to someone
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_OOM_COUNTER_H_
