// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_MPI_CALL_H_
#define LOCKSTEP_COLLECTIVES_MPI_MPI_CALL_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "collectives/mpi/lockstep_mpi.h"
#include "collectives/types.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// Memory that MPI may work on: grown, never shrunk.
class MpiMemory {
 public:
  std::byte* Reserve(size_t bytes) {
    if (bytes > capacity_) {
      data_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
      capacity_ = bytes;
    }
    return data_.get();
  }
  std::byte* data() const { return data_.get(); }

 private:
  std::unique_ptr<std::byte[]> data_;
  size_t capacity_ = 0;
};

/// One request to MPI with the memory it works on, which is never its caller's: a collective cannot
/// be cancelled, so a stuck one may write long after its op has failed and the program has freed
/// its buffers. Shared by who posts it and MpiEngine, which keeps it until MPI is done with it,
/// if for ever.
///
///   filled by its caller -> MpiEngine::Post() -> done() -> filled again
///
/// Threads: its caller's until posted; until done() the engine's; then its caller's.
class MpiCall {
 public:
  bool done() const { return done_.load(std::memory_order_acquire); }
  /// Of a done one.
  const base::Status& status() const { return status_; }

  lockstep_mpi_kind kind = LOCKSTEP_MPI_BARRIER;
  int peer = 0;
  int tag = 0;
  int count = 0;
  std::vector<int> in_counts, in_offsets, out_counts, out_offsets;  // empty = none
  MpiMemory in, out;
  // How elements are combined; Reduction::kNone = it moves bytes.
  Dtype dtype = Dtype::kU8;
  Reduction reduction = Reduction::kNone;

 private:
  friend class MpiEngine;

  std::atomic<bool> done_{false};
  base::Status status_;
  lockstep_mpi_request* request_ = nullptr;  // the engine's thread's
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_MPI_MPI_CALL_H_
