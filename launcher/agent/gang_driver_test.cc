// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/gang_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>

#include "launcher/agent/rank_processes.h"
#include "runtime/base/random.h"
#include "runtime/event/sim_loop.h"
#include "runtime/process/sim_processes.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

std::string NameOf(const elastic::RankProcess& process) {
  return "rank-" + process.rank.ToString() + "-" + process.incarnation.ToString();
}

/// An agent with nothing around its processes: it counts, and keeps what the gang told it.
class FakeAgent final : public GangDelegate, public RankHooks {
 public:
  FakeAgent(const elastic::GangConfig& config, uint64_t seed)
      : processes_(loop_, seed),
        driver_(config, {loop_, *this}),
        ranks_({loop_, processes_, *this, driver_}),
        rank_count_(config.rank_count) {}

  void Start() {
    driver_.Start(std::vector<NodeRanks*>(static_cast<size_t>(rank_count_), &ranks_));
  }

  base::Status BeginRound(base::Round, int restart_count) override {
    rounds_begun_.push_back(restart_count);
    EXPECT_EQ(processes_.AliveCount(), 0) << "a round began beside processes of the last";
    return base::OkStatus();
  }
  base::Result<PreparedSpawn> Prepare(const elastic::RankProcess& process) override {
    if (process.rank == unpreparable_) return base::ResourceExhaustedError("no descriptors");
    PreparedSpawn prepared;
    prepared.spec.name = NameOf(process);
    prepared.spec.arguments = {"train"};
    return prepared;
  }
  void OnRankSpawned(const elastic::RankProcess&, pid_t) override { ++spawned_; }
  void OnRankSpawnFailed(const elastic::RankProcess&, const base::Status&) override {
    ++spawn_failures_;
  }
  RankEnd OnRankExited(const elastic::RankProcess&, pid_t, const process::Exit& exit) override {
    RankEnd end;
    end.exit = {exit.code, exit.signal, exit.out_of_memory, exit.ToString()};
    end.evidence.stderr_lines = {exit.ToString()};
    return end;
  }
  void OnRanksSignalled(int, bool, const std::vector<elastic::RankProcess>&) override {}
  void OnStopRequested(base::Duration) override {}
  void OnSurvivorsGoOn(base::Round next, const std::vector<elastic::GoneRank>& gone) override {
    told_.push_back({next, gone});
  }
  void OnRoundGone() override {}

  void OnRoundBegins(const elastic::SpawnRanks&) override {}
  void OnAllSpawned() override {
    EXPECT_FALSE(job_.has_value()) << "the end of the job is the last that is told";
    ++gangs_spawned_;
  }
  void PersistRestarts(int used) override { persisted_ = used; }
  void OnNotice(const elastic::Notice&) override {}
  void OnRoundEnded(const elastic::RoundOutcome& outcome,
                    std::map<base::Rank, RankEvidence> evidence) override {
    rounds_.push_back(outcome);
    if (outcome.culprit && outcome.end == elastic::RoundEnd::kRankFailed) {
      EXPECT_THAT(evidence[*outcome.culprit].stderr_lines, ::testing::SizeIs(1));
    }
  }
  void OnSurvivorsGoOn(const elastic::RoundOutcome& outcome,
                       const std::vector<elastic::GoneRank>& gone,
                       std::map<base::Rank, RankEvidence> evidence) override {
    EXPECT_EQ(told_.size(), survived_.size()) << "the coordinator first, then the nodes";
    survived_.push_back({outcome.next_round, gone});
    EXPECT_EQ(evidence.contains(*outcome.culprit), outcome.end == elastic::RoundEnd::kRankFailed);
  }
  void OnJobEnded(const elastic::JobOutcome& outcome) override {
    EXPECT_FALSE(job_.has_value()) << "a job ends once";
    job_ = outcome;
  }

  bool RunToEnd(base::Duration at_most = 1h) {
    return loop_.RunUntil([this] { return job_.has_value(); }, at_most);
  }

