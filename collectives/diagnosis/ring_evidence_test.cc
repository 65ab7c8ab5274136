// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/ring_evidence.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstring>

#include "collectives/diagnosis/words.h"

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

TEST(RingEvidenceTest, AGroupThatIsNoMoreKeepsItsName) {
  RingContent ring;
  ring.records = {Op(0, LOCKSTEP_RECORD_COMPLETED, 30, 30), Op(1, LOCKSTEP_RECORD_ERROR, 40, 90)};
  ring.records[0].op = static_cast<uint8_t>(OpKind::kInit);
  std::strcpy(ring.records[0].tag, "world/1.0");
  const Evidence evidence{.ranks = {FromRing(ring, kNowNs)}, .world_size = 1};

  EXPECT_EQ(GroupName(base::GroupId(7), base::Round(0), evidence), "world/1.0");
  EXPECT_EQ(GroupName(base::GroupId(7), base::Round(1), evidence), base::GroupId(7).ToString());
  std::strcpy(ring.records[0].tag, "make group");  // of an earlier release
  EXPECT_EQ(FromRing(ring, kNowNs).ops[0].name, "");
  EXPECT_EQ(evidence.ranks[0].ops[1].name, "") << "of an op that has a kind";
}

}  // namespace
}  // namespace lockstep::collectives
