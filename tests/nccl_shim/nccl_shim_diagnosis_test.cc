// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "collectives/diagnosis/words.h"
#include "tests/nccl_shim/shim_fixture.h"

/// What the diagnosis makes of the rings of unmodified NCCL programs that go wrong.
namespace lockstep::launcher {
namespace {

using collectives::Absence;
using collectives::Finding;
using collectives::OpKind;
using collectives::RingContent;
using testing::ElementsAre;
using testing::HasSubstr;

using NcclShimDiagnosisTest = NcclShimTest;

TEST_F(NcclShimDiagnosisTest, ACallThatDiffersNamesItsRankAndHow) {
  struct Expected {
    std::string mistake;
    Finding::Field field;
    std::string call;  // of the one
  };
  const Expected all[] = {
      {"count", Finding::Field::kCount, "all_reduce(f32, sum, 4)"},
      {"dtype", Finding::Field::kDtype, "all_reduce(i32, sum, 8)"},
      {"reduction", Finding::Field::kReduction, "all_reduce(f32, max, 8)"},
      {"root", Finding::Field::kRoot, "broadcast(f32, root 1, 8)"},
      {"kind", Finding::Field::kOp, "broadcast(f32, root 0, 8)"},
      {"finalize", Finding::Field::kOp, "Finalize"},
  };
  for (const Expected& expected : all) {
    SCOPED_TRACE(expected.mistake);
    Renew();
    Launch("mismatch", expected.mistake);
    Finding finding;
    EXPECT_TRUE(Within(60, [&] {
      finding = collectives::Diagnose(Look());
      return finding.verdict_class == Finding::Class::kMismatch && !finding.is_tie;
    })) << Output();

    EXPECT_TRUE(finding.is_provable);
    EXPECT_EQ(finding.field, expected.field);
    ASSERT_EQ(finding.culprits.size(), 1u) << Output();
    EXPECT_EQ(finding.culprits[0].rank, base::Rank(kGuilty));
    EXPECT_THAT(collectives::Summary(finding, Look()),
                HasSubstr("rank 1 called " + expected.call + " at shim_rank_2_30+0x"));
  }
}

TEST_F(NcclShimDiagnosisTest, ARankThatDoesNotComeIsNamed) {
  const std::pair<std::string, Absence> all[] = {{"stops", Absence::kStopped},
                                                 {"ends", Absence::kEndedEarly},
                                                 {"sleeps", Absence::kSleepsElsewhere},
                                                 {"computes", Absence::kRunsElsewhere}};
  for (const auto& [what, absence] : all) {
    SCOPED_TRACE(what);
    Renew();
    Launch("missing", what);

    const Finding finding = AwaitFinding();

    EXPECT_EQ(finding.verdict_class, Finding::Class::kMissingRank);
    EXPECT_THAT(finding.culprits, ElementsAre(Finding::Culprit{base::Rank(kGuilty), absence}));
    EXPECT_THAT(finding.victims, ElementsAre(base::Rank(0), base::Rank(2)));
    ASSERT_TRUE(finding.op.has_value());
    EXPECT_EQ(finding.op->seq, base::OpSeq(2));
    // The others called three ahead of their streams, which stand in the first of these.
    for (const int rank : {0, 2}) {
      const RingContent ring = Read(rank);
      ASSERT_EQ(ring.records.size(), 5u);
      EXPECT_EQ(ring.records[2].state, LOCKSTEP_RECORD_STARTED);
      EXPECT_GE(ring.records[2].started_ns, ring.records[2].enqueued_ns);
      EXPECT_EQ(ring.records[3].state, LOCKSTEP_RECORD_ENQUEUED);
      ASSERT_EQ(ring.seats.size(), 1u);
      EXPECT_EQ(ring.seats[0].waiters, 0) << "no call of NCCL holds its thread";
      EXPECT_EQ(ring.seats[0].stream_waiters, 1);
      EXPECT_TRUE(Waits(rank)) << "so that the watch looks";
    }
    // Where the guilty's process is held at once, the shim's thread is held with it.
    if (what == "sleeps" || what == "computes") {
      EXPECT_EQ(Read(kGuilty).records.at(1).state, LOCKSTEP_RECORD_COMPLETED);
    }
  }
}

TEST_F(NcclShimDiagnosisTest, ARankThatNeverInitialisesIsNamed) {
  Launch("never_init");

  const Finding finding = AwaitFinding();

  EXPECT_EQ(finding.verdict_class, Finding::Class::kMissingRank);
  EXPECT_THAT(finding.culprits,
              ElementsAre(Finding::Culprit{base::Rank(kGuilty), Absence::kNeverInitialised}));
  ASSERT_TRUE(finding.op.has_value());
  EXPECT_EQ(finding.op->kind, OpKind::kInit);
}

}  // namespace
}  // namespace lockstep::launcher
