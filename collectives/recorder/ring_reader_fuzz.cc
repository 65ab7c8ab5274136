// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Any bytes as a recorder ring: read without a crash, and what is called a record is one.
#include <cstdint>
#include <cstring>
#include <vector>

#include "collectives/recorder/ring_reader.h"
#include "runtime/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The fuzzer need not find the magic number and 4 KiB of zeros itself: its first bytes lie over a
  // plausible header.
  constexpr size_t kBodyMax = size_t{64} * LOCKSTEP_RECORD_BYTES;
  std::vector<uint64_t> words((LOCKSTEP_RING_HEADER_BYTES + kBodyMax) / 8);
  auto* const header = reinterpret_cast<lockstep_ring_header*>(words.data());
  header->magic = LOCKSTEP_RING_MAGIC;
  header->layout_version = LOCKSTEP_RING_LAYOUT_VERSION;
  header->slot_count = 8;
  auto* const bytes = reinterpret_cast<uint8_t*>(words.data());
  const size_t in_header = size < sizeof *header ? size : sizeof *header;
  for (size_t i = 0; i < in_header; ++i) bytes[i] ^= data[i];
  const size_t in_body = size - in_header < kBodyMax ? size - in_header : kBodyMax;
  if (in_body > 0) std::memcpy(bytes + LOCKSTEP_RING_HEADER_BYTES, data + in_header, in_body);

  const size_t length = size < 8 ? size : LOCKSTEP_RING_HEADER_BYTES + in_body;
  const auto content =
      lockstep::collectives::ReadRing({reinterpret_cast<const std::byte*>(bytes), length});
  if (!content.ok()) return 0;
  for (const lockstep_record& record : content->records) {
    LOCKSTEP_CHECK(
        record.state >= LOCKSTEP_RECORD_ENQUEUED && record.state <= LOCKSTEP_RECORD_REMOTE_ERROR,
        "state");
    LOCKSTEP_CHECK(std::memchr(record.call_site, 0, sizeof record.call_site) != nullptr,
                   "call site ends");
  }
  return 0;
}
