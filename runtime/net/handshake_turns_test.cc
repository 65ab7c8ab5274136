// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/handshake_turns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::net {
namespace {

using ::testing::ElementsAre;
using Kind = HandshakeTurns::Kind;

class HandshakeTurnsTest : public ::testing::Test {
 protected:
  HandshakeTurns::Step Note(int what) {
    return [this, what] { ran_.push_back(what); };
  }
  bool RunUntilRan(size_t count) {
    return loop_.RunUntil([this, count] { return ran_.size() >= count; }, std::chrono::seconds(1));
  }

  event::SimLoop loop_;
  std::vector<int> ran_;
  int after_ = 0;
  std::unique_ptr<HandshakeTurns> turns_ =
      std::make_unique<HandshakeTurns>([this] { ++after_; }, loop_);
};

TEST_F(HandshakeTurnsTest, StepsRunFromTheLoopInTheOrderOfAsking) {
  (void)turns_->Ask(Kind::kFirst, Note(1));
  (void)turns_->Ask(Kind::kFurther, Note(2));
  (void)turns_->Ask(Kind::kFirst, Note(3));
  EXPECT_THAT(ran_, ElementsAre());

  ASSERT_TRUE(RunUntilRan(3));

  EXPECT_THAT(ran_, ElementsAre(1, 2, 3));
}

/// A heartbeat that arrives behind a crowd waits for one turn's steps, not for the crowd's.
TEST_F(HandshakeTurnsTest, OthersGetTheirTurnBetweenAFewSteps) {
  for (int i = 0; i < 3 * HandshakeTurns::kStepsPerTurn; ++i) {
    (void)turns_->Ask(Kind::kFirst, Note(i));
  }
  size_t ran_before_other = 0;
  const event::Registration other =
      loop_.After(base::Duration(0), [&] { ran_before_other = ran_.size(); });

  ASSERT_TRUE(RunUntilRan(3 * HandshakeTurns::kStepsPerTurn));

  EXPECT_EQ(ran_before_other, HandshakeTurns::kStepsPerTurn);
}

TEST_F(HandshakeTurnsTest, FirstStepsAreCountedUntilTheyRun) {
  (void)turns_->Ask(Kind::kFirst, Note(1));
  (void)turns_->Ask(Kind::kFurther, Note(2));
  EXPECT_EQ(turns_->first_waiting(), 1u);

  ASSERT_TRUE(RunUntilRan(2));

  EXPECT_EQ(turns_->first_waiting(), 0u);
  EXPECT_EQ(after_, 1);
}

TEST_F(HandshakeTurnsTest, WithdrawnStepDoesNotRun) {
  const uint64_t doomed = turns_->Ask(Kind::kFirst, Note(1));
  (void)turns_->Ask(Kind::kFirst, Note(2));

  turns_->Withdraw(doomed);
  EXPECT_EQ(turns_->first_waiting(), 1u);
  ASSERT_TRUE(RunUntilRan(1));
  turns_->Withdraw(doomed);

  EXPECT_THAT(ran_, ElementsAre(2));
}

TEST_F(HandshakeTurnsTest, TurnEndsAlsoWhenAllHaveWithdrawn) {
  turns_->Withdraw(turns_->Ask(Kind::kFirst, Note(1)));

  EXPECT_TRUE(loop_.RunUntil([this] { return after_ == 1; }, std::chrono::seconds(1)));
}

TEST_F(HandshakeTurnsTest, StepMayEndItAll) {
  (void)turns_->Ask(Kind::kFirst, [this] {
    ran_.push_back(1);
    turns_.reset();
  });
  (void)turns_->Ask(Kind::kFirst, Note(2));

  ASSERT_TRUE(RunUntilRan(1));

  EXPECT_THAT(ran_, ElementsAre(1));
  EXPECT_EQ(after_, 0);
}

}  // namespace
}  // namespace lockstep::net
