// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/recorder/ring_copy.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <string>

#include "collectives/recorder/recorder.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::SteadyTime;
using base::testing::StatusIs;
using std::chrono::seconds;

class RingCopyTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kSlots = 64;

  RingCopyTest() {
    memory_ = static_cast<std::byte*>(
        ::mmap(nullptr, RingBytes(kSlots), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0));
    FormatRing({.job = "job-1", .host = "node-b", .rank = base::Rank(2), .world_size = 3}, kSlots,
               *reinterpret_cast<lockstep_ring_header*>(memory_));
    recorder_ = Recorder::Create(fd_).value();
    const base::Rank members[] = {base::Rank(0), base::Rank(1), base::Rank(2)};
    seat_ =
        recorder_->TakeSeat(base::GroupId(7), base::Round(0), base::GroupRank(2), members, "world");
  }
  ~RingCopyTest() override { ::munmap(memory_, RingBytes(kSlots)); }

  void Call(uint64_t seq, bool ends = true) {
    const SteadyTime time(seconds(100 + seq));
    const auto ticket = recorder_->Begin(
        {.group = base::GroupId(7), .seq = base::OpSeq(seq), .group_size = 3, .enqueued = time});
    if (ends) recorder_->Ended(ticket, LOCKSTEP_RECORD_COMPLETED, 0, time + seconds(1));
  }
  std::span<const std::byte> memory() const { return {memory_, RingBytes(kSlots)}; }

  const base::UniqueFd fd_{lockstep_shared_memory_create("copied-ring", RingBytes(kSlots))};
  std::byte* memory_;
  std::unique_ptr<Recorder> recorder_;
  Recorder::Seat seat_;
};

TEST_F(RingCopyTest, IsTheRingsEndAtThisMachinesTime) {
  for (uint64_t seq = 1; seq <= 9; ++seq) Call(seq, seq < 9);
  seat_.AddWaiters(false, 1);
  ASSERT_OK_AND_ASSIGN(const std::string packed, PackRing(memory(), 4));
  ASSERT_OK_AND_ASSIGN(const auto ring, UnpackRing(packed, seconds(1000)));
  ASSERT_OK_AND_ASSIGN(const RingContent copy, ReadRing(MemoryOf(ring)));

  EXPECT_EQ(copy.head.host, "node-b");
  EXPECT_EQ(copy.head.rank, 2);
  EXPECT_EQ(copy.head.record_count, 9u);
  EXPECT_EQ(copy.head.slot_count, 4u) << "it has lost the others";
  EXPECT_EQ(copy.torn_count, 0u);
  ASSERT_EQ(copy.records.size(), 4u);
  EXPECT_EQ(copy.records.front().seq, 6u);
  EXPECT_EQ(copy.records.front().enqueued_ns, 1'106'000'000'000u);
  EXPECT_EQ(copy.records.front().ended_ns, 1'107'000'000'000u);
  EXPECT_EQ(copy.records.back().seq, 9u);
  EXPECT_EQ(copy.records.back().state, LOCKSTEP_RECORD_ENQUEUED);
  EXPECT_EQ(copy.records.back().ended_ns, 0u) << "it has not ended";
  ASSERT_EQ(copy.seats.size(), 1u);
  EXPECT_STREQ(copy.seats.front().name, "world");
  EXPECT_EQ(copy.seats.front().waiters, 1);
  ASSERT_OK_AND_ASSIGN(const RingPulse pulse, ReadRingPulse(MemoryOf(ring)));
  EXPECT_TRUE(pulse.waits);
}

TEST_F(RingCopyTest, OfARingThatHasWrappedTheLastRecords) {
  for (uint64_t seq = 1; seq <= 3 * kSlots + 5; ++seq) Call(seq);
  ASSERT_OK_AND_ASSIGN(const std::string packed, PackRing(memory(), 1000));
  EXPECT_EQ(packed.size(), sizeof(lockstep_ring_header) + 4 + LOCKSTEP_SEAT_BYTES +
                               kSlots * LOCKSTEP_RECORD_BYTES);
  ASSERT_OK_AND_ASSIGN(const auto ring, UnpackRing(packed, seconds(0)));
  ASSERT_OK_AND_ASSIGN(const RingContent copy, ReadRing(MemoryOf(ring)));
  ASSERT_EQ(copy.records.size(), kSlots);
  EXPECT_EQ(copy.records.front().seq, 2 * kSlots + 6);
  EXPECT_EQ(copy.records.back().seq, 3 * kSlots + 5);
}

TEST_F(RingCopyTest, OfARingWithoutRecords) {
  ASSERT_OK_AND_ASSIGN(const std::string packed, PackRing(memory(), 16));
  ASSERT_OK_AND_ASSIGN(const auto ring, UnpackRing(packed, seconds(-5)));
  ASSERT_OK_AND_ASSIGN(const RingContent copy, ReadRing(MemoryOf(ring)));
  EXPECT_EQ(copy.records.size(), 0u);
  EXPECT_EQ(copy.seats.size(), 1u);
}

TEST_F(RingCopyTest, WhatIsNoCopyIsRefused) {
  for (uint64_t seq = 1; seq <= 5; ++seq) Call(seq);
  ASSERT_OK_AND_ASSIGN(const std::string packed, PackRing(memory(), 16));
  for (size_t length = 0; length < packed.size(); ++length) {
    const auto cut = UnpackRing(std::string_view(packed).substr(0, length), seconds(0));
    // Between two records it is a shorter copy.
    const size_t records = sizeof(lockstep_ring_header) + 4 + LOCKSTEP_SEAT_BYTES;
    const bool is_whole = length >= records && (length - records) % LOCKSTEP_RECORD_BYTES == 0;
    EXPECT_EQ(cut.ok(), is_whole) << length;
    if (!is_whole) {
      EXPECT_THAT(cut.status(), StatusIs(Code::kDataLoss));
    }
  }
  std::string foreign = packed;
  foreign[0] ^= 1;
  EXPECT_THAT(UnpackRing(foreign, seconds(0)).status(), StatusIs(Code::kDataLoss));
  foreign = packed;
  ++foreign[offsetof(lockstep_ring_header, layout_version)];
  EXPECT_THAT(UnpackRing(foreign, seconds(0)).status(), StatusIs(Code::kFailedPrecondition));
}

TEST_F(RingCopyTest, DamagedCopiesAreRingsOrAreRefused) {
  for (uint64_t seq = 1; seq <= 5; ++seq) Call(seq);
  ASSERT_OK_AND_ASSIGN(const std::string packed, PackRing(memory(), 16));
  base::Random random(7);
  for (int time = 0; time < 20'000; ++time) {
    std::string damaged = packed;
    for (int flips = 0; flips < 8; ++flips)
      damaged[random.Below(damaged.size())] = static_cast<char>(random.Below(256));
    const auto ring = UnpackRing(damaged, seconds(3));
    if (ring.ok()) {
      EXPECT_OK(ReadRing(MemoryOf(*ring)).status());
    }
  }
}

}  // namespace
}  // namespace lockstep::collectives