  event::SimLoop loop_;
  process::SimProcesses processes_;
  GangDriver driver_;
  RankProcesses ranks_;
  const int rank_count_;
  std::vector<int> rounds_begun_;
  std::vector<elastic::RoundOutcome> rounds_;
  using Survived = std::pair<base::Round, std::vector<elastic::GoneRank>>;
  std::vector<Survived> told_;      // by the node
  std::vector<Survived> survived_;  // by the driver
  std::optional<elastic::JobOutcome> job_;
  std::optional<base::Rank> unpreparable_;
  int spawned_ = 0;
  int spawn_failures_ = 0;
  int gangs_spawned_ = 0;
  int persisted_ = 0;
};

process::SimProgram EndsAfter(base::Duration time, int code) {
  process::SimProgram program;
  program.runs_for = time;
  program.ends_with.code = code;
  return program;
}

TEST(GangDriverTest, AllExitZeroIsSuccess) {
  FakeAgent agent({.rank_count = 3}, 1);
  for (int rank = 0; rank < 3; ++rank)
    agent.processes_.SetProgram("rank-" + std::to_string(rank) + "-0", EndsAfter(1s, 0));

  agent.Start();

  ASSERT_TRUE(agent.RunToEnd());
  EXPECT_EQ(agent.job_->decision, elastic::Decision::kSucceeded);
  EXPECT_EQ(agent.processes_.AliveCount(), 0);
}

TEST(GangDriverTest, FirstFailureTakesTheGangDownWithinItsGrace) {
  FakeAgent agent({.rank_count = 3, .peer_failure_grace = 2s}, 2);
  agent.processes_.SetProgram("rank-1-0", EndsAfter(1s, 7));
  process::SimProgram stubborn;
  stubborn.ignores_term = true;
  stubborn.leaves_descendants = true;
  agent.processes_.SetProgram("rank-2-0", stubborn);
  const base::SteadyTime start = agent.loop_.Now();

  agent.Start();

  ASSERT_TRUE(agent.RunToEnd());
  EXPECT_EQ(agent.rounds_.at(0).culprit, base::Rank(1));
  EXPECT_LT(agent.loop_.Now() - start, 3100ms);
  EXPECT_EQ(agent.processes_.AliveCount(), 0);
}

TEST(GangDriverTest, SurvivorsAreToldWhoIsGoneAndGoOn) {
  FakeAgent agent({.rank_count = 3, .keep_survivors = true}, 2);
  agent.processes_.SetProgram("rank-0-0", EndsAfter(5s, 0));
  process::SimProgram killed = EndsAfter(1s, 0);
  killed.ends_with.signal = 9;
  killed.leaves_descendants = true;
  agent.processes_.SetProgram("rank-1-0", killed);
  agent.processes_.SetProgram("rank-2-0", EndsAfter(5s, 0));

  agent.Start();

  ASSERT_TRUE(agent.loop_.RunUntil([&agent] { return !agent.told_.empty(); }, 1h));
  EXPECT_EQ(agent.told_[0].first, base::Round(1));
  EXPECT_THAT(agent.told_[0].second,
              ElementsAre(elastic::GoneRank{base::Rank(1), "killed by signal 9 (SIGKILL)"}));
  EXPECT_EQ(agent.survived_, agent.told_);
  ASSERT_TRUE(agent.RunToEnd());
  EXPECT_EQ(agent.job_->decision, elastic::Decision::kSucceeded);
  EXPECT_EQ(agent.processes_.AliveCount(), 0);
}

TEST(GangDriverTest, ARankThatAnotherOneGivesUpIsKilled) {
  FakeAgent agent({.rank_count = 2, .keep_survivors = true}, 2);
  agent.processes_.SetProgram("rank-0-0", EndsAfter(5s, 0));
  agent.Start();
  ASSERT_TRUE(agent.loop_.RunUntil([&agent] { return agent.gangs_spawned_ == 1; }, 1h));

  agent.driver_.OnAccused({base::Rank(0), base::Incarnation(0)}, {base::Rank(1), "it hangs"});

  ASSERT_EQ(agent.told_.size(), 1u);
  EXPECT_THAT(agent.told_[0].second,
              ElementsAre(elastic::GoneRank{base::Rank(1), "given up by rank 0: it hangs"}));
  ASSERT_TRUE(agent.RunToEnd());
  EXPECT_EQ(agent.job_->decision, elastic::Decision::kSucceeded);
}

