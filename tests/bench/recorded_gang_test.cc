// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/recorded_gang.h"

#include <gtest/gtest.h>

#include <vector>

#include "collectives/recorder/ring_reader.h"
#include "collectives/work.h"
#include "launcher/diagnosis/mapped_ring.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::bench {
namespace {

TEST(RecordedGangTest, OneOfTheTwoGroupsIsRecorded) {
  RecordedGang gang(2);
  gang.Run([](const RecordedGang::Groups& groups) {
    EXPECT_OK(groups.plain->Barrier()->Wait());
    EXPECT_OK(groups.recorded->Barrier()->Wait());
    EXPECT_OK(groups.recorded->Barrier()->Wait());
  });
  const auto ring = launcher::MappedRing::Create(gang.rings()[0].get());
  ASSERT_OK(ring);
  const auto content = collectives::ReadRing((*ring)->memory());
  ASSERT_OK(content);
  size_t barriers = 0;
  for (const lockstep_record& record : content->records)
    barriers += record.op == static_cast<uint8_t>(collectives::OpKind::kBarrier) ? 1 : 0;
  EXPECT_EQ(barriers, 2U);
}

TEST(DifferenceTest, TheIntervalHoldsTheMedianAndLeavesOutliersOut) {
  std::vector<double> differences;
  for (int i = 0; i < 101; ++i) differences.push_back(i);
  differences[100] = 1e9;
  const Difference difference = DifferenceOf(differences);
  EXPECT_EQ(difference.median, 50);
  EXPECT_EQ(difference.low, 40);
  EXPECT_EQ(difference.high, 60);
}

}  // namespace
}  // namespace lockstep::bench
