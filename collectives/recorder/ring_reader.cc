// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/recorder/ring_reader.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"

namespace lockstep::collectives {
namespace {

// A writer takes some 20 ns; one that was stopped in the middle never ends.
constexpr int kAttempts = 16;

uint64_t LoadWord(const std::byte* word) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(word), __ATOMIC_ACQUIRE);
}

template <size_t kCapacity>
std::string Text(const char (&text)[kCapacity]) {
  return std::string(text, strnlen(text, kCapacity));
}

template <size_t kCapacity>
void Terminate(char (&text)[kCapacity]) {
  text[kCapacity - 1] = '\0';
}

/// A copy of what its first word locks. Nothing when it is being written all the time.
template <class T>
std::optional<T> ReadLocked(const std::byte* from) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    uint64_t words[sizeof(T) / 8];
    words[0] = LoadWord(from);
    if (words[0] % 2 != 0) continue;
    for (size_t i = 1; i < std::size(words); ++i) words[i] = LoadWord(from + i * 8);
    if (LoadWord(from) != words[0]) continue;
    T copy;
    std::memcpy(&copy, words, sizeof copy);
    return copy;
  }
  return std::nullopt;
}

// Nothing when it is being written all the time, is empty, or holds what no writer writes.
std::optional<lockstep_record> ReadSlot(const std::byte* slot, uint64_t slot_number,
                                        const RingHead& head) {
  std::optional<lockstep_record> record = ReadLocked<lockstep_record>(slot);
  if (!record.has_value()) return std::nullopt;
  if (record->state == LOCKSTEP_RECORD_EMPTY || record->state > LOCKSTEP_RECORD_REMOTE_ERROR)
    return std::nullopt;
  if (record->index % head.slot_count != slot_number) return std::nullopt;
  Terminate(record->call_site);
  Terminate(record->tag);
  return record;
}

std::vector<lockstep_seat> ReadSeats(std::span<const std::byte> memory) {
  std::vector<lockstep_seat> seats;
  for (size_t number = 0; number < LOCKSTEP_RING_SEATS; ++number) {
    std::optional<lockstep_seat> seat = ReadLocked<lockstep_seat>(
        memory.data() + LOCKSTEP_RING_SEATS_OFFSET + number * LOCKSTEP_SEAT_BYTES);
    if (!seat.has_value() || seat->group_id == 0) continue;
    if (seat->group_size < 1 || seat->group_rank < 0 || seat->group_rank >= seat->group_size)
      continue;
    Terminate(seat->name);
    seats.push_back(*seat);
  }
  return seats;
}

/// As it stands in the header, whose first word is its lock.
struct Phase {
  uint64_t lock;
  uint64_t until_ns;
  char name[sizeof lockstep_ring_header::phase];
};
static_assert(offsetof(lockstep_ring_header, phase_until_ns) ==
              offsetof(lockstep_ring_header, phase_lock) + 8);
static_assert(offsetof(lockstep_ring_header, phase) ==
              offsetof(lockstep_ring_header, phase_lock) + 16);

/// Since when; 0 when they are being written all the time.
uint64_t ReadSamples(std::span<const std::byte> memory, uint64_t& samples) {
  const std::byte* const since = memory.data() + offsetof(lockstep_ring_header, samples_since_ns);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const uint64_t since_ns = LoadWord(since);
    samples = LoadWord(memory.data() + offsetof(lockstep_ring_header, samples));
    if (since_ns == LoadWord(since)) return since_ns;
  }
  return 0;
}

}  // namespace

base::Result<RingHead> ReadRingHead(std::span<const std::byte> memory) {
  LOCKSTEP_CHECK(reinterpret_cast<uintptr_t>(memory.data()) % 8 == 0,
                 "rings are mapped or copied to aligned memory");
  if (memory.size() < LOCKSTEP_RING_HEADER_BYTES) {
    return base::DataLossError("reading a recorder ring: " + std::to_string(memory.size()) +
                               " bytes are less than its header of " +
                               std::to_string(LOCKSTEP_RING_HEADER_BYTES));
  }
  uint64_t words[sizeof(lockstep_ring_header) / 8];
  for (size_t i = 0; i < std::size(words); ++i) words[i] = LoadWord(memory.data() + i * 8);
  lockstep_ring_header header;
  std::memcpy(&header, words, sizeof header);
  if (header.magic != LOCKSTEP_RING_MAGIC) {
    return base::DataLossError("reading a recorder ring: it does not begin with its magic number");
  }
  if (header.layout_version != LOCKSTEP_RING_LAYOUT_VERSION) {
    return base::FailedPreconditionError(
        "reading a recorder ring: it has layout version " + std::to_string(header.layout_version) +
        ", this program reads version " + std::to_string(LOCKSTEP_RING_LAYOUT_VERSION));
  }
  if (header.slot_count == 0 || header.slot_count > LOCKSTEP_RING_MAX_SLOTS) {
    return base::DataLossError("reading a recorder ring: it claims " +
                               std::to_string(header.slot_count) + " slots");
  }
  const auto phase = ReadLocked<Phase>(memory.data() + offsetof(lockstep_ring_header, phase_lock));
  const bool in_phase = phase.has_value() && phase->until_ns != 0;
  const uint64_t since_ns = ReadSamples(memory, header.samples);
  return RingHead{.job = Text(header.job),
                  .host = Text(header.host),
                  .boot_id = Text(header.boot_id),
                  .rank = header.rank,
                  .incarnation = header.incarnation,
                  .round = header.round,
                  .world_size = header.world_size,
                  .pid = header.pid,
                  .process_start_ticks = header.process_start_ticks,
                  .attached_monotonic_ns = header.attached_monotonic_ns,
                  .attached_wall_ns = header.attached_wall_ns,
                  .step = header.step,
                  .record_count = header.record_count,
                  .dropped_count = header.dropped_count,
                  .slot_count = header.slot_count,
                  .seatless_count = header.seatless_count,
                  .phase = in_phase ? Text(phase->name) : "",
                  .phase_until_ns = in_phase ? phase->until_ns : 0,
                  .samples = header.samples,
                  .samples_since_ns = since_ns};
}

