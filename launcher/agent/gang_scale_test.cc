// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What the coordinator's watch of a gang of a thousand ranks costs, in calls and in time of its
// thread, and how soon it knows who is missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "launcher/agent/far_gang.h"
#include "launcher/agent/node_watch.h"
#include "launcher/diagnosis/hang_watch.h"
#include "launcher/diagnosis/pace_watch.h"
#include "launcher/diagnosis/testing/sim_rank.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using base::NodeIndex;
using base::Rank;
using collectives::Absence;
using collectives::Evidence;
using collectives::Finding;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::SimRank;

constexpr int kNodes = 125;
constexpr int kRanksPerNode = 8;
constexpr int kRanks = kNodes * kRanksPerNode;
constexpr uint32_t kSlots = 64;  // more than records of each are fetched
constexpr int kMissing = 517;
constexpr auto kTurn = milliseconds(10);  // also what a message takes each way

base::Duration ThreadTime() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

double Milliseconds(base::Duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

/// The coordinator of node 0 has a loop of its own, so that its time is told from that of the other
/// nodes' agents, which share one. Both go on in turns of equal length; messages are bytes.
class GangScaleTest : public ::testing::Test, public HangDelegate, public PaceDelegate {
 protected:
  GangScaleTest() {
    topology::WorldSpec world{.nodes = {}, .master_address = "h0"};
    for (int node = 0; node < kNodes; ++node)
      world.nodes.push_back({"h" + std::to_string(node), kRanksPerNode});
    far_.SetWorld(world, NodeIndex(0));
    for (int rank = 0; rank < kRanks; ++rank) {
      ranks_.push_back(std::make_unique<SimRank>(agents_loop_, rank, kRanks, kSlots));
      const bool is_here = rank < kRanksPerNode;
      watched_.push_back({.rank = Rank(rank),
                          .pid = ::getpid(),
                          .ring_fd = is_here ? ranks_.back()->fd() : -1,
                          .is_here = is_here});
    }
    for (int node = 1; node < kNodes; ++node) {
      agents_.push_back(std::make_unique<NodeWatch>(
          NodeWatch::Config{},
          NodeWatch::Deps{.loop = agents_loop_,
                          .ranks = [this, node] { return RanksOf(node); },
                          .say = [this, node](bool stands) { Say(NodeIndex(node), stands); }}));
    }
    watch_.SetFar(far_);
    pace_watch_.SetFar(far_);
    watch_.BeginRound();
    pace_watch_.BeginRound();
    for (int op = 0; op < 3; ++op) Step();
  }

  std::vector<WatchedRank> RanksOf(int node) const {
    const auto first = watched_.begin() + ptrdiff_t{node} * kRanksPerNode;
    std::vector<WatchedRank> ranks(first, first + kRanksPerNode);
    for (WatchedRank& rank : ranks) {
      rank.is_here = true;
      rank.ring_fd = ranks_[static_cast<size_t>(rank.rank.value())]->fd();
    }
    return ranks;
  }

  /// All ranks make a call that ends well.
  void Step() {
    for (const auto& rank : ranks_) rank->Call();
    for (const auto& rank : ranks_) rank->End();
  }
  /// One comes later than the others.
  void StepWithALateOne() {
    const auto late = static_cast<size_t>(kMissing);
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      if (rank != late) ranks_[rank]->Call();
    }
    RunFor(milliseconds(30));
    ranks_[late]->Call();
    RunFor(milliseconds(10));
    for (const auto& rank : ranks_) rank->End();
  }
  /// All but one call, and wait.
  void WaitForTheMissing() {
    for (int rank = 0; rank < kRanks; ++rank) {
      if (rank == kMissing) continue;
      ranks_[static_cast<size_t>(rank)]->Call();
      ranks_[static_cast<size_t>(rank)]->Wait();
    }
  }

  void RunFor(base::Duration time) {
    for (base::Duration gone{0}; gone < time; gone += kTurn) {
      agents_loop_.RunFor(kTurn);
      for (auto& request : std::exchange(to_agents_, {})) request();
      const base::Duration before = ThreadTime();
      for (auto& message : std::exchange(to_coordinator_, {})) message();
      loop_.RunFor(kTurn);
      coordinator_time_ += ThreadTime() - before;
    }
  }

  void Say(NodeIndex node, bool stands) {
    ++said_count_;
    to_coordinator_.push_back([this, node, stands] { far_.OnStanding(node, stands); });
  }
  void Ask(NodeIndex node, const proto::ControlRequest& request, OnAnswer answer) {
    ++asked_count_;
    to_agents_.push_back(
        [this, node, bytes = request.SerializeAsString(), answer = std::move(answer)] {
          proto::ControlRequest asked;
          ASSERT_TRUE(asked.ParseFromString(bytes));
          proto::ControlReply reply;
          NodeWatch& agent = *agents_[static_cast<size_t>(node.value() - 1)];
          *reply.mutable_look() = agent.Answer(asked.look());
          const std::string answered = reply.SerializeAsString();
          fetched_bytes_ += answered.size();
          to_coordinator_.push_back([answered, answer] {
            proto::ControlReply told;
            ASSERT_TRUE(told.ParseFromString(answered));
            answer(std::move(told));
          });
        });
  }

  std::vector<WatchedRank> RanksToWatch() override { return watched_; }
  void OnHangNotice(const Finding& finding, const Evidence&) override {
    notices_.push_back(finding);
  }
  void OnHangVerdict(const Finding& finding, const Evidence&) override {
    verdicts_.push_back(finding);
    decided_at_ = loop_.Now();
  }
  void OnStraggler(const collectives::Straggler& slow, const collectives::Pace& pace) override {
    slow_.push_back(slow);
    EXPECT_EQ(pace.ranks.size(), static_cast<size_t>(kRanks));
  }
  void OnSlowLink(const collectives::SlowLink&, const collectives::Pace&) override { FAIL(); }

  event::SimLoop loop_, agents_loop_;
  std::vector<std::unique_ptr<SimRank>> ranks_;
  std::vector<WatchedRank> watched_;  // as the coordinator knows them
  std::vector<std::unique_ptr<NodeWatch>> agents_;
  std::deque<std::function<void()>> to_agents_, to_coordinator_;
  FarGang far_{[this](NodeIndex node, const proto::ControlRequest& request, OnAnswer answer) {
                 Ask(node, request, std::move(answer));
               },
               loop_};
  bool is_paced_ = true;
  HangWatch watch_{
      {}, loop_, *this, [this] { return is_paced_ ? ThreadTime() : base::Duration(0); }};
  PaceWatch pace_watch_{{}, loop_, watch_.paces(), *this};
  std::vector<collectives::Straggler> slow_;
  int said_count_ = 0, asked_count_ = 0;
  size_t fetched_bytes_ = 0;
  base::Duration coordinator_time_{0};
  std::vector<Finding> notices_, verdicts_;
  base::SteadyTime decided_at_{};
};

