// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/recorder/ring_copy.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "collectives/recorder/record.h"

namespace lockstep::collectives {
namespace {

constexpr size_t kHeadBytes = sizeof(lockstep_ring_header) + sizeof(uint32_t);

template <class T>
void Append(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T Take(std::string_view& bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return value;
}

/// 0 is no time.
void Shift(uint64_t& time_ns, base::Duration ahead) {
  if (time_ns != 0) time_ns += static_cast<uint64_t>(ahead.count());
}

base::Status Nonsense(const std::string& what) {
  return base::DataLossError("reading another machine's copy of a recorder ring: " + what);
}

}  // namespace

base::Result<std::string> PackRing(std::span<const std::byte> ring, size_t records_max) {
  records_max = std::min(records_max, kPackedRecordsMax);
  ASSIGN_OR_RETURN(const RingContent content, ReadRingEnd(ring, records_max));
  lockstep_ring_header header;
  std::memcpy(&header, ring.data(), sizeof header);
  // As they were read together with the records.
  header.record_count = content.head.record_count;
  header.dropped_count = content.head.dropped_count + content.torn_count;
  header.phase_lock = 0;
  header.phase_until_ns = content.head.phase_until_ns;
  header.samples = content.head.samples;
  header.samples_since_ns = content.head.samples_since_ns;
  const size_t count = content.records.size();
  std::string packed;
  packed.reserve(kHeadBytes + content.seats.size() * LOCKSTEP_SEAT_BYTES +
                 count * LOCKSTEP_RECORD_BYTES);
  Append(packed, header);
  Append(packed, static_cast<uint32_t>(content.seats.size()));
  for (lockstep_seat seat : content.seats) {
    seat.lock = 0;
    Append(packed, seat);
  }
  for (lockstep_record record : content.records) {
    record.lock = 0;
    Append(packed, record);
  }
  return packed;
}

base::Result<std::vector<uint64_t>> UnpackRing(std::string_view packed, base::Duration ahead) {
  if (packed.size() < kHeadBytes)
    return Nonsense(std::to_string(packed.size()) + " bytes are too few");
  auto header = Take<lockstep_ring_header>(packed);
  const auto seat_count = Take<uint32_t>(packed);
  if (seat_count > LOCKSTEP_RING_SEATS || seat_count * sizeof(lockstep_seat) > packed.size())
    return Nonsense("it claims " + std::to_string(seat_count) + " groups");
  const std::string_view seats = packed.substr(0, seat_count * sizeof(lockstep_seat));
  packed.remove_prefix(seats.size());
  const size_t record_count = packed.size() / sizeof(lockstep_record);
  if (packed.size() % sizeof(lockstep_record) != 0 || record_count > kPackedRecordsMax)
    return Nonsense(std::to_string(packed.size()) + " bytes are no records");

  const size_t slot_count = std::bit_ceil(std::max<size_t>(record_count, 1));
  header.slot_count = static_cast<uint32_t>(slot_count);
  Shift(header.attached_monotonic_ns, ahead);
  if (header.phase_until_ns != LOCKSTEP_PHASE_MARKED) Shift(header.phase_until_ns, ahead);
  Shift(header.samples_since_ns, ahead);
  std::vector<uint64_t> ring((LOCKSTEP_RING_HEADER_BYTES + slot_count * sizeof(lockstep_record)) /
                             sizeof(uint64_t));
  char* const memory = reinterpret_cast<char*>(ring.data());
  std::memcpy(memory, &header, sizeof header);
  std::memcpy(memory + LOCKSTEP_RING_SEATS_OFFSET, seats.data(), seats.size());
  while (!packed.empty()) {
    auto record = Take<lockstep_record>(packed);
    Shift(record.enqueued_ns, ahead);
    Shift(record.started_ns, ahead);
    Shift(record.ended_ns, ahead);
    std::memcpy(
        memory + LOCKSTEP_RING_HEADER_BYTES + (record.index % slot_count) * sizeof(lockstep_record),
        &record, sizeof record);
  }
  // What its header says is for ReadRing to judge.
  RETURN_IF_ERROR(ReadRingHead(MemoryOf(ring)).status());
  return ring;
}

}  // namespace lockstep::collectives
