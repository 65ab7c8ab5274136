// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_STAGING_WINDOWS_H_
#define LOCKSTEP_COLLECTIVES_HOST_STAGING_WINDOWS_H_

#include <atomic>
#include <cstdint>
#include <functional>

#include "collectives/host/host_members.h"
#include "collectives/host/op.h"
#include "collectives/host/reduce_kernels.h"

namespace lockstep::collectives {

/// Moves what is too large for an arrival: it passes, window after window, through the members'
/// staging memory, of which each has two halves. Counters say how far a member is (ProgressLine);
/// they run on through the group's life, and every member's move at every op, so that the next one's
/// windows begin at the same number everywhere. One in each HostChannel, which owns it; borrows the
/// members. One thread at a time.
class StagingWindows {
 public:
  using Counter = std::atomic<uint64_t> ProgressLine::*;
  /// Waits until each of the members [begin, end) but this one has brought `counter` to `target`.
  /// False: the op is over.
  using AwaitPeers = std::function<bool(Counter counter, uint64_t target, int begin, int end)>;

  explicit StagingWindows(const HostMembers& members) : members_(members) {}

  /// Ops of more than kSmallBytes. False when a wait was.
  bool Reduce(const Op& op, ReduceKernel kernel, const AwaitPeers& await);
  bool Gather(const Op& op, const AwaitPeers& await);
  bool Broadcast(const Op& op, const AwaitPeers& await);

 private:
  class Slices;

  /// The numbers of an op's windows begin here.
  uint64_t Take(uint64_t window_count);
  void StageForOthers(const Op& op, const Slices& slices, uint64_t window, uint64_t number);
  void ReduceOwn(const Op& op, ReduceKernel kernel, const Slices& slices, uint64_t window,
                 uint64_t number);
  void TakeResults(const Op& op, const Slices& slices, uint64_t window, uint64_t number);
  void Publish(Counter counter, uint64_t value);

  const HostMembers& members_;
  uint64_t next_window_ = kFirstWindow;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_STAGING_WINDOWS_H_
