// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_PRIVATE_BUFFER_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_PRIVATE_BUFFER_H_

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <string>

#include "collectives/group.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// What AllocBuffer gives where members share no memory: aligned, zeroed, and nobody else's.
class PrivateBuffer final : public SharedBuffer {
 public:
  /// Errors: ResourceExhausted - no memory.
  static base::Result<std::shared_ptr<SharedBuffer>> Create(size_t bytes) {
    void* const memory = ::operator new[](bytes, std::align_val_t{kAlignment}, std::nothrow);
    if (memory == nullptr)
      return base::ResourceExhaustedError("no memory for a buffer of " + std::to_string(bytes) +
                                          " bytes");
    return std::shared_ptr<SharedBuffer>(new PrivateBuffer(static_cast<std::byte*>(memory), bytes));
  }
  ~PrivateBuffer() override { ::operator delete[](memory_, std::align_val_t{kAlignment}); }

  std::byte* data() const override { return memory_; }
  size_t bytes() const override { return bytes_; }

 private:
  static constexpr size_t kAlignment = 4096;

  PrivateBuffer(std::byte* memory, size_t bytes) : bytes_(bytes), memory_(memory) {
    std::fill_n(memory_, bytes_, std::byte{0});
  }

  const size_t bytes_;
  std::byte* const memory_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_PRIVATE_BUFFER_H_
