// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::elastic {
namespace {

using base::Code;
using base::SteadyTime;
using base::testing::StatusIs;
using namespace std::chrono_literals;

const SteadyTime kStart{1s};
constexpr LeaseConfig kConfig{.heartbeat = 250ms, .lease = 2s};

/// Feeds events to a lease at a time of its own and keeps the actions of the last one.
class Agent {
 public:
  template <class What>
  Agent& On(What what) {
    LeaseStep step = Step(std::move(state_), {now_, std::move(what)});
    state_ = std::move(step.state);
    actions_ = std::move(step.actions);
    if (const auto* timer = Get<SetLeaseTimer>()) timer_ = *timer;
    if (Get<Fence>() != nullptr) ++fences_;
    return *this;
  }
  /// Asked at the start, answered now.
  Agent& Grant(LeaseConfig config = kConfig) { return On(LeaseGranted{config, kStart}); }
  Agent& Ack(uint64_t number) { return On(HeartbeatAcked{number}); }
  Agent& After(base::Duration delay) {
    now_ += delay;
    return *this;
  }
  /// Lets the time of the timer come, and fires it.
  Agent& FireTimer() {
    now_ = std::max(now_, timer_.due);
    return On(LeaseTimerFired{timer_.generation});
  }

  SteadyTime now() const { return now_; }
  bool held() const { return state_.HeldAt(now_); }
  const LeaseState& state() const { return state_; }
  const std::vector<LeaseAction>& actions() const { return actions_; }
  SteadyTime timer_due() const { return timer_.due; }
  int fences() const { return fences_; }
  template <class T>
  const T* Get() const {
    for (const LeaseAction& action : actions_) {
      if (const T* one = std::get_if<T>(&action)) return one;
    }
    return nullptr;
  }

