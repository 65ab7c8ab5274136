// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_STAGING_WINDOWS_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_STAGING_WINDOWS_H_

#include <atomic>
#include <cstdint>
#include <functional>

#include "collectives/engine/op.h"
#include "collectives/engine/reduce_kernels.h"
#include "collectives/host/shm/shm_members.h"

namespace lockstep::collectives {

/// Moves what is too large for an arrival: it passes, window after window, through the members'
/// staging memory, of which each has two halves. Counters say how far a member is (ProgressLine);
/// they run on through the group's life, and every member's move at every op, so that the next
/// one's windows begin at the same number everywhere. One in each ShmBackend, which owns it;
/// borrows the members. One thread at a time.
class StagingWindows {
 public:
  using Counter = std::atomic<uint64_t> ProgressLine::*;
  /// Waits until each of the members [begin, end) but this one has brought `counter` to `target`.
  /// False: the op is over.
  using AwaitPeers = std::function<bool(Counter counter, uint64_t target, int begin, int end)>;

  explicit StagingWindows(const ShmMembers& members) : members_(members) {}

  /// Ops with data, of any size. False when a wait was.
  /// all_reduce, reduce, reduce_scatter and reduce_scatter_v. `scales`: by member, or null.
  bool Reduce(const Op& op, ReduceKernel kernel, const double* scales, const AwaitPeers& await);
  /// What goes to several alike: all_gather, all_gather_v, broadcast, gather.
  bool Spread(const Op& op, const AwaitPeers& await);
  /// What is another part for each: all_to_all, all_to_all_v, scatter. `longest`: bytes of the
  /// longest part between any two members.
  bool Deal(const Op& op, size_t longest, const AwaitPeers& await);

 private:
  class Slices;

  /// The numbers of an op's windows begin here.
  uint64_t Take(uint64_t window_count);
  void StageForOthers(const Op& op, const Slices& slices, uint64_t window, uint64_t number);
  void ReduceOwn(const Op& op, ReduceKernel kernel, const double* scales, const Slices& slices,
                 uint64_t window, uint64_t number);
  void TakeResults(const Op& op, const Slices& slices, uint64_t window, uint64_t number);
  void Publish(Counter counter, uint64_t value);

  const ShmMembers& members_;
  uint64_t next_window_ = kFirstWindow;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_STAGING_WINDOWS_H_
