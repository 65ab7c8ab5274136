// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/nccl_shim/shim_fixture.h"

/// Communicators that one thread aborts while another's call of them stands. The address sanitizer
/// ends a rank that touches what has been freed.
namespace lockstep::launcher {
namespace {

using collectives::RingContent;
using testing::ElementsAre;

class NcclShimEndingTest : public NcclShimTest {
 protected:
  void RunRank(const std::string& mode) {
    preload_.clear();  // the shim is in the program
    Renew(1);
    LaunchProgram({File("ending_rank")}, mode);
    ASSERT_TRUE(Await()) << Output();
    EXPECT_EQ(Output(), "0 events are left, and the call came\n");
    EXPECT_TRUE(Read(0).seats.empty());
  }
};

TEST_F(NcclShimEndingTest, ADestroyThatHangsLeavesTheCommunicatorToAnAbort) {
  RunRank("destroy");

  const RingContent ring = Read(0);
  ASSERT_THAT(Tags(ring), ElementsAre("CommInitRank", "AllReduce", "Finalize", "CommInitRank",
                                      "AllReduce", "Finalize"));
  EXPECT_EQ(ring.records[1].state, LOCKSTEP_RECORD_ABORTED);
  EXPECT_EQ(ring.records[4].state, LOCKSTEP_RECORD_COMPLETED);
  EXPECT_NE(ring.records[4].group_id, ring.records[1].group_id);
  for (const lockstep_record& record : ring.records) EXPECT_FALSE(IsOpen(record)) << Tag(record);
}

TEST_F(NcclShimEndingTest, AnOpWhoseCallHangsEndsWithTheAbort) {
  RunRank("op");

  const RingContent ring = Read(0);
  ASSERT_THAT(Tags(ring), ElementsAre("CommInitRank", "AllReduce"));
  EXPECT_EQ(ring.records[1].state, LOCKSTEP_RECORD_ABORTED);
}

TEST_F(NcclShimEndingTest, WhatAThreadFindsOnItsStreamAnotherMayAbort) {
  RunRank("state");

  const RingContent ring = Read(0);
  ASSERT_THAT(Tags(ring), ElementsAre("CommInitRank", "AllReduce", "AllReduce"));
  EXPECT_EQ(ring.records[1].state, LOCKSTEP_RECORD_ABORTED);
  EXPECT_EQ(ring.records[2].state, LOCKSTEP_RECORD_ABORTED);
}

TEST_F(NcclShimEndingTest, AStreamMayBreakWhileAThreadPutsItsEventThere) {
  RunRank("breaks");

  const RingContent ring = Read(0);
  ASSERT_THAT(Tags(ring), ElementsAre("CommInitRank", "AllReduce", "Finalize"));
  EXPECT_EQ(ring.records[1].state, LOCKSTEP_RECORD_ERROR);
}

TEST_F(NcclShimEndingTest, ASplitWhoseSizeIsAskedForMayBeAborted) {
  RunRank("split");

  EXPECT_THAT(Tags(Read(0)), ElementsAre("CommInitRank", "CommSplit", "Finalize"));
}

TEST_F(NcclShimEndingTest, AnOpThatAsksForTheSizeMayLoseItsCommunicator) {
  RunRank("size");

  EXPECT_THAT(Tags(Read(0)), ElementsAre("CommInitRank", "CommSplit", "Finalize"));
}

}  // namespace
}  // namespace lockstep::launcher
