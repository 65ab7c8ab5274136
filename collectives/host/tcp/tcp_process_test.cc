// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Ranks that are processes, and end or stop in the middle of what they do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "collectives/host/tcp/process_tcp.h"
#include "collectives/testing/process_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using testing::CardBoard;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ProcessGang;

constexpr int kRanks = 3;
constexpr int kGuilty = 1;

/// All are through with an op, and the guilty one sits between two.
void Meet(Group& group, ProcessGang::Board& board) {
  ASSERT_OK(group.Barrier()->Wait());
  ++board.arrived;
  if (group.rank().value() == kGuilty) pause();
  ProcessGang::WaitUntil(board.go, 1);
}

void ExpectThatTheOthersEndWell(ProcessGang& gang) {
  for (const int rank : {0, 2}) EXPECT_EQ(gang.Reap(rank), 0) << "rank " << rank;
}

TEST(TcpProcessTest, AKilledProcessIsNamedWithPidAndHostAtOnce) {
  CardBoard& cards = CardBoard::New();
  ProcessGang gang(
      kRanks, seconds(40),
      [&cards](Group& group, ProcessGang::Board& board) {
        Meet(group, board);
        std::vector<float> data(200'000, 1.0f);
        const auto before = std::chrono::steady_clock::now();
        const base::Status status =
            group
                .AllReduce({data.data(), data.size()}, {data.data(), data.size()}, Reduction::kSum)
                ->Wait();
        EXPECT_THAT(status.root(), StatusIs(Code::kUnavailable, HasSubstr("rank 1 (process ")));
        EXPECT_THAT(status.root(), HasSubject(base::Rank(kGuilty)));
        EXPECT_EQ(status.root().failure_class(), base::FailureClass::kPeerDead);
        EXPECT_EQ(status.root().subjects()[0].pid, cards.pid(kGuilty));
        EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(10));
      },
      testing::OverTcp(cards));
  ProcessGang::WaitUntil(gang.board().arrived, kRanks);

  gang.Signal(kGuilty, SIGKILL);
  gang.board().go = 1;

  ExpectThatTheOthersEndWell(gang);
}

TEST(TcpProcessTest, AStoppedProcessRunsTheOthersIntoTheirDeadlineAndIsBlamedAlone) {
  ProcessGang gang(
      kRanks, seconds(40),
      [](Group& group, ProcessGang::Board& board) {
        Meet(group, board);
        std::vector<float> data(2'000'000, 1.0f);
        const base::Status status =
            group
                .AllReduce({data.data(), data.size()}, {data.data(), data.size()}, Reduction::kSum,
                           {.timeout = milliseconds(500)})
                ->Wait();
        EXPECT_THAT(status.root(), StatusIs(Code::kDeadlineExceeded, HasSubstr("never called")));
        EXPECT_THAT(status.root(), HasSubject(base::Rank(kGuilty)));
        EXPECT_THAT(status.root(), Not(HasSubject(base::Rank(0))));
        EXPECT_THAT(status.root(), Not(HasSubject(base::Rank(2))));
      },
      testing::OverTcp());
  ProcessGang::WaitUntil(gang.board().arrived, kRanks);

  gang.Stop(kGuilty);
  gang.board().go = 1;

  ExpectThatTheOthersEndWell(gang);
}

#if !defined(__SANITIZE_ADDRESS__)  // with it comes a check of virtual calls that makes a pipe
/// On a member that has no descriptor left for the connection that `call` needs.
void ExpectThatItBlamesItself(const std::function<std::shared_ptr<Work>(Group&)>& call) {
  ProcessGang gang(
      2, seconds(20),
      [&call](Group& group, ProcessGang::Board& board) {
        if (group.rank() == base::GroupRank(1)) return ProcessGang::WaitUntil(board.arrived, 1);
        rlimit before;
        ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
        rlimit none = before;
        none.rlim_cur = 3;  // those that are open are kept, and poll() may still look at so many
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
        const base::Status status = call(group)->Wait();
        EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
        EXPECT_THAT(
            status,
            StatusIs(Code::kUnavailable,
                     AllOf(HasSubstr(": rank 0 (process "), HasSubstr(" cannot go on: rank 1 ("),
                           HasSubstr("Too many open files (EMFILE); this process may have 3 "
                                     "descriptors (RLIMIT_NOFILE): raise it with: ulimit -n "))));
        EXPECT_EQ(status.failure_class(), base::FailureClass::kNetwork);
        EXPECT_THAT(status, HasSubject(base::Rank(0)));
        EXPECT_THAT(status, Not(HasSubject(base::Rank(1))));
        board.arrived = 1;
      },
      testing::OverTcp());
  for (const int rank : {0, 1}) EXPECT_EQ(gang.Reap(rank), 0) << "rank " << rank;
}

TEST(TcpProcessTest, WhoHasNoDescriptorLeftBlamesItselfAndSaysWhatToRaise) {
  float value = 1;
  const Buffer buffer{&value, 1, Dtype::kF32};
  ExpectThatItBlamesItself(
      [&buffer](Group& group) { return group.AllReduce(buffer, buffer, Reduction::kSum); });
  ExpectThatItBlamesItself(
      [&buffer](Group& group) { return group.Send(buffer, base::GroupRank(1)); });
}

TEST(TcpProcessTest, WhoHasNoDescriptorLeftToAskWithGoesOnWaiting) {
  ProcessGang gang(
      2, seconds(20),
      [](Group& group, ProcessGang::Board& board) {
        ++board.arrived;
        ProcessGang::WaitUntil(board.arrived, 2);
        ASSERT_OK(group.Barrier()->Wait());  // with which what ops need is there
        rlimit limit;
        ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
        if (group.rank() == base::GroupRank(0)) {
          limit.rlim_cur = 3;
          ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
        } else {
          std::this_thread::sleep_for(milliseconds(200));  // tidy:allow sleep: it comes late
        }
        EXPECT_OK(group.Barrier()->Wait());
      },
      testing::OverTcp());
  for (const int rank : {0, 1}) EXPECT_EQ(gang.Reap(rank), 0) << "rank " << rank;
}
#endif

}  // namespace
}  // namespace lockstep::collectives