 private:
  LeaseState state_;
  SteadyTime now_ = kStart;
  SetLeaseTimer timer_;
  std::vector<LeaseAction> actions_;
  int fences_ = 0;
};

TEST(LeaseTest, CountsFromWhenWeAskedAndBeatsAtOnce) {
  Agent agent;
  EXPECT_FALSE(agent.held());
  agent.After(100ms).Grant();

  EXPECT_TRUE(agent.held());
  EXPECT_EQ(agent.state().held_until, kStart + 2s);
  ASSERT_NE(agent.Get<SendHeartbeat>(), nullptr);
  EXPECT_EQ(agent.Get<SendHeartbeat>()->number, 0u);
  EXPECT_EQ(agent.timer_due(), kStart + 350ms);
}

TEST(LeaseTest, BeatsEachPeriodWithAscendingNumbers) {
  Agent agent;
  agent.Grant();
  for (uint64_t number = 1; number <= 100; ++number) {
    agent.FireTimer();
    ASSERT_NE(agent.Get<SendHeartbeat>(), nullptr);
    EXPECT_EQ(agent.Get<SendHeartbeat>()->number, number);
    EXPECT_EQ(agent.now(), kStart + number * 250ms);
    agent.Ack(number);
  }
  EXPECT_EQ(agent.fences(), 0);
}

TEST(LeaseTest, AcknowledgementExtendsFromWhenTheHeartbeatWasSent) {
  Agent agent;
  agent.Grant().FireTimer().After(200ms).Ack(1);

  EXPECT_EQ(agent.state().held_until, kStart + 250ms + 2s);
  EXPECT_TRUE(agent.actions().empty()) << "no timer is set by it";
}

TEST(LeaseTest, AcknowledgementOfALaterHeartbeatStandsForThoseBefore) {
  Agent agent;
  agent.Grant().FireTimer().FireTimer().Ack(2).Ack(1).Ack(0);

  EXPECT_EQ(agent.state().held_until, kStart + 500ms + 2s);
  EXPECT_TRUE(agent.state().unacknowledged.empty());
}

TEST(LeaseTest, AcknowledgementOfWhatWasNeverSentChangesNothing) {
  Agent agent;
  agent.Grant().FireTimer();
  agent.Ack(2).Ack(~uint64_t{0});

  EXPECT_EQ(agent.state().held_until, kStart + 2s);
  EXPECT_EQ(agent.state().unacknowledged.size(), 2u);
}

TEST(LeaseTest, SilenceFencesWhenTheLeaseEnds) {
  Agent agent;
  agent.Grant().FireTimer().Ack(1);
  while (agent.fences() == 0) agent.FireTimer();

  EXPECT_EQ(agent.now(), kStart + 250ms + 2s);
  EXPECT_THAT(agent.Get<Fence>()->why,
              StatusIs(Code::kDeadlineExceeded,
                       "nothing was heard from the coordinator for 2s: this node's lease of 2s is "
                       "over"));
  EXPECT_EQ(agent.Get<SendHeartbeat>(), nullptr);
  EXPECT_EQ(agent.Get<SetLeaseTimer>(), nullptr);
}

TEST(LeaseTest, NothingIsHeldAtTheVeryEnd) {
  Agent agent;
  agent.Grant();
  EXPECT_TRUE(agent.state().HeldAt(kStart + 2s - 1ns));
  EXPECT_FALSE(agent.state().HeldAt(kStart + 2s));
}

TEST(LeaseTest, FenceIsForGood) {
  Agent agent;
  agent.Grant();
  while (agent.fences() == 0) agent.FireTimer();

  EXPECT_TRUE(agent.Ack(7).actions().empty());
  EXPECT_TRUE(agent.Grant().actions().empty());
  EXPECT_TRUE(agent.FireTimer().actions().empty());
  EXPECT_TRUE(agent.On(CoordinatorGone{base::OkStatus()}).actions().empty());
  EXPECT_FALSE(agent.held());
}

TEST(LeaseTest, EndedConnectionFencesAtOnce) {
  Agent broken;
  broken.Grant().After(10ms).On(CoordinatorGone{base::UnavailableError("connection reset")});
  ASSERT_NE(broken.Get<Fence>(), nullptr);
  EXPECT_THAT(
      broken.Get<Fence>()->why,
      StatusIs(Code::kUnavailable, "the connection to the coordinator ended: connection reset"));

  Agent closed;
  closed.Grant().On(CoordinatorGone{base::OkStatus()});
  EXPECT_THAT(closed.Get<Fence>()->why,
              StatusIs(Code::kUnavailable, "the connection to the coordinator ended"));
}

TEST(LeaseTest, EndedConnectionBeforeAnyLeaseChangesNothing) {
  Agent agent;
  EXPECT_TRUE(agent.On(CoordinatorGone{base::OkStatus()}).actions().empty());
  EXPECT_TRUE(agent.Ack(0).actions().empty());
  EXPECT_TRUE(agent.On(LeaseTimerFired{0}).actions().empty());
  EXPECT_NE(agent.Grant().Get<SendHeartbeat>(), nullptr);
}

TEST(LeaseTest, GrantThatTookLongerThanItsLeaseIsNone) {
  Agent agent;
  agent.After(2s).Grant();

  ASSERT_NE(agent.Get<Fence>(), nullptr);
  EXPECT_EQ(agent.Get<SendHeartbeat>(), nullptr);
}

TEST(LeaseTest, AcknowledgementThatWaitedWhileWeDidNotRunStillCounts) {
  Agent agent;
  agent.Grant();
  for (uint64_t number = 1; number <= 4; ++number) agent.FireTimer().Ack(number - 1);
  EXPECT_EQ(agent.state().held_until, kStart + 750ms + 2s);
  agent.After(1900ms).Ack(4);

  EXPECT_EQ(agent.fences(), 0);
  EXPECT_EQ(agent.state().held_until, kStart + 1s + 2s);
}

TEST(LeaseTest, AcknowledgementThatProvesTooLittleFences) {
  Agent agent;
  agent.Grant().FireTimer().After(5s).Ack(1);

  EXPECT_EQ(agent.fences(), 1);
}

TEST(LeaseTest, TimerOfAnOldGenerationIsIgnored) {
  Agent agent;
  agent.Grant();
  const uint64_t old = agent.state().timer_generation;
  agent.FireTimer().After(10s);

  EXPECT_TRUE(agent.On(LeaseTimerFired{old}).actions().empty());
}

TEST(LeaseTest, TimerThatIsLateBeatsOnce) {
  Agent agent;
  agent.Grant().After(1s).FireTimer();

  EXPECT_EQ(agent.state().next_heartbeat, 2u);
  EXPECT_EQ(agent.timer_due(), kStart + 1250ms);
}

TEST(LeaseTest, NoMoreHeartbeatsWaitThanFitIntoALease) {
  Agent agent;
  agent.Grant();
  for (uint64_t number = 1; number < 1000; ++number) {
    agent.FireTimer();
    if (number % 3 == 0) agent.Ack(number - 2);
    EXPECT_LE(agent.state().unacknowledged.size(), 5u);
  }
  EXPECT_EQ(agent.fences(), 0);
  while (agent.fences() == 0) {
    EXPECT_LE(agent.state().unacknowledged.size(), 8u);
    agent.FireTimer();
  }
  EXPECT_TRUE(agent.state().unacknowledged.empty());
}

TEST(LeaseTest, HostileConfigMakesNeitherALiveLockNorAnEndlessQueue) {
  Agent agent;
  agent.Grant({.heartbeat = base::Duration(0), .lease = base::Duration::max()});
  EXPECT_EQ(agent.timer_due(), kStart + 1ms);
  for (int i = 0; i < 2000; ++i) agent.FireTimer();
  EXPECT_EQ(agent.state().unacknowledged.size(), LeaseState::kUnacknowledgedMax);
  agent.Ack(1999);
  EXPECT_EQ(agent.fences(), 0);

  Agent never;
  never.Grant({.heartbeat = 250ms, .lease = base::Duration(-1)});
  EXPECT_EQ(never.fences(), 1);
}

}  // namespace
}  // namespace lockstep::elastic
