// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_LANE_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_LANE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "collectives/host/shm/shm_layout.h"
#include "collectives/host/shm/shm_members.h"

namespace lockstep::collectives {

/// The stream of bytes from one member to another (shm_layout.h), as it is at the moment: made for
/// each look. One thread at each end.
class ShmLane {
 public:
  ShmLane(const ShmMembers& members, int from, int to)
      : sender_(members.lane(from, to)),
        receiver_(sender_ + 1),
        ring_(reinterpret_cast<std::byte*>(sender_ + 2)),
        ring_bytes_(members.layout().lane_ring_bytes()),
        written_(sender_->position.load(std::memory_order_acquire)),
        read_(receiver_->position.load(std::memory_order_acquire)) {}

  /// Bytes that may be read now. A peer that wrote nonsense there cannot lead beyond the ring.
  size_t filled() const {
    return static_cast<size_t>(std::min<uint64_t>(written_ - read_, ring_bytes_));
  }
  size_t room() const { return ring_bytes_ - filled(); }

  /// At most room().
  void Write(const void* data, size_t bytes) {
    Around(written_, bytes, [&](size_t at, size_t from, size_t length) {
      std::memcpy(ring_ + at, static_cast<const std::byte*>(data) + from, length);
    });
    written_ += bytes;
    sender_->position.store(written_, std::memory_order_release);
  }
  /// At most filled().
  void Read(void* data, size_t bytes) {
    Around(read_, bytes, [&](size_t at, size_t to, size_t length) {
      std::memcpy(static_cast<std::byte*>(data) + to, ring_ + at, length);
    });
    read_ += bytes;
    receiver_->position.store(read_, std::memory_order_release);
  }

 private:
  template <class Copy>
  void Around(uint64_t position, size_t bytes, const Copy& copy) const {
    const size_t at = static_cast<size_t>(position) & (ring_bytes_ - 1);
    const size_t first = std::min(bytes, ring_bytes_ - at);
    copy(at, 0, first);
    if (first < bytes) copy(0, first, bytes - first);
  }

  LaneLine* const sender_;
  LaneLine* const receiver_;
  std::byte* const ring_;
  const size_t ring_bytes_;
  uint64_t written_;
  uint64_t read_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_LANE_H_
