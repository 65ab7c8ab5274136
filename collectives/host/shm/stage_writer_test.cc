// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/stage_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace lockstep::collectives {
namespace {

using Way = WayOfMoving::Way;

constexpr size_t kRound = WayOfMoving::kRoundBytes;

/// A machine on which a byte costs so much in the long run, while the caches forget what was
/// written past them a round ago.
struct Machine {
  uint64_t through = 1;
  uint64_t past = 1;
  uint64_t cold = 0;  // through the caches, more, for the first round after the other way
  size_t warm_bytes = kRound;

  /// Writes `times` times as many bytes; how often past the caches.
  int CountPast(WayOfMoving& way, int times, size_t bytes = kRound) {
    int count = 0;
    for (int i = 0; i < times; ++i) {
      const Way next = way.Next();
      const bool is_past = next == WayOfMoving::kPastCaches;
      count += is_past ? 1 : 0;
      const uint64_t cost = is_past ? past : through + (warm_bytes < kRound ? cold : 0);
      warm_bytes = is_past ? 0 : warm_bytes + bytes;
      way.Record(next, bytes, bytes * cost);
    }
    return count;
  }
};

constexpr int kSpell = WayOfMoving::kSpellUses;

TEST(WayOfMovingTest, BothAreMeasuredFirst) {
  WayOfMoving way;
  EXPECT_EQ(Machine().CountPast(way, 1 + kSpell), 0);
  EXPECT_EQ(Machine().CountPast(way, kSpell), kSpell);
  EXPECT_EQ(Machine().CountPast(way, kSpell), 0);
}

TEST(WayOfMovingTest, ThroughTheCachesWhereCoresAreNear) {
  WayOfMoving way;
  Machine machine{.through = 1, .past = 2};
  machine.CountPast(way, 1000);
  EXPECT_LE(machine.CountPast(way, 10 * WayOfMoving::kMaxSpells * kSpell), 10 * kSpell);
  EXPECT_GE(machine.CountPast(way, 3 * WayOfMoving::kMaxSpells * kSpell), kSpell);
}

TEST(WayOfMovingTest, PastThemWhereThatCostsLess) {
  WayOfMoving way;
  Machine machine{.through = 8, .past = 2};
  machine.CountPast(way, 1000);
  const int times = 10 * WayOfMoving::kMaxSpells * kSpell;
  EXPECT_GE(machine.CountPast(way, times), times - 10 * (1 + kSpell));
}

// A try of a few uses would find the caches cold each time.
TEST(WayOfMovingTest, ThroughTheCachesIsTriedUntilTheyAreWarm) {
  for (const size_t bytes : {size_t{4096}, kRound / 4, 2 * kRound}) {
    WayOfMoving way(WayOfMoving::kPastCaches);
    Machine machine{.through = 1, .past = 2, .cold = 10, .warm_bytes = 0};
    const int of_a_round = static_cast<int>(std::max(kRound / bytes, size_t{1}));
    machine.CountPast(way, 4 * (of_a_round + kSpell), bytes);
    EXPECT_EQ(way.used(), WayOfMoving::kThroughCaches) << bytes;
  }
}

TEST(WayOfMovingTest, AMachineThatChangesIsFollowedBothWays) {
  WayOfMoving way;
  Machine machine{.through = 1, .past = 2};
  machine.CountPast(way, 1000);
  machine.through = 16;
  // Soon: what is used is measured.
  EXPECT_GE(machine.CountPast(way, 100), 70);
  machine.CountPast(way, 1000);
  machine.through = 1;
  // When it is tried.
  machine.CountPast(way, (WayOfMoving::kMaxSpells + 2) * kSpell);
  EXPECT_EQ(way.used(), WayOfMoving::kThroughCaches);
}

TEST(WayOfMovingTest, OneSlowTimeAloneSaysNothing) {
  WayOfMoving way;
  Machine machine{.through = 2, .past = 3};
  machine.CountPast(way, 1000);
  while (way.Next() != WayOfMoving::kThroughCaches) machine.CountPast(way, 1);
  ASSERT_EQ(machine.CountPast(way, 3 * kSpell), 0);
  Machine slow{.through = 100};

  EXPECT_EQ(slow.CountPast(way, 1), 0);
  EXPECT_EQ(machine.CountPast(way, 1), 0);
}

TEST(WayOfMovingTest, WhatWasDoneTheOtherWaySaysNothing) {
  WayOfMoving way;
  for (int i = 0; i < 10 * kSpell; ++i) way.Record(WayOfMoving::kPastCaches, kRound, 1);
  EXPECT_EQ(way.Next(), WayOfMoving::kThroughCaches);
}

/// What each costs, by its number; how often each was used.
std::array<int, WayOfMoving::kWays> Count(WayOfMoving& way, int times,
                                          const std::array<uint64_t, WayOfMoving::kWays>& costs) {
  std::array<int, WayOfMoving::kWays> counts{};
  for (int i = 0; i < times; ++i) {
    const Way next = way.Next();
    ++counts[next];
    way.Record(next, kRound, kRound * costs[next]);
  }
  return counts;
}

TEST(WayOfMovingTest, OfThreeTheBestIsFoundWhicheverItIsAndWasBefore) {
  for (uint32_t first = 0; first < WayOfMoving::kWays; ++first) {
    for (uint32_t best = 0; best < WayOfMoving::kWays; ++best) {
      WayOfMoving way(static_cast<Way>(first), WayOfMoving::kWays);
      std::array<uint64_t, WayOfMoving::kWays> costs{3, 3, 3};
      costs[best] = 1;
      Count(way, 20 * kSpell, costs);
      EXPECT_EQ(way.used(), best) << "from " << first;
      // All others are tried, seldom.
      const auto counts = Count(way, 10 * WayOfMoving::kMaxSpells * kSpell, costs);
      for (uint32_t other = 0; other < WayOfMoving::kWays; ++other) {
        if (other == best) continue;
        EXPECT_GE(counts[other], kSpell) << other;
        EXPECT_LE(counts[other], 10 * (1 + kSpell)) << other;
      }
    }
  }
}

TEST(WayOfMovingTest, OfTwoTheThirdIsNeverUsed) {
  WayOfMoving way;
  EXPECT_EQ(Count(way, 1000, {3, 2, 1})[WayOfMoving::kFetched], 0);
}

/// Until they are judged.
void Measure(WaysOfOps& ways, OpKind kind, size_t bytes, uint64_t through, uint64_t past) {
  for (int i = 0; i < 2 * kSpell + 2; ++i) {
    const Way way = ways.Next(kind, bytes, false);
    ways.Record(kind, bytes, false, way, way == WayOfMoving::kPastCaches ? past : through);
  }
}

TEST(WaysOfOpsTest, KindsAndSizesAreJudgedApart) {
  WaysOfOps ways;
  Measure(ways, OpKind::kAllReduce, size_t{4} << 20, 400, 100);
  Measure(ways, OpKind::kAllReduce, size_t{16} << 20, 100, 210);
  Measure(ways, OpKind::kBroadcast, size_t{4} << 20, 100, 210);

  EXPECT_EQ(ways.Next(OpKind::kAllReduce, size_t{4} << 20, false), WayOfMoving::kPastCaches);
  EXPECT_EQ(ways.Next(OpKind::kAllReduce, (size_t{4} << 20) + 4, false), WayOfMoving::kPastCaches);
  EXPECT_EQ(ways.Next(OpKind::kAllReduce, size_t{16} << 20, false), WayOfMoving::kThroughCaches);
  EXPECT_EQ(ways.Next(OpKind::kBroadcast, size_t{4} << 20, false), WayOfMoving::kThroughCaches);
  // What is used now is where one in place begins; what it costs says nothing of the others.
  ASSERT_EQ(ways.Next(OpKind::kAllReduce, size_t{4} << 20, true), WayOfMoving::kThroughCaches);
  for (int i = 0; i < 100; ++i) {
    const Way way = ways.Next(OpKind::kAllReduce, size_t{4} << 20, true);
    ways.Record(OpKind::kAllReduce, size_t{4} << 20, true, way, 1);
  }
  EXPECT_EQ(ways.Next(OpKind::kAllReduce, size_t{4} << 20, false), WayOfMoving::kPastCaches);
}

TEST(WaysOfOpsTest, WhatIsNewBeginsWithWhatIsUsedNow) {
  WaysOfOps ways;
  Measure(ways, OpKind::kAllReduce, size_t{4} << 20, 400, 100);

  EXPECT_EQ(ways.Next(OpKind::kAllReduce, 4096, false), WayOfMoving::kPastCaches);
}

TEST(WaysOfOpsTest, LargeAllReducesAreFetchedWhereThatMayBe) {
  for (const bool may_fetch : {false, true}) {
    WaysOfOps ways;
    if (may_fetch) ways.MayFetch([](OpKind kind) { return kind == OpKind::kAllReduce; });
    const auto is_fetched = [&ways](OpKind kind, size_t bytes) {
      int fetched = 0;
      for (int i = 0; i < 1000; ++i) {
        const Way way = ways.Next(kind, bytes, false);
        ways.Record(kind, bytes, false, way, way == WayOfMoving::kFetched ? 1000 : 4000);
        fetched += way == WayOfMoving::kFetched ? 1 : 0;
      }
      EXPECT_TRUE(fetched == 0 || fetched > 800) << fetched;
      return fetched > 0;
    };
    constexpr size_t kLarge = WaysOfOps::kFetchedBytes;
    EXPECT_EQ(is_fetched(OpKind::kAllReduce, kLarge), may_fetch);
    EXPECT_FALSE(is_fetched(OpKind::kAllReduce, kLarge - 1)) << "what is used elsewhere";
    EXPECT_FALSE(is_fetched(OpKind::kReduceScatter, 4 * kLarge));
  }
}

TEST(WaysOfOpsTest, WhatIsAgreedStaysUntilTheNextTime) {
  WaysOfOps ways;
  EXPECT_EQ(ways.agreed(OpKind::kReduce, 4096), WayOfMoving::kThroughCaches);

  ways.Agree(OpKind::kReduce, 4096, WayOfMoving::kPastCaches);

  EXPECT_EQ(ways.agreed(OpKind::kReduce, 4100), WayOfMoving::kPastCaches);
  EXPECT_EQ(ways.agreed(OpKind::kReduce, 2048), WayOfMoving::kThroughCaches);
}

TEST(WriteStageTest, WritesEveryByteEitherWay) {
  for (size_t round = 0; round < 200; ++round) {
    const size_t bytes = 4000 + 67 * round, offset = round % 70;
    std::vector<std::byte> from(bytes + 70), to(bytes + 140);
    for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 7 + round);
    WriteStage(round % 2 == 0 ? WayOfMoving::kPastCaches : WayOfMoving::kThroughCaches,
               to.data() + offset, from.data() + round % 3, bytes);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(to[offset + i], from[round % 3 + i]);
    EXPECT_EQ(to[offset + bytes], std::byte{0});
  }
}

}  // namespace
}  // namespace lockstep::collectives
