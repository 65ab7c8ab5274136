// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_RECORDER_RING_READER_H_
#define LOCKSTEP_COLLECTIVES_RECORDER_RING_READER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "collectives/recorder/record.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// What a ring's header said when it was read.
struct RingHead {
  std::string job;
  std::string host;
  std::string boot_id;
  int32_t rank = -1;
  uint32_t incarnation = 0;
  uint32_t round = 0;
  int32_t world_size = 0;
  int64_t pid = 0;  // 0 = nobody has attached
  uint64_t process_start_ticks = 0;
  uint64_t attached_monotonic_ns = 0;
  uint64_t attached_wall_ns = 0;
  int64_t step = -1;
  uint64_t record_count = 0;  // records begun in the ring's life
  uint64_t dropped_count = 0;
  uint32_t slot_count = 0;
  uint64_t seatless_count = 0;  // groups that found no seat
  std::string phase;            // that the program has declared; "" = none is in force
  uint64_t phase_until_ns = 0;
  uint64_t samples = 0;           // that were processed since then
  uint64_t samples_since_ns = 0;  // 0 = the program reports none
};

struct RingContent {
  RingHead head;
  std::vector<lockstep_seat> seats;      // that are taken; texts are terminated
  std::vector<lockstep_record> records;  // by index, oldest first; texts are terminated
  uint64_t torn_count = 0;  // slots left out: in the middle of a write, or not a possible record
};

/// Reads a ring from memory that its writer may be changing, or that stopped in the middle of a
/// change, or that is not a ring at all (a foreign file, a damaged copy). Stateless; callable from
/// any thread; looks only at `memory`, which needs the alignment of a word. A ring cut short gives
/// the records that are there. Errors: DataLoss - no header, or not a ring's; FailedPrecondition -
/// another layout version.
base::Result<RingHead> ReadRingHead(std::span<const std::byte> memory);
base::Result<RingContent> ReadRing(std::span<const std::byte> memory);
/// The same, of the last `records_max` records.
base::Result<RingContent> ReadRingEnd(std::span<const std::byte> memory, uint64_t records_max);

/// What changes when the rank does something; some 200 ns to read. Errors as above.
struct RingPulse {
  uint64_t record_count = 0;
  bool waits = false;  // a thread, or a stream, stands in an op
};
base::Result<RingPulse> ReadRingPulse(std::span<const std::byte> memory);

/// Maps the ring in `fd` read-only for the time of the call. Errors: as above, and mmap's.
base::Result<RingContent> ReadRingFrom(int fd);

/// Records number `first` to `end` - 1, for who reads a ring as it grows; without those that are
/// overtaken or in the middle of a write. Nothing of what is no ring.
std::vector<lockstep_record> ReadRecords(std::span<const std::byte> memory, uint64_t first,
                                         uint64_t end);
/// As ReadRing has them.
std::vector<lockstep_seat> ReadRingSeats(std::span<const std::byte> memory);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_RECORDER_RING_READER_H_
