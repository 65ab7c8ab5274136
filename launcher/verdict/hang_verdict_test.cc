// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verdict/hang_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace lockstep::launcher {
namespace {

using collectives::Evidence;
using collectives::Finding;
using proto::Verdict;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(HangVerdictTest, HasWhatIsKnownWhileTheGangStands) {
  Evidence evidence;
  for (const int rank : {0, 1}) {
    evidence.ranks.push_back({.rank = base::Rank(rank), .ring_read = true});
    evidence.ranks.back().process.pid = 100 + rank;
  }
  // A rank writes into its ring what it likes.
  evidence.ranks[0].groups.push_back(
      {.id = base::GroupId(5), .name = "wor\033[2Jld", .rank = base::GroupRank(0), .size = 2});
  Finding finding{.verdict_class = Finding::Class::kMissingRank,
                  .culprits = {{base::Rank(1), collectives::Absence::kStopped}},
                  .victims = {base::Rank(0)}};
  finding.op = {
      .group = base::GroupId(5), .seq = base::OpSeq(7), .kind = collectives::OpKind::kBarrier};

  const Verdict verdict = HangVerdict(finding, evidence, "node-a");

  EXPECT_EQ(verdict.class_(), Verdict::MISSING_RANK);
  EXPECT_EQ(verdict.confidence(), Verdict::HIGH);
  ASSERT_EQ(verdict.culprits_size(), 1);
  EXPECT_EQ(verdict.culprits(0).rank(), 1);
  EXPECT_EQ(verdict.culprits(0).pid(), 101);
  EXPECT_EQ(verdict.culprits(0).host(), "node-a");
  EXPECT_THAT(verdict.culprits(0).why(), HasSubstr("its process is stopped by a signal"));
  EXPECT_THAT(verdict.culprits(0).why(), Not(HasSubstr("\033")));
  EXPECT_THAT(verdict.group(), Not(HasSubstr("\033")));
  EXPECT_EQ(verdict.seq(), 7u);
  EXPECT_EQ(verdict.op(), "barrier");
  EXPECT_EQ(verdict.victims(0), 0);
  EXPECT_EQ(verdict.advice(), "kill -CONT 101 lets it go on");
}

}  // namespace
}  // namespace lockstep::launcher
