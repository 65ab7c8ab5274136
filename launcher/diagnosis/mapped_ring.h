// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_MAPPED_RING_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_MAPPED_RING_H_

#include <cstddef>
#include <memory>
#include <span>

#include "runtime/base/result.h"

namespace lockstep::launcher {

/// A rank's recorder ring, mapped to be read while the rank writes it. The mapping outlives the
/// descriptor that it is of. Any thread.
class MappedRing {
 public:
  /// Errors: DataLoss - nothing is in it; errno's code.
  static base::Result<std::unique_ptr<MappedRing>> Create(int fd);
  ~MappedRing();
  MappedRing(const MappedRing&) = delete;
  MappedRing& operator=(const MappedRing&) = delete;

  std::span<const std::byte> memory() const {
    return {static_cast<const std::byte*>(memory_), bytes_};
  }

 private:
  MappedRing(void* memory, size_t bytes) : memory_(memory), bytes_(bytes) {}

  void* const memory_;
  const size_t bytes_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_MAPPED_RING_H_