TEST(GangDriverTest, RestartsUntilTheBudgetIsUsed) {
  FakeAgent agent({.rank_count = 2, .max_restarts = 2, .peer_failure_grace = 0s}, 3);
  for (const char* name : {"rank-0-0", "rank-0-1", "rank-0-2"})
    agent.processes_.SetProgram(name, EndsAfter(1s, 5));

  agent.Start();

  ASSERT_TRUE(agent.RunToEnd());
  EXPECT_EQ(agent.job_->decision, elastic::Decision::kOutOfRestarts);
  EXPECT_THAT(agent.rounds_begun_, ElementsAre(0, 1, 2));
  EXPECT_EQ(agent.persisted_, 2);
}

TEST(GangDriverTest, FailedSpawnCancelsTheRestOfTheRound) {
  FakeAgent agent({.rank_count = 100}, 4);
  process::SimProgram missing;
  missing.spawn = base::NotFoundError("no such program");
  agent.processes_.SetProgram("rank-1-0", missing);
  agent.processes_.SetProgram("rank-3-0", missing);

  agent.Start();

  ASSERT_TRUE(agent.RunToEnd());
  EXPECT_EQ(agent.rounds_.at(0).end, elastic::RoundEnd::kLaunchFailed);
  EXPECT_EQ(agent.rounds_.at(0).culprit, base::Rank(1));
  EXPECT_EQ(agent.rounds_.at(0).ranks.at(3).error.code(), base::Code::kCancelled);
  EXPECT_EQ(agent.spawn_failures_, 1) << "what follows from it is not told again";
  EXPECT_LT(agent.spawned_, 98) << "those that went with it side by side, and no more";
  EXPECT_EQ(agent.processes_.AliveCount(), 0);
}

TEST(GangDriverTest, ProcessThatCannotBePreparedFailsTheRoundBesideThoseBeforeIt) {
  FakeAgent agent({.rank_count = 4}, 4);
  agent.unpreparable_ = base::Rank(2);

  agent.Start();

  ASSERT_TRUE(agent.RunToEnd());
  EXPECT_EQ(agent.rounds_.at(0).end, elastic::RoundEnd::kLaunchFailed);
  EXPECT_EQ(agent.rounds_.at(0).culprit, base::Rank(2));
  EXPECT_EQ(agent.spawned_, 2);
  EXPECT_EQ(agent.spawn_failures_, 1);
  EXPECT_EQ(agent.gangs_spawned_, 0);
  EXPECT_EQ(agent.processes_.AliveCount(), 0);
}

TEST(GangDriverTest, AStopIsHeardWhileAGreatGangIsBeingSpawned) {
  FakeAgent agent({.rank_count = 1000}, 4);
  agent.Start();
  EXPECT_LT(agent.spawned_, 100) << "the loop gets its turn in between";

  agent.driver_.RequestStop(SIGTERM, false, 30s);

  ASSERT_TRUE(agent.RunToEnd());
  EXPECT_LT(agent.spawned_, 100);
  EXPECT_EQ(agent.job_->decision, elastic::Decision::kStoppedByUser);
  EXPECT_EQ(agent.processes_.AliveCount(), 0);
}

TEST(GangDriverTest, ADeathWhileTheRestIsSpawnedIsTheRootCause) {
  FakeAgent agent({.rank_count = 100, .peer_failure_grace = 0s}, 4);
  process::SimProgram crashes = EndsAfter(0s, 0);
  crashes.ends_with.signal = SIGSEGV;
  agent.processes_.SetProgram("rank-3-0", crashes);

  agent.Start();

  ASSERT_TRUE(agent.RunToEnd());
  EXPECT_EQ(agent.rounds_.at(0).end, elastic::RoundEnd::kRankFailed);
  EXPECT_EQ(agent.rounds_.at(0).culprit, base::Rank(3));
  EXPECT_EQ(agent.processes_.AliveCount(), 0);
}