TEST_F(GangScaleTest, AGangThatGoesOnCostsARequestInTenSecondsAndHardlyAnyTime) {
  constexpr int kSeconds = 20;
  for (int step = 0; step < 10 * kSeconds; ++step) {
    RunFor(milliseconds(100));
    Step();
  }
  EXPECT_EQ(said_count_, 0);
  EXPECT_EQ(asked_count_, 2 * (kNodes - 1)) << "how fast it goes, in 20 s";
  EXPECT_TRUE(slow_.empty());
  EXPECT_TRUE(notices_.empty());
  EXPECT_TRUE(verdicts_.empty());
  const double each = Milliseconds(coordinator_time_) / kSeconds;
  std::printf("a healthy gang of %d ranks: %.3f ms a second, %.3f %% of a core\n", kRanks, each,
              each / 10);
  EXPECT_LT(each, 50) << "5 % of a core; it is a thirtieth of that";
}

TEST_F(GangScaleTest, WhoIsSlowIsKnownAfterTwoWindows) {
  coordinator_time_ = {};
  constexpr int kSeconds = 32;
  for (base::Duration gone{0}; gone < seconds(kSeconds); gone += milliseconds(140)) {
    RunFor(milliseconds(100));
    StepWithALateOne();
  }
  ASSERT_EQ(slow_.size(), 1u);
  EXPECT_EQ(slow_[0].rank, Rank(kMissing));
  EXPECT_EQ(slow_[0].lateness, milliseconds(30));
  EXPECT_EQ(slow_[0].victims.size(), static_cast<size_t>(kRanks - 1));
  EXPECT_EQ(asked_count_, kSeconds / 10 * (kNodes - 1));
  EXPECT_TRUE(notices_.empty());
  const double each = Milliseconds(coordinator_time_) / kSeconds;
  std::printf("how fast %d ranks go: %.2f ms a second, %.2f %% of a core, %zu KiB a window\n",
              kRanks, each, each / 10, (fetched_bytes_ >> 10) / (kSeconds / 10));
  EXPECT_LT(each, 50) << "5 % of a core";
}

TEST_F(GangScaleTest, WhoIsMissingIsKnownAfterTwoLooks) {
  is_paced_ = false;  // a build with sanitizers looks more slowly, which is not what counts here
  RunFor(seconds(2));
  coordinator_time_ = {};
  const base::SteadyTime since = loop_.Now();
  watched_[kMissing].ended = true;  // early, with exit status 0
  WaitForTheMissing();
  RunFor(seconds(3));

  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_[0].culprits,
            (std::vector<Finding::Culprit>{{Rank(kMissing), Absence::kEndedEarly}}));
  EXPECT_EQ(verdicts_[0].victims.size(), static_cast<size_t>(kRanks - 1));
  EXPECT_EQ(verdicts_[0].confidence, Finding::Confidence::kHigh);
  EXPECT_EQ(asked_count_, 2 * (kNodes - 1)) << "two looks";
  EXPECT_LT(decided_at_ - since, seconds(3));
  std::printf("a verdict of %d ranks after %.0f ms; %.2f ms of the coordinator's thread, %zu KiB\n",
              kRanks, Milliseconds(decided_at_ - since), Milliseconds(coordinator_time_),
              fetched_bytes_ >> 10);
}

TEST_F(GangScaleTest, ASuspicionThatLastsTakesAFewPercentOfACore) {
  RunFor(seconds(2));
  coordinator_time_ = {};
  WaitForTheMissing();  // for one that runs: a notice, and no verdict before a minute
  constexpr int kSeconds = 20;
  RunFor(seconds(kSeconds));

  ASSERT_EQ(notices_.size(), 1u);
  ASSERT_EQ(notices_[0].culprits.size(), 1u);
  EXPECT_EQ(notices_[0].culprits[0].rank, Rank(kMissing));
  EXPECT_TRUE(verdicts_.empty());
  EXPECT_LE(asked_count_, 4 * kSeconds * (kNodes - 1));
  std::printf("a suspicion that lasts: %d looks in %d s, %.2f %% of a core\n",
              asked_count_ / (kNodes - 1), kSeconds,
              Milliseconds(coordinator_time_) / kSeconds / 10);
}

}  // namespace
}  // namespace lockstep::launcher
