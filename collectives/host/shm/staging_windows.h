// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_STAGING_WINDOWS_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_STAGING_WINDOWS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "collectives/engine/op.h"
#include "collectives/engine/reduce_kernels.h"
#include "collectives/host/shm/shm_members.h"
#include "collectives/host/shm/stage_writer.h"
#include "collectives/host/shm/window_counters.h"

namespace lockstep::collectives {

/// Moves what is too large for an arrival through the members' staging memory, window after window.
/// One in each ShmBackend, which owns it; borrows members and
/// counters. One thread at a time.
class StagingWindows {
 public:
  using AwaitPeers = WindowCounters::AwaitPeers;

  StagingWindows(const ShmMembers& members, WindowCounters& counters)
      : members_(members), counters_(counters) {}

  /// How stages are written from now on: where all members do the same, it is fastest.
  void Choose(WayOfMoving::Way way) { way_ = way; }

  /// Ops with data, of any size. False when a wait was.
  /// all_reduce, reduce, reduce_scatter and reduce_scatter_v. `scales`: by member, or null.
  bool Reduce(const Op& op, const ReduceKernels& kernels, const double* scales,
              const AwaitPeers& await);
  /// What goes to several alike: all_gather, all_gather_v, broadcast, gather.
  bool Spread(const Op& op, const AwaitPeers& await);
  /// What is another part for each: all_to_all, all_to_all_v, scatter. `longest`: bytes of the
  /// longest part between any two members.
  bool Deal(const Op& op, size_t longest, const AwaitPeers& await);

  /// Whether both members of two combine all of an op of so many bytes, and not each a half.
  bool ReducesByEach(OpKind kind, size_t bytes) const;

 private:
  class Slices;

  uint64_t FreeFor(uint64_t number) const;
  bool IsBeyondCaches(size_t bytes) const;
  bool IsLarge(const Op& op) const;
  void CopyOut(const Op& op, std::byte* to, const std::byte* from, size_t bytes) const;
  void StageForOthers(const Op& op, const Slices& slices, uint64_t window, uint64_t number);
  void ReduceOwn(const Op& op, ReduceKernel kernel, const double* scales, const Slices& slices,
                 uint64_t window, uint64_t number);
  bool ReduceByEach(const Op& op, const ReduceKernels& kernels, const double* scales,
                    const AwaitPeers& await);
  void TakeResults(const Op& op, const Slices& slices, uint64_t window, uint64_t number);

  const ShmMembers& members_;
  WindowCounters& counters_;
  WayOfMoving::Way way_ = WayOfMoving::kThroughCaches;
  std::vector<std::byte> scratch_;  // a slice
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_STAGING_WINDOWS_H_
