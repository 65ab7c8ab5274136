// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_RECORDER_RING_COPY_H_
#define LOCKSTEP_COLLECTIVES_RECORDER_RING_COPY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/recorder/ring_reader.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"

/// The end of a ring as bytes for another machine, and as a ring again there: the header, the seats
/// that are taken, and the last records. 16 KiB of a rank with 64 records and a few groups.
///
///   packed := header (504 bytes), number of seats (4 bytes), seat[number], slot[to the end]
namespace lockstep::collectives {

inline constexpr size_t kPackedRecordsMax = 4096;

/// At most `records_max` of `ring`'s records, the last ones. Any thread. Errors: as ReadRing.
base::Result<std::string> PackRing(std::span<const std::byte> ring, size_t records_max);

/// A ring, which ReadRing reads: with fewer slots than the one that was packed, so that it has
/// overflowed where that had more records. `ahead`: what this machine's monotonic clock is ahead of
/// that of the other; all times in it become this machine's. `packed` may be anything. Errors:
/// DataLoss - it is no such thing; FailedPrecondition - of another layout version.
base::Result<std::vector<uint64_t>> UnpackRing(std::string_view packed, base::Duration ahead);

/// As ReadRing wants it.
inline std::span<const std::byte> MemoryOf(const std::vector<uint64_t>& ring) {
  return std::as_bytes(std::span(ring));
}

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_RECORDER_RING_COPY_H_
