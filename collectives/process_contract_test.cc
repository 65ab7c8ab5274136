// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What collectives/group.h promises when the processes of ranks are stopped and continued, over the
// host backend.
#include <gtest/gtest.h>

#include <thread>

#include "collectives/group.h"
#include "collectives/testing/process_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::GroupRank;
using base::Rank;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using testing::ProcessGang;

constexpr int kSize = 3;

// Ctrl-Z for longer than the timeout, then fg: the steady clock had run on, and the job failed.
TEST(ProcessContractTest, AJobThatIsStoppedAndContinuedFindsItsDeadlinesWhereTheyWere) {
  constexpr auto kTimeout = milliseconds(1500);
  ProcessGang gang(kSize, kTimeout, [](Group& group, ProcessGang::Board& board) {
    const bool late = group.rank() == GroupRank(kSize - 1);
    if (late) {
      ++board.arrived;
      ProcessGang::WaitUntil(board.go, 1);
    }
    const auto first = group.Barrier();
    const auto second = group.Barrier();
    if (!late) ++board.arrived;
    EXPECT_OK(first->Wait());
    EXPECT_OK(second->Wait());
  });
  ProcessGang::WaitUntil(gang.board().arrived, kSize);

  for (int rank = 0; rank < kSize; ++rank) gang.Stop(rank);
  constexpr auto kStop = kTimeout + milliseconds(200);
  std::this_thread::sleep_for(kStop);  // tidy:allow sleep: this time must not count
  for (int rank = 0; rank < kSize; ++rank) gang.Signal(rank, SIGCONT);
  gang.board().go = 1;

  for (int rank = 0; rank < kSize; ++rank) EXPECT_EQ(gang.Reap(rank), 0) << "rank " << rank;
}

// The same of a call of two steps, whose deadline no queue keeps.
TEST(ProcessContractTest, ASplitOfAJobThatWasStoppedFindsItsDeadlineWhereItWas) {
  constexpr auto kTimeout = milliseconds(1500);
  ProcessGang gang(kSize, kTimeout, [](Group& group, ProcessGang::Board& board) {
    ++board.arrived;
    if (group.rank() == GroupRank(kSize - 1)) ProcessGang::WaitUntil(board.go, 1);
    const auto made = group.Duplicate();
    ASSERT_OK(made);
    EXPECT_OK((*made)->Barrier()->Wait());
  });
  ProcessGang::WaitUntil(gang.board().arrived, kSize);
  std::this_thread::sleep_for(milliseconds(50));  // tidy:allow sleep: now they wait for each other

  for (int rank = 0; rank < kSize; ++rank) gang.Stop(rank);
  constexpr auto kStop = kTimeout + milliseconds(200);
  std::this_thread::sleep_for(kStop);  // tidy:allow sleep: this time must not count
  for (int rank = 0; rank < kSize; ++rank) gang.Signal(rank, SIGCONT);
  gang.board().go = 1;

  for (int rank = 0; rank < kSize; ++rank) EXPECT_EQ(gang.Reap(rank), 0) << "rank " << rank;
}

TEST(ProcessContractTest, OneStoppedRankIsNamed) {
  ProcessGang gang(kSize, milliseconds(600), [](Group& group, ProcessGang::Board& board) {
    ++board.arrived;
    ProcessGang::WaitUntil(board.go, 1);
    const base::Status status = group.Barrier()->Wait();
    EXPECT_THAT(status, StatusIs(Code::kDeadlineExceeded, HasSubstr("rank 1 never called it")));
    EXPECT_THAT(status, HasSubject(Rank(1)));
  });
  ProcessGang::WaitUntil(gang.board().arrived, kSize);

  gang.Stop(1);
  gang.board().go = 1;

  EXPECT_EQ(gang.Reap(0), 0);
  EXPECT_EQ(gang.Reap(2), 0);
  gang.Signal(1, SIGCONT);  // it comes to the same error, late
  EXPECT_EQ(gang.Reap(1), 0);
}

}  // namespace
}  // namespace lockstep::collectives
