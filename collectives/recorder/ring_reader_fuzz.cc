// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Any bytes as a recorder ring: read without a crash, and what is called a record is one.
#include <cstdint>
#include <cstring>
#include <vector>

#include "collectives/recorder/ring_reader.h"
#include "runtime/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The fuzzer need not find the magic number and 4 KiB of zeros itself: its first bytes lie over a
  // plausible header, the next over two seats.
  constexpr size_t kSeatBytes = size_t{2} * LOCKSTEP_SEAT_BYTES;
  constexpr size_t kBodyMax = size_t{64} * LOCKSTEP_RECORD_BYTES;
  std::vector<uint64_t> words((LOCKSTEP_RING_HEADER_BYTES + kBodyMax) / 8);
  auto* const header = reinterpret_cast<lockstep_ring_header*>(words.data());
  header->magic = LOCKSTEP_RING_MAGIC;
  header->layout_version = LOCKSTEP_RING_LAYOUT_VERSION;
  header->slot_count = 8;
  auto* const bytes = reinterpret_cast<uint8_t*>(words.data());
  const auto take = [&](size_t most, uint8_t* to) {
    const size_t taken = size < most ? size : most;
    for (size_t i = 0; i < taken; ++i) to[i] ^= data[i];
    data += taken;
    size -= taken;
    return taken;
  };
  const bool is_whole = size >= 8;
  const size_t begun = size;
  take(sizeof *header, bytes);
  take(kSeatBytes, bytes + LOCKSTEP_RING_SEATS_OFFSET);
  const size_t in_body = take(kBodyMax, bytes + LOCKSTEP_RING_HEADER_BYTES);

  const size_t length = is_whole ? LOCKSTEP_RING_HEADER_BYTES + in_body : begun;
  const auto content =
      lockstep::collectives::ReadRing({reinterpret_cast<const std::byte*>(bytes), length});
  if (!content.ok()) return 0;
  for (const lockstep_seat& seat : content->seats) {
    LOCKSTEP_CHECK(seat.group_rank < seat.group_size, "place");
    LOCKSTEP_CHECK(std::memchr(seat.name, 0, sizeof seat.name) != nullptr, "name ends");
  }
  for (const lockstep_record& record : content->records) {
    LOCKSTEP_CHECK(
        record.state >= LOCKSTEP_RECORD_ENQUEUED && record.state <= LOCKSTEP_RECORD_REMOTE_ERROR,
        "state");
    LOCKSTEP_CHECK(std::memchr(record.call_site, 0, sizeof record.call_site) != nullptr,
                   "call site ends");
  }
  return 0;
}
