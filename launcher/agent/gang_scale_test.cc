// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What the coordinator's watch of a gang of 64 and of a thousand ranks costs, in calls and in time
// of its thread, and how soon it knows who is missing, stopped or dead, or calls something else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
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

constexpr int kRanksPerNode = 8;
constexpr uint32_t kSlots = 64;           // more than records of each are fetched
constexpr auto kTurn = milliseconds(10);  // also what a message takes each way

base::Duration ThreadTime() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

/// A build with sanitizers looks more slowly, and so more seldom: that is not what counts here.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsPaced = false;
#else
constexpr bool kIsPaced = true;
#endif

double Milliseconds(base::Duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

/// A process that a signal has stopped.
class StoppedProcess {
 public:
  StoppedProcess() : pid_(::fork()) {
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      while (true) ::pause();
    }
    if (pid_ < 0) std::abort();  // kill(-1) would be everybody
    ::kill(pid_, SIGSTOP);
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, WUNTRACED), pid_);
    EXPECT_TRUE(WIFSTOPPED(status));
  }
  ~StoppedProcess() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  StoppedProcess(const StoppedProcess&) = delete;
  StoppedProcess& operator=(const StoppedProcess&) = delete;
  pid_t pid() const { return pid_; }

 private:
  const pid_t pid_;
};

