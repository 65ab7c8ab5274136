// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/private_buffer.h"

#include <errno.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace lockstep::collectives {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kHugePageBytes = size_t{2} << 20;

class PrivateBuffer final : public SharedBuffer {
 public:
  PrivateBuffer(void* mapping, size_t mapped_bytes, std::byte* data, size_t bytes)
      : mapping_(mapping), mapped_bytes_(mapped_bytes), data_(data), bytes_(bytes) {}
  ~PrivateBuffer() override { ::munmap(mapping_, mapped_bytes_); }
  std::byte* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  void* const mapping_;
  const size_t mapped_bytes_;
  std::byte* const data_;
  const size_t bytes_;
};

}  // namespace

base::Result<std::shared_ptr<SharedBuffer>> MakePrivateBuffer(size_t bytes) {
  const size_t unit = bytes >= kHugePageBytes ? kHugePageBytes : kPageBytes;
  const auto too_much = [bytes](const char* why) {
    return base::ResourceExhaustedError("allocating a buffer of " + std::to_string(bytes) +
                                        " bytes: " + why);
  };
  if (bytes > SIZE_MAX / 2) return too_much("there is no memory of that size");
  const size_t wanted = (bytes + unit - 1) / unit * unit;
  const size_t mapped = wanted == 0 ? kPageBytes : wanted + (unit - kPageBytes);
  void* const mapping =
      ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return too_much(std::strerror(errno));
  const auto address = reinterpret_cast<uintptr_t>(mapping);
  auto* const data = static_cast<std::byte*>(mapping) + ((unit - address % unit) % unit);
  if (unit == kHugePageBytes) (void)::madvise(data, wanted, MADV_HUGEPAGE);  // a hint
  return std::shared_ptr<SharedBuffer>(
      std::make_shared<PrivateBuffer>(mapping, mapped, data, bytes));
}

}  // namespace lockstep::collectives