TEST(GangDriverTest, AGreatGangThatCannotStartIsNeverToldToRun) {
  FakeAgent agent({.rank_count = 100}, 4);
  process::SimProgram missing;
  missing.spawn = base::NotFoundError("no such program");
  for (int rank = 0; rank < 100; ++rank) {
    agent.processes_.SetProgram("rank-" + std::to_string(rank) + "-0", missing);
  }

  agent.Start();

  ASSERT_TRUE(agent.RunToEnd());
  EXPECT_EQ(agent.gangs_spawned_, 0);
  EXPECT_EQ(agent.spawn_failures_, 1);
}

// A node whose lease ended while the gang was ending the round killed its ranks a second time, and
// its agent aborted ("KillAll() while one is pending").
TEST(GangDriverTest, ProcessesThatAreKilledTwiceAreAnsweredOnce) {
  FakeAgent agent({.rank_count = 2}, 6);
  agent.Start();
  const elastic::RankProcess process{base::Rank(1), base::Incarnation(0)};
  agent.driver_.RequestStop(SIGINT, true, 0s);

  agent.ranks_.KillTrees({process}, 1s);

  ASSERT_TRUE(agent.RunToEnd());
  EXPECT_EQ(agent.job_->decision, elastic::Decision::kStoppedByUser);
  EXPECT_EQ(agent.processes_.AliveCount(), 0);
}

TEST(GangDriverTest, StopDuringBackoffEndsTheJob) {
  FakeAgent agent({.rank_count = 1, .max_restarts = 5, .peer_failure_grace = 0s}, 5);
  agent.processes_.SetProgram("rank-0-0", EndsAfter(1s, 5));
  agent.processes_.SetProgram("rank-0-1", EndsAfter(1s, 6));
  agent.Start();
  ASSERT_TRUE(agent.loop_.RunUntil(
      [&] { return agent.driver_.state().phase == elastic::Phase::kBackingOff; }, 1h));

  agent.driver_.RequestStop(SIGTERM, false, 30s);

  EXPECT_EQ(agent.job_->decision, elastic::Decision::kStoppedByUser);
}

/// A rank's life in a random schedule.
process::SimProgram RandomProgram(base::Random& random) {
  process::SimProgram program;
  if (random.Below(3) != 0) program.runs_for = std::chrono::milliseconds(random.Below(5000));
  if (random.Below(3) == 0) program.ends_with.code = static_cast<int>(random.Below(4));
  if (random.Below(10) == 0) program.ends_with.signal = SIGKILL;
  program.ignores_term = random.Below(4) == 0;
  program.term_takes = std::chrono::milliseconds(random.Below(3000));
  program.leaves_descendants = random.Below(4) == 0;
  if (random.Below(20) == 0) program.spawn = base::ResourceExhaustedError("process limit");
  return program;
}

TEST(GangDriverTest, EveryRandomScheduleEndsOnceWithNothingLeft) {
  const uint64_t schedules = std::getenv("LOCKSTEP_SOAK") != nullptr ? 100'000 : 1'000;
  for (uint64_t seed = 0; seed < schedules; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Random random(seed);
    const int ranks = 1 + static_cast<int>(random.Below(6));
    const int restarts = static_cast<int>(random.Below(4));
    FakeAgent agent({.rank_count = ranks, .max_restarts = restarts, .seed = seed}, seed);
    // Incarnations count up over all rounds, so every process that can ever be spawned gets its own
    // script.
    for (int rank = 0; rank < ranks; ++rank) {
      for (int incarnation = 0; incarnation < ranks * (restarts + 1); ++incarnation) {
        agent.processes_.SetProgram(
            "rank-" + std::to_string(rank) + "-" + std::to_string(incarnation),
            RandomProgram(random));
      }
    }
    agent.Start();
    const event::Registration stop =
        agent.loop_.After(std::chrono::milliseconds(random.Below(20'000)), [&] {
          if (!agent.job_)
            agent.driver_.RequestStop(random.Below(2) == 0 ? SIGINT : SIGTERM, random.Below(4) == 0,
                                      30s);
        });

    ASSERT_TRUE(agent.RunToEnd());
    ASSERT_EQ(agent.processes_.AliveCount(), 0);
    ASSERT_LE(agent.job_->restarts_used, restarts);
    ASSERT_EQ(agent.rounds_.size(), agent.rounds_begun_.size());
  }
}

}  // namespace
}  // namespace lockstep::launcher
