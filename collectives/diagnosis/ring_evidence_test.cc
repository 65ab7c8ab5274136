// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/ring_evidence.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>

namespace lockstep::collectives {
namespace {

using std::chrono::seconds;

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kNowNs = 100 * kSecondNs;

lockstep_record Op(uint64_t seq, lockstep_record_state state, uint64_t enqueued_s,
                   uint64_t started_s) {
  lockstep_record record{};
  record.group_id = 7;
  record.seq = seq;
  record.op = static_cast<uint8_t>(OpKind::kAllReduce);
  record.state = static_cast<uint8_t>(state);
  record.enqueued_ns = enqueued_s * kSecondNs;
  record.started_ns = started_s * kSecondNs;
  return record;
}

/// Two ops that were called 60 s ago; the first had its turn 10 s ago.
SeenRank TwoOps(const lockstep_seat& counted) {
  RingContent ring;
  lockstep_seat seat = counted;
  seat.group_id = 7;
  seat.group_size = 2;
  ring.seats = {seat};
  ring.records = {Op(1, LOCKSTEP_RECORD_STARTED, 40, 90), Op(2, LOCKSTEP_RECORD_ENQUEUED, 40, 0)};
  return FromRing(ring, kNowNs);
}

TEST(RingEvidenceTest, AStreamWaitsInWhatItHasComeToAndSinceThen) {
  lockstep_seat seat{};
  seat.stream_waiters = 1;

  const SeenRank rank = TwoOps(seat);

  EXPECT_TRUE(rank.ops[0].stream_waits);
  EXPECT_FALSE(rank.ops[0].caller_waits);
  EXPECT_EQ(rank.ops[0].age, seconds(10));
  EXPECT_FALSE(rank.ops[1].is_waited_in()) << "its turn is to come";
}

TEST(RingEvidenceTest, ACallerWaitsSinceItsCall) {
  lockstep_seat seat{};
  seat.waiters = 1;
  seat.stream_waiters = 1;

  const SeenRank rank = TwoOps(seat);

  for (const SeenOp& op : rank.ops) {
    EXPECT_TRUE(op.caller_waits);
    EXPECT_EQ(op.age, seconds(60));
  }
}

TEST(RingEvidenceTest, WithoutWaitersNobodyWaits) {
  for (const SeenOp& op : TwoOps(lockstep_seat{}).ops) EXPECT_FALSE(op.is_waited_in());
}

TEST(RingEvidenceTest, SamplesAreOfTheTimeUpToNow) {
  RingContent ring;
  EXPECT_FALSE(FromRing(ring, kNowNs).samples_per_second.has_value());
  ring.head.samples = 640;
  ring.head.samples_since_ns = kNowNs - 10 * kSecondNs;
  EXPECT_DOUBLE_EQ(FromRing(ring, kNowNs).samples_per_second.value(), 64);
  EXPECT_DOUBLE_EQ(FromRing(ring, kNowNs + 10 * kSecondNs).samples_per_second.value(), 32)
      << "it has stood still since";
}

TEST(RingEvidenceTest, APhaseIsToldAlsoWhereItClaimsNoTime) {
  RingContent ring;
  ring.head.phase = "checkpoint";
  ring.head.phase_until_ns = LOCKSTEP_PHASE_MARKED;
  EXPECT_EQ(FromRing(ring, kNowNs).marked_phase, "checkpoint");
  EXPECT_EQ(FromRing(ring, kNowNs).phase, "") << "no time is claimed";
  ring.head.phase_until_ns = kNowNs + kSecondNs;
  EXPECT_EQ(FromRing(ring, kNowNs).phase, "checkpoint");
}

}  // namespace
}  // namespace lockstep::collectives
