// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/stage_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace lockstep::collectives {
namespace {

using Way = WayOfWriting::Way;

constexpr size_t kRound = WayOfWriting::kRoundBytes;

/// A machine on which a byte costs so much in the long run, while the caches forget what was
/// written past them a round ago.
struct Machine {
  uint64_t through = 1;
  uint64_t past = 1;
  uint64_t cold = 0;  // through the caches, more, for the first round after the other way
  size_t warm_bytes = kRound;

  /// Writes `times` times as many bytes; how often past the caches.
  int CountPast(WayOfWriting& way, int times, size_t bytes = kRound) {
    int count = 0;
    for (int i = 0; i < times; ++i) {
      const Way next = way.Next();
      const bool is_past = next == WayOfWriting::kPastCaches;
      count += is_past ? 1 : 0;
      const uint64_t cost = is_past ? past : through + (warm_bytes < kRound ? cold : 0);
      warm_bytes = is_past ? 0 : warm_bytes + bytes;
      way.Record(next, bytes, bytes * cost);
    }
    return count;
  }
};

constexpr int kSpell = WayOfWriting::kSpellUses;

TEST(WayOfWritingTest, BothAreMeasuredFirst) {
  WayOfWriting way;
  EXPECT_EQ(Machine().CountPast(way, 1 + kSpell), 0);
  EXPECT_EQ(Machine().CountPast(way, kSpell), kSpell);
  EXPECT_EQ(Machine().CountPast(way, kSpell), 0);
}

TEST(WayOfWritingTest, ThroughTheCachesWhereCoresAreNear) {
  WayOfWriting way;
  Machine machine{.through = 1, .past = 2};
  machine.CountPast(way, 1000);
  EXPECT_LE(machine.CountPast(way, 10 * WayOfWriting::kMaxSpells * kSpell), 10 * kSpell);
  EXPECT_GE(machine.CountPast(way, 3 * WayOfWriting::kMaxSpells * kSpell), kSpell);
}

TEST(WayOfWritingTest, PastThemWhereThatCostsLess) {
  WayOfWriting way;
  Machine machine{.through = 8, .past = 2};
  machine.CountPast(way, 1000);
  const int times = 10 * WayOfWriting::kMaxSpells * kSpell;
  EXPECT_GE(machine.CountPast(way, times), times - 10 * (1 + kSpell));
}

// A try of a few uses would find the caches cold each time.
TEST(WayOfWritingTest, ThroughTheCachesIsTriedUntilTheyAreWarm) {
  for (const size_t bytes : {size_t{4096}, kRound / 4, 2 * kRound}) {
    WayOfWriting way(WayOfWriting::kPastCaches);
    Machine machine{.through = 1, .past = 2, .cold = 10, .warm_bytes = 0};
    const int of_a_round = static_cast<int>(std::max(kRound / bytes, size_t{1}));
    machine.CountPast(way, 4 * (of_a_round + kSpell), bytes);
    EXPECT_EQ(way.used(), WayOfWriting::kThroughCaches) << bytes;
  }
}

TEST(WayOfWritingTest, AMachineThatChangesIsFollowedBothWays) {
  WayOfWriting way;
  Machine machine{.through = 1, .past = 2};
  machine.CountPast(way, 1000);
  machine.through = 16;
  // Soon: what is used is measured.
  EXPECT_GE(machine.CountPast(way, 100), 70);
  machine.CountPast(way, 1000);
  machine.through = 1;
  // When it is tried.
  machine.CountPast(way, (WayOfWriting::kMaxSpells + 2) * kSpell);
  EXPECT_EQ(way.used(), WayOfWriting::kThroughCaches);
}

TEST(WayOfWritingTest, OneSlowTimeAloneSaysNothing) {
  WayOfWriting way;
  Machine machine{.through = 2, .past = 3};
  machine.CountPast(way, 1000);
  while (way.Next() != WayOfWriting::kThroughCaches) machine.CountPast(way, 1);
  ASSERT_EQ(machine.CountPast(way, 3 * kSpell), 0);
  Machine slow{.through = 100};

  EXPECT_EQ(slow.CountPast(way, 1), 0);
  EXPECT_EQ(machine.CountPast(way, 1), 0);
}

TEST(WayOfWritingTest, WhatWasDoneTheOtherWaySaysNothing) {
  WayOfWriting way;
  for (int i = 0; i < 10 * kSpell; ++i) way.Record(WayOfWriting::kPastCaches, kRound, 1);
  EXPECT_EQ(way.Next(), WayOfWriting::kThroughCaches);
}

/// Until they are judged.
void Measure(WaysOfOps& ways, OpKind kind, size_t bytes, uint64_t through, uint64_t past) {
  for (int i = 0; i < 2 * kSpell + 2; ++i) {
    const Way way = ways.Next(kind, bytes);
    ways.Record(kind, bytes, way, way == WayOfWriting::kPastCaches ? past : through);
  }
}

TEST(WaysOfOpsTest, KindsAndSizesAreJudgedApart) {
  WaysOfOps ways;
  Measure(ways, OpKind::kAllReduce, size_t{4} << 20, 400, 100);
  Measure(ways, OpKind::kAllReduce, size_t{16} << 20, 100, 210);
  Measure(ways, OpKind::kBroadcast, size_t{4} << 20, 100, 210);

  EXPECT_EQ(ways.Next(OpKind::kAllReduce, size_t{4} << 20), WayOfWriting::kPastCaches);
  EXPECT_EQ(ways.Next(OpKind::kAllReduce, (size_t{4} << 20) + 4), WayOfWriting::kPastCaches);
  EXPECT_EQ(ways.Next(OpKind::kAllReduce, size_t{16} << 20), WayOfWriting::kThroughCaches);
  EXPECT_EQ(ways.Next(OpKind::kBroadcast, size_t{4} << 20), WayOfWriting::kThroughCaches);
}

TEST(WaysOfOpsTest, WhatIsNewBeginsWithWhatIsUsedNow) {
  WaysOfOps ways;
  Measure(ways, OpKind::kAllReduce, size_t{4} << 20, 400, 100);

  EXPECT_EQ(ways.Next(OpKind::kAllReduce, 4096), WayOfWriting::kPastCaches);
}

TEST(WaysOfOpsTest, WhatIsAgreedStaysUntilTheNextTime) {
  WaysOfOps ways;
  EXPECT_EQ(ways.agreed(OpKind::kReduce, 4096), WayOfWriting::kThroughCaches);

  ways.Agree(OpKind::kReduce, 4096, WayOfWriting::kPastCaches);

  EXPECT_EQ(ways.agreed(OpKind::kReduce, 4100), WayOfWriting::kPastCaches);
  EXPECT_EQ(ways.agreed(OpKind::kReduce, 2048), WayOfWriting::kThroughCaches);
}

TEST(WriteStageTest, WritesEveryByteEitherWay) {
  for (size_t round = 0; round < 200; ++round) {
    const size_t bytes = 4000 + 67 * round, offset = round % 70;
    std::vector<std::byte> from(bytes + 70), to(bytes + 140);
    for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 7 + round);
    WriteStage(round % 2 == 0 ? WayOfWriting::kPastCaches : WayOfWriting::kThroughCaches,
               to.data() + offset, from.data() + round % 3, bytes);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(to[offset + i], from[round % 3 + i]);
    EXPECT_EQ(to[offset + bytes], std::byte{0});
  }
}

}  // namespace
}  // namespace lockstep::collectives
