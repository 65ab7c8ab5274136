// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_WINDOW_COUNTERS_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_WINDOW_COUNTERS_H_

#include <atomic>
#include <cstdint>
#include <functional>

#include "collectives/host/shm/shm_members.h"

namespace lockstep::collectives {

/// How far this member is with the windows of ops (ProgressLine). Windows are numbered through the
/// group's life, and every member's counters move at every op with data, so that the next one's
/// begin at the same number everywhere. One in each ShmBackend; one thread at a time.
class WindowCounters {
 public:
  using Counter = std::atomic<uint64_t> ProgressLine::*;
  /// Waits until each of the members [begin, end) but this one has brought `counter` to `target`.
  /// False: the op is over.
  using AwaitPeers = std::function<bool(Counter counter, uint64_t target, int begin, int end)>;

  explicit WindowCounters(const ShmMembers& members) : members_(members) {}

  /// The numbers of an op's windows begin here.
  uint64_t Take(uint64_t window_count) {
    const uint64_t first = next_window_;
    next_window_ += window_count;
    return first;
  }
  /// This member is through with the windows below `value`.
  void Publish(Counter counter, uint64_t value) const {
    (members_.mine().progress.*counter).store(value, std::memory_order_release);
    members_.WakeSleepers();
  }
  /// Of an op that does without some of the counters.
  void PublishAll(uint64_t value) const {
    ProgressLine& progress = members_.mine().progress;
    progress.staged.store(value, std::memory_order_release);
    progress.reduced.store(value, std::memory_order_release);
    Publish(&ProgressLine::gathered, value);
  }

 private:
  const ShmMembers& members_;
  uint64_t next_window_ = kFirstWindow;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_WINDOW_COUNTERS_H_