/// The coordinator of node 0 has a loop of its own, so that its time is told from that of the other
/// nodes' agents, which share one. Both go on in turns of equal length; messages are bytes.
class GangScaleTest : public ::testing::TestWithParam<int>,  // nodes
                      public HangDelegate,
                      public PaceDelegate {
 protected:
  const int node_count_ = GetParam();
  const int rank_count_ = node_count_ * kRanksPerNode;
  const int missing_ = rank_count_ * 517 / 1000;
  const int other_count_ = node_count_ - 1;  // agents that are asked

  GangScaleTest() {
    topology::WorldSpec world{.nodes = {}, .master_address = "h0"};
    for (int node = 0; node < node_count_; ++node)
      world.nodes.push_back({"h" + std::to_string(node), kRanksPerNode});
    far_.SetWorld(world, NodeIndex(0));
    for (int rank = 0; rank < rank_count_; ++rank) {
      ranks_.push_back(std::make_unique<SimRank>(agents_loop_, rank, rank_count_, kSlots));
      const bool is_here = rank < kRanksPerNode;
      watched_.push_back({.rank = Rank(rank),
                          .pid = ::getpid(),
                          .ring_fd = is_here ? ranks_.back()->fd() : -1,
                          .is_here = is_here});
    }
    for (int node = 1; node < node_count_; ++node) {
      agents_.push_back(std::make_unique<NodeWatch>(
          NodeWatch::Config{},
          NodeWatch::Deps{.loop = agents_loop_,
                          .ranks = [this, node] { return RanksOf(node); },
                          .say = [this, node](bool stands) { Say(NodeIndex(node), stands); }}));
    }
    watch_.SetFar(far_, [] { return process::TcpCounters(); });
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
    const auto late = static_cast<size_t>(missing_);
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
    for (int rank = 0; rank < rank_count_; ++rank) {
      if (rank == missing_) continue;
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

  /// What a look is to have taken, where that is told; else what it has.
  base::Duration ProcessorTime() {
    if (look_takes_ == base::Duration(0)) return is_paced_ ? ThreadTime() : base::Duration(0);
    if (std::exchange(looks_, !looks_)) told_time_ += look_takes_;
    return told_time_;
  }
  /// Of all ranks but one.
  void ExpectVictims(const Finding& finding) const {
    EXPECT_EQ(finding.victims.size(), static_cast<size_t>(rank_count_ - 1));
    EXPECT_EQ(finding.confidence, Finding::Confidence::kHigh);
  }
  void Print(const char* what) const {
    std::printf(
        "%d ranks, %s: a verdict after %.0f ms; %.2f ms of the coordinator's thread, %zu KiB\n",
        rank_count_, what, Milliseconds(decided_at_ - since_), Milliseconds(coordinator_time_),
        fetched_bytes_ >> 10);
  }
  /// From now on.
  void Measure() {
    RunFor(seconds(2));
    coordinator_time_ = {};
    since_ = loop_.Now();
  }

  void Say(NodeIndex node, bool stands) {
    ++said_count_;
    to_coordinator_.push_back([this, node, stands] { far_.OnStanding(node, stands); });
  }
  void Ask(NodeIndex node, const proto::ControlRequest& request, OnAnswer answer) {
    ++asked_count_;
    if (node == silent_) return;
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
    EXPECT_EQ(pace.ranks.size(), static_cast<size_t>(rank_count_));
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
  std::optional<NodeIndex> silent_;  // does not answer
  bool is_paced_ = kIsPaced;
  bool looks_ = false;
  base::Duration look_takes_{0}, told_time_{0};
  HangWatch watch_{{}, loop_, *this, [this] { return ProcessorTime(); }};
  PaceWatch pace_watch_{{}, loop_, watch_.paces(), *this};
  std::vector<collectives::Straggler> slow_;
  int said_count_ = 0, asked_count_ = 0;
  size_t fetched_bytes_ = 0;
  base::Duration coordinator_time_{0};
  std::vector<Finding> notices_, verdicts_;
  base::SteadyTime since_{}, decided_at_{};
};

INSTANTIATE_TEST_SUITE_P(All, GangScaleTest, ::testing::Values(8, 125), [](const auto& nodes) {
  return "Of" + std::to_string(nodes.param * kRanksPerNode);
});

TEST_P(GangScaleTest, AGangThatGoesOnCostsARequestInTenSecondsAndHardlyAnyTime) {
  constexpr int kSeconds = 20;
  for (int step = 0; step < 10 * kSeconds; ++step) {
    RunFor(milliseconds(100));
    Step();
  }
  EXPECT_EQ(said_count_, 0);
  EXPECT_EQ(asked_count_, 2 * other_count_) << "how fast it goes, in 20 s";
  EXPECT_TRUE(slow_.empty());
  EXPECT_TRUE(notices_.empty());
  EXPECT_TRUE(verdicts_.empty());
  const double each = Milliseconds(coordinator_time_) / kSeconds;
  std::printf("a healthy gang of %d ranks: %.3f ms a second, %.3f %% of a core\n", rank_count_,
              each, each / 10);
  EXPECT_LT(each, 50) << "5 % of a core; it is a thirtieth of that";
}

TEST_P(GangScaleTest, WhoIsSlowIsKnownAfterTwoWindows) {
  coordinator_time_ = {};
  constexpr int kSeconds = 32;
  for (base::Duration gone{0}; gone < seconds(kSeconds); gone += milliseconds(140)) {
    RunFor(milliseconds(100));
    StepWithALateOne();
  }
  ASSERT_EQ(slow_.size(), 1u);
  EXPECT_EQ(slow_[0].rank, Rank(missing_));
  EXPECT_EQ(slow_[0].lateness, milliseconds(30));
  EXPECT_EQ(slow_[0].victims.size(), static_cast<size_t>(rank_count_ - 1));
  EXPECT_EQ(asked_count_, kSeconds / 10 * other_count_);
  EXPECT_TRUE(notices_.empty());
  const double each = Milliseconds(coordinator_time_) / kSeconds;
  std::printf("how fast %d ranks go: %.2f ms a second, %.2f %% of a core, %zu KiB a window\n",
              rank_count_, each, each / 10, (fetched_bytes_ >> 10) / (kSeconds / 10));
  EXPECT_LT(each, 50) << "5 % of a core";
}

TEST_P(GangScaleTest, WhoIsMissingIsKnownAfterTwoLooks) {
  Measure();
  watched_[static_cast<size_t>(missing_)].ended = true;  // early, with exit status 0
  WaitForTheMissing();
  RunFor(seconds(3));

  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_[0].culprits,
            (std::vector<Finding::Culprit>{{Rank(missing_), Absence::kEndedEarly}}));
  ExpectVictims(verdicts_[0]);
  EXPECT_EQ(asked_count_, 2 * other_count_) << "two looks";
  EXPECT_LT(decided_at_ - since_, seconds(3));
  Print("ended early");
}

TEST_P(GangScaleTest, WhoIsStoppedIsKnownAfterTwoLooks) {
  const StoppedProcess stopped;
  Measure();
  watched_[static_cast<size_t>(missing_)].pid = stopped.pid();
  WaitForTheMissing();
  RunFor(seconds(3));

  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_[0].culprits,
            (std::vector<Finding::Culprit>{{Rank(missing_), Absence::kStopped}}));
  ExpectVictims(verdicts_[0]);
  EXPECT_EQ(asked_count_, 2 * other_count_) << "two looks";
  EXPECT_LT(decided_at_ - since_, seconds(3));
  Print("stopped");
}

TEST_P(GangScaleTest, WhoCallsSomethingElseIsKnownAfterALook) {
  Measure();
  for (int rank = 0; rank < rank_count_; ++rank) {
    ranks_[static_cast<size_t>(rank)]->Call(rank == missing_ ? 5 : 4);
    ranks_[static_cast<size_t>(rank)]->Wait();
  }
  RunFor(seconds(3));

  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_[0].verdict_class, Finding::Class::kMismatch);
  ASSERT_EQ(verdicts_[0].culprits.size(), 1u);
  EXPECT_EQ(verdicts_[0].culprits[0].rank, Rank(missing_));
  ExpectVictims(verdicts_[0]);
  EXPECT_EQ(asked_count_, other_count_) << "one look";
  EXPECT_LT(decided_at_ - since_, seconds(3));
  Print("another count");
}

