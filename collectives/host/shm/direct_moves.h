// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_DIRECT_MOVES_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_DIRECT_MOVES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "collectives/engine/op.h"
#include "collectives/engine/reduce_kernels.h"
#include "collectives/host/shm/shm_layout.h"
#include "collectives/host/shm/shm_members.h"
#include "collectives/host/shm/window_counters.h"

namespace lockstep::collectives {

/// How a member gets at the buffers of another in one op: by a mapping of both (SharedBuffer), else
/// by process_vm_readv.
struct PeerBuffers {
  // By member, as many as there are: mapped here, or addresses in its own memory.
  std::array<const std::byte*, kMaxShmMembers> in;
  std::array<std::byte*, kMaxShmMembers> out;  // null where nobody needs them
  bool mapped = false;
};

/// Moves data between the members' own buffers, with no copy through the segment. All members take
/// the same way with the same op. One in each ShmBackend, which owns it; borrows members and
/// counters. One thread at a time.
///
/// Between mapped buffers: all_reduce has each member reduce an even share of the buffer from all
/// inputs into all outputs, and reduce_scatter its part; one barrier ends the op. A larger
/// broadcast is everybody's work: the root writes a share of it to all others, who fetch the rest.
/// A larger all_gather of two is written by each into both outputs, where both are mapped. All
/// other kinds fetch what they get straight into its place, and those may do so by
/// process_vm_readv; so may an all_reduce, of which each member fetches its share of the inputs,
/// and then the others' results.
class DirectMoves {
 public:
  using AwaitPeers = WindowCounters::AwaitPeers;
  enum class Outcome {
    kDone,
    kEnded,       // a wait said so
    kUnreadable,  // unreadable_member() could not be read from
  };

  DirectMoves(const ShmMembers& members, WindowCounters& counters)
      : members_(members), counters_(counters) {}

  /// By process_vm_readv.
  static bool MayFetch(OpKind kind);

  /// Of mapped buffers any kind with data but reduce; else those that MayFetch().
  Outcome Run(const Op& op, const PeerBuffers& buffers, ReduceKernels kernels, const double* scales,
              const AwaitPeers& await);

  int unreadable_member() const { return unreadable_member_; }
  int unreadable_error() const { return unreadable_error_; }

 private:
  struct Call;  // the op being run

  bool ReduceMapped(const Call& call);
  bool ReduceFetched(const Call& call);
  bool ReducePart(const Call& call);
  bool FetchParts(const Call& call);
  bool WriteParts(const Call& call);
  bool BroadcastMapped(const Call& call);
  bool Fetch(const Call& call, int member, const std::byte* from, std::byte* to, size_t bytes);
  bool EndTogether(const Call& call, uint64_t number);

  const ShmMembers& members_;
  WindowCounters& counters_;
  std::vector<std::byte> fetched_;  // pieces of the others' inputs
  int unreadable_member_ = -1;
  int unreadable_error_ = 0;
};

/// Whether process_vm_readv reads these bytes of this process, by the first and the last: memory of
/// a device, mapped here, it does not. A microsecond.
bool IsReadable(const std::byte* data, size_t bytes);

/// Finds out whether this process may read the memory of `member`, by a value that lies there.
bool MayRead(const ShmMembers& members, int member);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_DIRECT_MOVES_H_