base::Result<RingPulse> ReadRingPulse(std::span<const std::byte> memory) {
  if (memory.size() < LOCKSTEP_RING_HEADER_BYTES ||
      LoadWord(memory.data()) != LOCKSTEP_RING_MAGIC) {
    return base::DataLossError("reading a recorder ring: it is none");
  }
  RingPulse pulse{.record_count =
                      LoadWord(memory.data() + offsetof(lockstep_ring_header, record_count))};
  for (size_t number = 0; number < LOCKSTEP_RING_SEATS && !pulse.waits; ++number) {
    const std::byte* const seat =
        memory.data() + LOCKSTEP_RING_SEATS_OFFSET + number * LOCKSTEP_SEAT_BYTES;
    if (LoadWord(seat + offsetof(lockstep_seat, group_id)) == 0) continue;
    for (const size_t offset :
         {offsetof(lockstep_seat, waiters), offsetof(lockstep_seat, transfer_waiters),
          offsetof(lockstep_seat, stream_waiters)}) {
      pulse.waits |=
          __atomic_load_n(reinterpret_cast<const int32_t*>(seat + offset), __ATOMIC_RELAXED) > 0;
    }
  }
  return pulse;
}

base::Result<RingContent> ReadRing(std::span<const std::byte> memory) {
  return ReadRingEnd(memory, UINT64_MAX);
}

base::Result<RingContent> ReadRingEnd(std::span<const std::byte> memory, uint64_t records_max) {
  ASSIGN_OR_RETURN(RingHead head, ReadRingHead(memory));
  RingContent content{.head = std::move(head), .seats = ReadSeats(memory)};
  const uint64_t slot_count = content.head.slot_count;
  const uint64_t there = (memory.size() - LOCKSTEP_RING_HEADER_BYTES) / LOCKSTEP_RECORD_BYTES;
  const uint64_t begun = content.head.record_count;
  const uint64_t wanted = std::min({begun, slot_count, records_max});
  for (uint64_t index = begun - wanted; index < begun; ++index) {
    const uint64_t slot_number = index % slot_count;
    if (slot_number >= there) continue;  // cut off
    const std::byte* const slot =
        memory.data() + LOCKSTEP_RING_HEADER_BYTES + slot_number * LOCKSTEP_RECORD_BYTES;
    if (const auto record = ReadSlot(slot, slot_number, content.head)) {
      content.records.push_back(*record);
    } else {
      ++content.torn_count;
    }
  }
  // A writer that overtook the reader put later records into earlier places.
  std::sort(content.records.begin(), content.records.end(),
            [](const lockstep_record& a, const lockstep_record& b) { return a.index < b.index; });
  return content;
}

base::Result<RingContent> ReadRingFrom(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return base::ErrnoStatus(errno, "looking at a recorder ring");
  if (info.st_size == 0) return base::DataLossError("reading a recorder ring: it is empty");
  const size_t bytes = static_cast<size_t>(info.st_size);
  void* const memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return base::ErrnoStatus(errno, "mapping a recorder ring");
  base::Result<RingContent> content = ReadRing({static_cast<const std::byte*>(memory), bytes});
  munmap(memory, bytes);
  return content;
}

std::vector<lockstep_record> ReadRecords(std::span<const std::byte> memory, uint64_t first,
                                         uint64_t end) {
  std::vector<lockstep_record> records;
  if (!ReadRingPulse(memory).ok()) return records;
  RingHead head;
  __atomic_load(
      reinterpret_cast<const uint32_t*>(memory.data() + offsetof(lockstep_ring_header, slot_count)),
      &head.slot_count, __ATOMIC_RELAXED);
  if (head.slot_count == 0 || head.slot_count > LOCKSTEP_RING_MAX_SLOTS) return records;
  const uint64_t there = (memory.size() - LOCKSTEP_RING_HEADER_BYTES) / LOCKSTEP_RECORD_BYTES;
  end = std::min(end, first + head.slot_count);
  for (uint64_t index = first; index < end; ++index) {
    const uint64_t slot_number = index % head.slot_count;
    if (slot_number >= there) continue;
    const auto record =
        ReadSlot(memory.data() + LOCKSTEP_RING_HEADER_BYTES + slot_number * LOCKSTEP_RECORD_BYTES,
                 slot_number, head);
    if (record.has_value() && record->index == index) records.push_back(*record);
  }
  return records;
}

std::vector<lockstep_seat> ReadRingSeats(std::span<const std::byte> memory) {
  if (!ReadRingPulse(memory).ok()) return {};
  return ReadSeats(memory);
}

}  // namespace lockstep::collectives
