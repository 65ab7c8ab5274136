// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Ranks as processes over the fake NCCL: they meet through shared memory, and something happens to
// one of them. FaultPropertyTest has the same at random moments in random ops.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <ostream>

#include "collectives/nccl/testing/process_nccl.h"
#include "collectives/testing/process_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr auto kTimeout = seconds(2);

TEST(NcclProcessTest, ProcessesReduceAndExchange) {
  ProcessGang gang(
      3, kTimeout,
      [](Group& group, ProcessGang::Board&) {
        int32_t value = group.rank().value() + 1;
        // The fake's memory is the process's own.
        const Device gpu{Device::Kind::kCuda, group.capabilities().cuda_device};
        const Buffer buffer{&value, 1, Dtype::kI32, gpu};
        ASSERT_OK(group.AllReduce(buffer, buffer, Reduction::kSum)->Wait());
        EXPECT_EQ(value, 6);
        if (group.rank() == GroupRank(0)) {
          ASSERT_OK(group.Send(buffer, GroupRank(2))->Wait());
        } else if (group.rank() == GroupRank(2)) {
          value = 0;
          ASSERT_OK(group.Recv(buffer, GroupRank(0))->Wait());
          EXPECT_EQ(value, 6);
        }
        ASSERT_OK(group.Barrier()->Wait());
      },
      OverFakeNccl("2_30"));

  for (int rank = 0; rank < 3; ++rank) EXPECT_EQ(gang.Reap(rank), 0) << "rank " << rank;
}

/// What the process of a rank does of which the others hear no more.
struct Silence {
  const char* name;
  std::function<void()> begin;

  friend std::ostream& operator<<(std::ostream& out, const Silence& silence) {
    return out << silence.name;
  }
};

class NcclSilentProcessTest : public ::testing::TestWithParam<Silence> {};

INSTANTIATE_TEST_SUITE_P(Rank, NcclSilentProcessTest,
                         ::testing::Values(Silence{"Killed", [] { raise(SIGKILL); }},
                                           Silence{"Stopped", [] { raise(SIGSTOP); }},
                                           Silence{"EndedWell", [] { _exit(0); }},
                                           Silence{"ThatNeverCalls", [] { pause(); }}),
                         [](const auto& silence) { return silence.param.name; });

TEST_P(NcclSilentProcessTest, IsBlamedByTheOthersInTimeAndTheyExit) {
  const base::SteadyTime begun = base::RealClock().Now();
  ProcessGang gang(
      3, kTimeout,
      [](Group& group, ProcessGang::Board&) {
        ASSERT_OK(group.Barrier()->Wait());
        if (group.rank() == GroupRank(1)) GetParam().begin();
        const auto work = group.Barrier();
        const base::Status end = work->Wait().root();
        EXPECT_THAT(end, StatusIs(Code::kDeadlineExceeded, HasSubstr("never called by rank 1")));
        EXPECT_THAT(end, HasSubject(base::Rank(1)));
        EXPECT_EQ(end.failure_class(), base::FailureClass::kPeerStalled);
        const auto timings = work->timings();
        EXPECT_LT(*timings.completed - timings.enqueued, kTimeout + seconds(1));
      },
      OverFakeNccl("2_30"));

  for (const int rank : {0, 2}) EXPECT_EQ(gang.Reap(rank), 0) << "rank " << rank;
  EXPECT_LT(base::RealClock().Now() - begun, seconds(20));
}

}  // namespace
}  // namespace lockstep::collectives::testing
