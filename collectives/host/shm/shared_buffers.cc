// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/shared_buffers.h"

#include <utility>

#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

class SegmentPart final : public SharedBuffer {
 public:
  SegmentPart(std::shared_ptr<Segment> segment, std::byte* data, size_t bytes)
      : segment_(std::move(segment)), data_(data), bytes_(bytes) {}
  std::byte* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  const std::shared_ptr<Segment> segment_;
  std::byte* const data_;
  const size_t bytes_;
};

}  // namespace

uint32_t SharedBuffers::next_number() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return last_number_ + 1;
}

std::shared_ptr<SharedBuffer> SharedBuffers::Add(std::shared_ptr<Segment> segment, size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(entries_, [](const Entry& entry) { return entry.segment.expired(); });
  const Entry entry{++last_number_, segment->data(), PartBytes(bytes), segment};
  entries_.push_back(entry);
  return std::make_shared<SegmentPart>(std::move(segment), entry.base + member_ * entry.part_bytes,
                                       bytes);
}

SharedBuffers::Place SharedBuffers::Find(const void* data, size_t bytes) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto* const at = static_cast<const std::byte*>(data);
  for (const Entry& entry : entries_) {
    const std::byte* const part = entry.base + member_ * entry.part_bytes;
    if (at < part || at + bytes > part + entry.part_bytes || entry.segment.expired()) continue;
    return {entry.number, static_cast<uint64_t>(at - part)};
  }
  return {};
}

SharedBuffers::Parts SharedBuffers::PartsOf(uint32_t number) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.number == number) return {entry.base, entry.part_bytes};
  }
  LOCKSTEP_CHECK(false, "the op's own buffers lie in it");
}

}  // namespace lockstep::collectives
