// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/stage_writer.h"

#include <gtest/gtest.h>

#include <vector>

namespace lockstep::collectives {
namespace {

using Way = WayOfWriting::Way;

/// Writes `times` times on a machine where a byte costs that much; how often past the caches.
int CountPast(WayOfWriting& way, int times, uint64_t through_cost, uint64_t past_cost) {
  int past = 0;
  for (int i = 0; i < times; ++i) {
    const Way next = way.Next();
    const bool is_past = next == WayOfWriting::kPastCaches;
    past += is_past ? 1 : 0;
    way.Record(next, 1000, 1000 * (is_past ? past_cost : through_cost));
  }
  return past;
}

TEST(WayOfWritingTest, BothAreMeasuredFirst) {
  WayOfWriting way(2);
  EXPECT_EQ(CountPast(way, 4, 1, 1), 2);
}

TEST(WayOfWritingTest, ThroughTheCachesWhereCoresAreNear) {
  WayOfWriting way(2);
  EXPECT_EQ(CountPast(way, 4 + 640, 1, 1), 2 + 10);
}

TEST(WayOfWritingTest, PastThemWhereThatCostsLessThanHalf) {
  WayOfWriting way(2);
  EXPECT_EQ(CountPast(way, 4 + 640, 19, 10), 2 + 10);
  EXPECT_EQ(CountPast(way, 640, 21, 10), 640 - 2 - 10);
}

TEST(WayOfWritingTest, AMachineThatChangesIsFollowedBothWays) {
  WayOfWriting way(2);
  EXPECT_LE(CountPast(way, 256, 1, 2), 6);
  EXPECT_GE(CountPast(way, 256, 16, 2), 256 - 6);  // at once: what is used is measured
  EXPECT_LE(CountPast(way, 256, 1, 2), 64 + 4);    // when it is tried
}

TEST(WayOfWritingTest, OneSlowTimeAloneSaysNothing) {
  WayOfWriting way(1);
  CountPast(way, 4, 2, 3);

  EXPECT_EQ(CountPast(way, 1, 100, 3), 0);
  EXPECT_EQ(CountPast(way, 8, 2, 3), 0);
}

TEST(WaysOfOpsTest, KindsAndSizesAreJudgedApart) {
  WaysOfOps ways;
  const auto measure = [&ways](OpKind kind, size_t bytes, uint64_t through, uint64_t past) {
    for (int i = 0; i < 4; ++i) {
      const Way way = ways.Next(kind, bytes);
      ways.Record(kind, bytes, way, way == WayOfWriting::kPastCaches ? past : through);
    }
  };

  measure(OpKind::kAllReduce, size_t{1} << 20, 400, 100);
  measure(OpKind::kAllReduce, size_t{16} << 20, 100, 110);
  measure(OpKind::kBroadcast, size_t{1} << 20, 100, 110);

  EXPECT_EQ(ways.Next(OpKind::kAllReduce, size_t{1} << 20), WayOfWriting::kPastCaches);
  EXPECT_EQ(ways.Next(OpKind::kAllReduce, (size_t{1} << 20) + 4), WayOfWriting::kPastCaches);
  EXPECT_EQ(ways.Next(OpKind::kAllReduce, size_t{16} << 20), WayOfWriting::kThroughCaches);
  EXPECT_EQ(ways.Next(OpKind::kBroadcast, size_t{1} << 20), WayOfWriting::kThroughCaches);
}

TEST(StageWriterTest, WritesEveryByteEitherWay) {
  StageWriter writer;
  for (size_t round = 0; round < 200; ++round) {
    const size_t bytes = 4000 + 67 * round, offset = round % 70;
    std::vector<std::byte> from(bytes + 70), to(bytes + 140);
    for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 7 + round);
    writer.Write(to.data() + offset, from.data() + round % 3, bytes);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(to[offset + i], from[round % 3 + i]);
    EXPECT_EQ(to[offset + bytes], std::byte{0});
  }
}

}  // namespace
}  // namespace lockstep::collectives
