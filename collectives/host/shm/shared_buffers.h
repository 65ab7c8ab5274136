// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_SHARED_BUFFERS_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_SHARED_BUFFERS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "collectives/group.h"
#include "collectives/host/shm/segment.h"

namespace lockstep::collectives {

/// The SharedBuffers that a member of a shared memory group has, by number: a segment each, in
/// which every member has its part. Numbers are equal on all members, since allocating is
/// collective. One in each ShmBackend. Thread-safe.
class SharedBuffers {
 public:
  struct Place {
    uint32_t number = 0;  // from 1; 0 = in none
    uint64_t offset = 0;  // in this member's part
  };

  /// Where the members' parts of one begin here.
  struct Parts {
    std::byte* base = nullptr;
    size_t part_bytes = 0;

    std::byte* of(int member) const { return base + static_cast<size_t>(member) * part_bytes; }
  };

  /// `member`: this one.
  explicit SharedBuffers(int member) : member_(static_cast<size_t>(member)) {}

  /// Of one part of a segment whose parts hold `bytes`: whole pages, huge ones where it holds one.
  static size_t PartBytes(size_t bytes) {
    const size_t page = bytes < kHugePageBytes ? 4096 : kHugePageBytes;
    return bytes == 0 ? page : (bytes + page - 1) / page * page;
  }

  /// The number that the next one gets.
  uint32_t next_number() const;
  std::shared_ptr<SharedBuffer> Add(std::shared_ptr<Segment> segment, size_t bytes);

  Place Find(const void* data, size_t bytes) const;
  /// The buffer must be held by the caller of the op.
  Parts PartsOf(uint32_t number) const;

 private:
  struct Entry {
    uint32_t number;
    std::byte* base;
    size_t part_bytes;
    std::weak_ptr<Segment> segment;
  };

  const size_t member_;
  mutable std::mutex mutex_;
  uint32_t last_number_ = 0;    // this and the next: guarded by mutex_
  std::vector<Entry> entries_;  // of those that may still be held
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_SHARED_BUFFERS_H_