/// As a gang does whose rank has failed: a last look, and what it tells when all have ended.
TEST_P(GangScaleTest, OfAGangWhoseRankDiesOneLookTellsWhoItWas) {
  Measure();
  WaitForTheMissing();
  WatchedRank& dead = watched_[static_cast<size_t>(missing_)];
  dead.ended = true;
  dead.signal = SIGKILL;
  watch_.TakeLastLook(watched_);
  RunFor(milliseconds(200));
  const base::Duration before = ThreadTime();
  const auto look = watch_.JudgeLastLook(watched_);
  coordinator_time_ += ThreadTime() - before;

  ASSERT_TRUE(look.has_value());
  EXPECT_EQ(look->finding.verdict_class, Finding::Class::kDeadRank);
  ASSERT_EQ(look->finding.culprits.size(), 1u);
  EXPECT_EQ(look->finding.culprits[0].rank, Rank(missing_));
  EXPECT_EQ(look->evidence.ranks.size(), static_cast<size_t>(rank_count_));
  for (const collectives::SeenRank& rank : look->evidence.ranks)
    EXPECT_FALSE(rank.ops.empty()) << rank.rank;
  EXPECT_EQ(asked_count_, other_count_) << "one look";
  EXPECT_TRUE(verdicts_.empty());
  std::printf("%d ranks, killed: %.2f ms of the coordinator's thread, %zu KiB\n", rank_count_,
              Milliseconds(coordinator_time_), fetched_bytes_ >> 10);
}

/// None of those of which nothing is known is blamed, nor anybody else.
TEST_P(GangScaleTest, OfANodeThatDoesNotAnswerNobodyIsNamed) {
  const int node = missing_ / kRanksPerNode;
  silent_ = NodeIndex(node);
  Measure();
  for (int rank = 0; rank < rank_count_; ++rank) {
    if (rank / kRanksPerNode == node) continue;
    ranks_[static_cast<size_t>(rank)]->Call();
    ranks_[static_cast<size_t>(rank)]->Wait();
  }
  RunFor(seconds(4));

  EXPECT_TRUE(verdicts_.empty());
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_EQ(notices_[0].verdict_class, Finding::Class::kUnknown);
  EXPECT_TRUE(notices_[0].culprits.empty());
  EXPECT_EQ(notices_[0].unheard.size(), static_cast<size_t>(kRanksPerNode));
}

TEST_P(GangScaleTest, ASuspicionThatLastsTakesAFewPercentOfACore) {
  Measure();
  WaitForTheMissing();  // for one that runs: a notice, and no verdict before a minute
  constexpr int kSeconds = 10;
  RunFor(seconds(kSeconds));

  ASSERT_EQ(notices_.size(), 1u);
  ASSERT_EQ(notices_[0].culprits.size(), 1u);
  EXPECT_EQ(notices_[0].culprits[0].rank, Rank(missing_));
  EXPECT_TRUE(verdicts_.empty());
  EXPECT_LE(asked_count_, 4 * kSeconds * other_count_);
  const double each = Milliseconds(coordinator_time_) / kSeconds;
  std::printf("%d ranks, a suspicion that lasts: %d looks in %d s, %.2f %% of a core\n",
              rank_count_, asked_count_ / other_count_, kSeconds, each / 10);
  if (kIsPaced) {
    EXPECT_LT(each, 100) << "5 % of a core, and what messages take on a busy machine";
  }
}

using GangOf64Test = GangScaleTest;
INSTANTIATE_TEST_SUITE_P(All, GangOf64Test, ::testing::Values(8));

/// The same by counts, whatever a look takes here.
TEST_P(GangOf64Test, LooksThatTakeLongAreSoMuchFewer) {
  look_takes_ = milliseconds(20);
  Measure();
  WaitForTheMissing();
  told_time_ = {};
  constexpr int kSeconds = 20;
  RunFor(seconds(kSeconds));

  EXPECT_EQ(notices_.size(), 1u);
  EXPECT_GE(told_time_, seconds(kSeconds) / 40) << "it does look";
  EXPECT_LE(told_time_, seconds(kSeconds) / 20 + 2 * look_takes_) << "5 % of a core";
}

}  // namespace
}  // namespace lockstep::launcher
