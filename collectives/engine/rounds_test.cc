// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/rounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "collectives/engine/own_deadline.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::Rank;
using base::Round;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::SizeIs;

base::Status NoWay(Rank, const std::string&, base::Duration) {
  return base::UnavailableError("no way");
}

TEST(RoundsTest, ALaterRoundReplacesTheOneBefore) {
  Rounds rounds(Round(0), NoWay);
  rounds.Begin(Round(1), {{Rank(3), "killed"}});
  rounds.Begin(Round(2), {{Rank(3), "killed"}, {Rank(1), "stopped"}});
  rounds.Begin(Round(1), {{Rank(3), "killed"}});

  EXPECT_EQ(rounds.current(), Round(2));
  EXPECT_THAT(rounds.gone(), SizeIs(2));
  EXPECT_EQ(rounds.WhyGone(Rank(1)), "stopped");
  EXPECT_EQ(rounds.WhyGone(Rank(0)), std::nullopt);
  EXPECT_THAT(rounds.GoneOf({Rank(0), Rank(1)}), SizeIs(1));
}

// A process that attaches late is told of the round that it begins in.
TEST(RoundsTest, ThoseWhoWereGoneBeforeTheProcessCameAreGone) {
  Rounds rounds(Round(1), NoWay);
  rounds.Begin(Round(1), {{Rank(3), "killed"}});

  EXPECT_EQ(rounds.WhyGone(Rank(3)), "killed");
}

TEST(RoundsTest, ASubscriberHearsOfWhatWasAndOfWhatComesUntilItIsGone) {
  Rounds rounds(Round(0), NoWay);
  rounds.Begin(Round(1), {{Rank(3), "killed"}});
  std::vector<uint32_t> heard;
  auto subscription =
      rounds.Subscribe([&heard](Round round, const auto&) { heard.push_back(round.value()); });
  rounds.Begin(Round(2), {{Rank(3), "killed"}, {Rank(2), "killed"}});
  subscription.reset();
  rounds.Begin(Round(3), {{Rank(3), "killed"}, {Rank(2), "killed"}, {Rank(1), "killed"}});

  EXPECT_THAT(heard, ::testing::ElementsAre(1, 2));
}

TEST(RoundsTest, WhoWaitsIsWokenByTheNextRound) {
  Rounds rounds(Round(0), NoWay);
  std::thread agent([&rounds] { rounds.Begin(Round(1), {{Rank(3), "killed"}}); });
  const OwnDeadline own(seconds(60));

  EXPECT_OK(rounds.AwaitLaterThan(Round(0), own.deadline));
  agent.join();
}

TEST(RoundsTest, WhoWaitsInVainIsToldSo) {
  Rounds rounds(Round(0), NoWay);
  const OwnDeadline own(milliseconds(30));
  EXPECT_THAT(rounds.AwaitLaterThan(Round(0), own.deadline),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("round 0 was still in force")));

  rounds.Close(base::UnavailableError("the agent is gone"));
  const OwnDeadline more(seconds(60));
  EXPECT_THAT(rounds.AwaitLaterThan(Round(0), more.deadline),
              StatusIs(Code::kUnavailable, HasSubstr("the agent is gone")));
}

}  // namespace
}  // namespace lockstep::collectives
