// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/attach/rank_ring.h"

#include <sys/mman.h>

#include <cerrno>

#include "runtime/attach/shared_memory.h"
#include "runtime/base/errno_status.h"

namespace lockstep::launcher {

base::Result<base::UniqueFd> MakeRing(const collectives::RingIdentity& facts) {
  base::UniqueFd ring(lockstep_shared_memory_create("lockstep-recorder", collectives::RingBytes()));
  if (!ring.valid())
    return base::ErrnoStatus(errno, "making the recorder ring of rank " + facts.rank.ToString());
  void* const header =
      mmap(nullptr, LOCKSTEP_RING_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring.get(), 0);
  if (header == MAP_FAILED) return base::ErrnoStatus(errno, "mapping a recorder ring's header");
  collectives::FormatRing(facts, LOCKSTEP_RING_DEFAULT_SLOTS,
                          *static_cast<lockstep_ring_header*>(header));
  munmap(header, LOCKSTEP_RING_HEADER_BYTES);
  return ring;
}

}  // namespace lockstep::launcher
