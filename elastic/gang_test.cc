// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/gang.h"

#include <gtest/gtest.h>

#include <csignal>
#include <utility>

namespace lockstep::elastic {
namespace {

using base::Rank;
using base::SteadyTime;
using Life = RankRecord::Life;
using namespace std::chrono_literals;

const RankExit kExit0{};
const RankExit kExit1{.exit_code = 1};
const RankExit kKilled{.signal = SIGKILL};
const RankExit kTermed{.signal = SIGTERM};

/// Feeds events to a gang at a time of its own and keeps the actions of the last one.
class Gang {
 public:
  explicit Gang(const GangConfig& config) : state_(config) {}

  template <class What>
  Gang& On(What what) {
    StepResult result = Step(std::move(state_), {now_, std::move(what)});
    state_ = std::move(result.state);
    actions_ = std::move(result.actions);
    return *this;
  }
  Gang& After(base::Duration delay) {
    now_ += delay;
    return *this;
  }
  /// Start, and every rank spawned.
  Gang& Run() {
    On(Start{});
    return SpawnAll();
  }
  Gang& SpawnAll() {
    for (int rank = 0; rank < state_.config.rank_count; ++rank)
      On(RankSpawned{Of(rank), 100 + rank});
    return *this;
  }
  Gang& Exit(int rank, RankExit exit) { return On(RankExited{Of(rank), std::move(exit)}); }
  /// The node of these ranks is lost.
  Gang& Lose(int node, const std::vector<int>& ranks) {
    RanksLost event{.node = base::NodeIndex(node),
                    .why = base::UnavailableError("node " + std::to_string(node) + " was lost")};
    for (const int rank : ranks) event.ranks.push_back(Rank(rank));
    return On(std::move(event));
  }
  Gang& Gone(int rank) { return On(RankGone{Of(rank)}); }
  Gang& GoneAll() {
    for (int rank = 0; rank < state_.config.rank_count; ++rank) {
      if (!state_.ranks[static_cast<size_t>(rank)].tree_gone) Gone(rank);
      if (Get<RoundEnded>() != nullptr) break;  // those behind it were gone before
    }
    return *this;
  }
  /// Fires a timer as it was last set.
  Gang& Fire(Timer timer) { return On(TimerFired{timer, state_.armed[static_cast<int>(timer)]}); }
  /// A rank is killed, the others obey TERM, nothing is left: one failed round.
  Gang& FailRound(int culprit, RankExit exit = kKilled) {
    Exit(culprit, std::move(exit));
    if (phase() == Phase::kSettling) Fire(Timer::kSettle);
    for (int rank = 0; rank < state_.config.rank_count; ++rank) {
      if (rank != culprit) Exit(rank, kTermed);
    }
    return GoneAll();
  }

  RankProcess Of(int rank) const {
    return {Rank(rank), state_.ranks.empty() ? base::Incarnation(state_.round.value())
                                             : state_.ranks[0].process.incarnation};
  }
  Phase phase() const { return state_.phase; }
  SteadyTime now() const { return now_; }
  const GangState& state() const { return state_; }
  const std::vector<Action>& actions() const { return actions_; }

  /// The one action of that type in the last step.
  template <class T>
  const T* Get() const {
    const T* found = nullptr;
    for (const Action& action : actions_) {
      if (const T* one = std::get_if<T>(&action)) {
        EXPECT_EQ(found, nullptr) << "two actions of one type";
        found = one;
      }
    }
    return found;
  }
  /// Signals to leaders in the last step, in order.
  std::vector<int> LeaderSignals() const {
    std::vector<int> signals;
    for (const Action& action : actions_) {
      if (const auto* one = std::get_if<SignalLeaders>(&action)) signals.push_back(one->signal);
    }
    return signals;
  }

 private:
  GangState state_;
  SteadyTime now_{1s};
  std::vector<Action> actions_;
};

std::vector<int> Ranks(const std::vector<RankProcess>& processes) {
  std::vector<int> ranks;
  for (const RankProcess& process : processes) ranks.push_back(process.rank.value());
  return ranks;
}

using Ints = std::vector<int>;

// ---------------------------------------- a round that succeeds

TEST(GangTest, StartSpawnsEveryRankOfRoundZero) {
  Gang gang({.rank_count = 3});
  gang.On(Start{});

  ASSERT_NE(gang.Get<SpawnRanks>(), nullptr);
  EXPECT_EQ(gang.Get<SpawnRanks>()->round, base::Round(0));
  EXPECT_EQ(gang.Get<SpawnRanks>()->restart_count, 0);
  EXPECT_EQ(Ranks(gang.Get<SpawnRanks>()->processes), (Ints{0, 1, 2}));
  EXPECT_EQ(gang.phase(), Phase::kStarting);
  gang.SpawnAll();
  EXPECT_EQ(gang.phase(), Phase::kRunning);
  gang.On(Start{});
  EXPECT_TRUE(gang.actions().empty());
}

TEST(GangTest, AllExitedZeroKillsWhatTheyLeftAndSucceeds) {
  Gang gang({.rank_count = 2});
  gang.Run().Exit(0, kExit0);
  EXPECT_EQ(gang.Get<KillTrees>(), nullptr) << "a finished rank's helpers may serve its siblings";
  gang.Exit(1, kExit0);
  ASSERT_NE(gang.Get<KillTrees>(), nullptr);
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{0, 1}));
  EXPECT_EQ(gang.Gone(0).Get<JobEnded>(), nullptr);
  gang.Gone(1);

  ASSERT_NE(gang.Get<RoundEnded>(), nullptr);
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kSucceeded);
  ASSERT_NE(gang.Get<JobEnded>(), nullptr);
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kSucceeded);
  EXPECT_EQ(gang.phase(), Phase::kDone);
}

TEST(GangTest, RankThatExitsWhileOthersAreBeingSpawnedCounts) {
  Gang gang({.rank_count = 2});
  gang.On(Start{}).On(RankSpawned{gang.Of(0), 100}).Exit(0, kExit0);
  gang.On(RankSpawned{gang.Of(1), 101}).Exit(1, kExit0).GoneAll();

  ASSERT_NE(gang.Get<JobEnded>(), nullptr);
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kSucceeded);
}

TEST(GangTest, TreeThatIsGoneBeforeItsLeadersExitIsReportedWaitsForIt) {
  Gang gang({.rank_count = 1, .peer_failure_grace = 0s, .user_stop_grace = 0s});
  gang.Run().On(StopRequested{SIGTERM});
  gang.Gone(0);
  EXPECT_EQ(gang.Get<JobEnded>(), nullptr);
  gang.Exit(0, kKilled);
  EXPECT_NE(gang.Get<JobEnded>(), nullptr);
}

// ---------------------------------------- teardown

TEST(GangTest, KilledRankBringsTheLadderDownOnItsPeersAtOnce) {
  Gang gang({.rank_count = 3});
  gang.Run().Exit(1, kKilled);

  EXPECT_EQ(gang.phase(), Phase::kTerminating);
  EXPECT_EQ(gang.LeaderSignals(), (Ints{SIGTERM, SIGCONT}));
  EXPECT_EQ(Ranks(std::get<SignalLeaders>(gang.actions()[0]).processes), (Ints{0, 2}));
  ASSERT_NE(gang.Get<SetTimer>(), nullptr);
  EXPECT_EQ(gang.Get<SetTimer>()->timer, Timer::kGrace);
  EXPECT_EQ(gang.Get<SetTimer>()->due, SteadyTime(1s + 2s));

  gang.Exit(0, kExit0);
  EXPECT_EQ(gang.Get<KillTrees>(), nullptr);
  gang.Exit(2, kTermed);
  ASSERT_NE(gang.Get<KillTrees>(), nullptr) << "as soon as the last leader has ended";
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{0, 1, 2}));
  gang.GoneAll();

  const RoundOutcome& outcome = gang.Get<RoundEnded>()->outcome;
  EXPECT_EQ(outcome.end, RoundEnd::kRankFailed);
  EXPECT_EQ(outcome.culprit, Rank(1));
  EXPECT_FALSE(outcome.ranks[0].ended_before_signal) << "an exit 0 on TERM is a victim's";
  EXPECT_EQ(outcome.decision, Decision::kOutOfRestarts);
}

TEST(GangTest, GraceThatPassesIsFollowedByKill) {
  Gang gang({.rank_count = 2, .kill_deadline = 7s});
  gang.Run().Exit(1, kKilled).After(2s).Fire(Timer::kGrace);

  ASSERT_NE(gang.Get<KillTrees>(), nullptr);
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{0, 1}));
  EXPECT_EQ(gang.Get<KillTrees>()->deadline, 7s);
}

TEST(GangTest, GraceOfZeroKillsWithoutATerm) {
  Gang gang({.rank_count = 2, .peer_failure_grace = 0s});
  gang.Run().Exit(1, kKilled);

  EXPECT_TRUE(gang.LeaderSignals().empty());
  EXPECT_NE(gang.Get<KillTrees>(), nullptr);
}

TEST(GangTest, TimerOfAnOldGenerationIsIgnored) {
  Gang gang({.rank_count = 2});
  gang.Run().Exit(1, kKilled);
  const uint64_t armed = gang.state().armed[static_cast<int>(Timer::kGrace)];

  gang.On(TimerFired{Timer::kGrace, armed - 1});
  EXPECT_TRUE(gang.actions().empty());
  EXPECT_EQ(gang.phase(), Phase::kTerminating);
  gang.On(TimerFired{Timer::kGrace, 0}).On(TimerFired{Timer::kBackoff, 0});
  EXPECT_EQ(gang.phase(), Phase::kTerminating);
}

TEST(GangTest, ProcessesThatDoNotDieEndTheJobInPlaceOfARestart) {
  Gang gang({.rank_count = 2, .max_restarts = 3, .peer_failure_grace = 0s});
  gang.Run().Exit(1, kKilled).Gone(1);
  gang.On(KillFailed{gang.Of(0), base::DeadlineExceededError("pid 100 sleeps in D")});

  ASSERT_NE(gang.Get<Notice>(), nullptr);
  EXPECT_EQ(gang.Get<Notice>()->kind, Notice::Kind::kUnkillable);
  ASSERT_NE(gang.Get<JobEnded>(), nullptr);
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kUnkillable);
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.ranks[0].life, Life::kUnkillable);
  gang.Exit(0, kKilled);
  EXPECT_TRUE(gang.actions().empty());
}

// ---------------------------------------- root cause

TEST(GangTest, ExitCodeWaitsForTheTieWindowBeforeAnybodyIsSignalled) {
  Gang gang({.rank_count = 3});
  gang.Run().Exit(1, kExit1);

  EXPECT_EQ(gang.phase(), Phase::kSettling);
  EXPECT_TRUE(gang.LeaderSignals().empty());
  EXPECT_EQ(gang.Get<SetTimer>()->due, SteadyTime(1s + 20ms));
  gang.After(20ms).Fire(Timer::kSettle);
  EXPECT_EQ(gang.LeaderSignals(), (Ints{SIGTERM, SIGCONT}));
  EXPECT_EQ(gang.state().culprit, Rank(1));
}

TEST(GangTest, KillRightBehindAPeersErrorIsTheCulprit) {
  Gang gang({.rank_count = 3});
  gang.Run().Exit(0, kExit1).After(1ms).Exit(1, kKilled);

  EXPECT_EQ(gang.phase(), Phase::kTerminating) << "a strong failure waits for nothing";
  EXPECT_EQ(gang.state().culprit, Rank(1));
}

TEST(GangTest, NewsThatWasOvertakenStillNamesTheRankThatFailedFirst) {
  Gang gang({.rank_count = 3, .peer_failure_grace = 2s});
  gang.Run().After(1s);
  const SteadyTime failed = gang.now();
  gang.After(30ms).Exit(2, kKilled);
  ASSERT_EQ(gang.phase(), Phase::kTerminating);
  // 20 ms before the other, and known to 5 ms.
  gang.After(10ms).On(RankExited{gang.Of(1), kKilled, EventTime{failed + 10ms, 5ms}});
  EXPECT_EQ(gang.phase(), Phase::kTerminating) << "the teardown goes on as it was";
  gang.Exit(0, kTermed).GoneAll();

  const RoundEnded* ended = gang.Get<RoundEnded>();
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->outcome.culprit, Rank(1));
  EXPECT_EQ(ended->outcome.failed_at, failed + 10ms);
}

TEST(GangTest, TimesThatAreNotSureDoNotChangeTheOrder) {
  Gang gang({.rank_count = 3});
  gang.Run().After(1s);
  const SteadyTime failed = gang.now();
  gang.Exit(2, kKilled);
  // Perhaps before it, perhaps behind it; and certainly behind the signal that it was ended by.
  gang.After(10ms).On(RankExited{gang.Of(1), kKilled, EventTime{failed - 4ms, 5ms}});
  gang.On(RankExited{gang.Of(0), kTermed, EventTime{failed + 9ms, 5ms}}).GoneAll();

  ASSERT_NE(gang.Get<RoundEnded>(), nullptr);
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.culprit, Rank(2));
}

TEST(GangTest, AnEarlierFailureThatSaysLessIsNotTheCulprit) {
  Gang gang({.rank_count = 2});
  gang.Run().After(1s);
  gang.Exit(1, kKilled);
  gang.After(10ms).On(RankExited{gang.Of(0), {.exit_code = 1}, EventTime{gang.now() - 900ms, 1ms}});
  gang.GoneAll();

  ASSERT_NE(gang.Get<RoundEnded>(), nullptr);
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.culprit, Rank(1));
}

TEST(GangTest, TimesThatCannotBeAreCutToTheRound) {
  Gang gang({.rank_count = 2});
  gang.Run().After(1s);
  gang.On(RankExited{gang.Of(1), kKilled, EventTime{SteadyTime::min(), base::Duration::max()}});
  gang.On(RankExited{gang.Of(0), kKilled, EventTime{SteadyTime::max(), base::Duration::min()}});
  gang.GoneAll();

  ASSERT_NE(gang.Get<RoundEnded>(), nullptr);
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.culprit, Rank(1));
  EXPECT_GE(gang.Get<RoundEnded>()->outcome.failed_at, gang.Get<RoundEnded>()->outcome.started_at);
}

TEST(GangTest, OfTwoEqualFailuresTheFirstIsTheCulprit) {
  Gang gang({.rank_count = 4});
  gang.Run()
      .Exit(2, kExit1)
      .After(1ms)
      .Exit(0, {.exit_code = 7})
      .After(1ms)
      .Exit(3, {.signal = SIGABRT});
  gang.Fire(Timer::kSettle);

  EXPECT_EQ(gang.state().culprit, Rank(2));
}

TEST(GangTest, AbortAndBrokenPipeAreAsWeakAsAnExitCode) {
  for (const int signal : {SIGABRT, SIGPIPE}) {
    Gang gang({.rank_count = 2});
    EXPECT_EQ(gang.Run().Exit(0, {.signal = signal}).phase(), Phase::kSettling);
  }
  for (const int signal : {SIGKILL, SIGSEGV, SIGTERM, SIGBUS}) {
    Gang gang({.rank_count = 2});
    EXPECT_EQ(gang.Run().Exit(0, {.signal = signal}).phase(), Phase::kTerminating);
  }
}

TEST(GangTest, OutOfMemoryWithinTheWindowIsTheCulprit) {
  Gang gang({.rank_count = 3});
  gang.Run().Exit(0, kExit1).Exit(2, {.signal = SIGKILL, .out_of_memory = true});

  EXPECT_EQ(gang.state().culprit, Rank(2));
}

TEST(GangTest, WhatEndsAfterOurSignalIsNeverTheCulprit) {
  Gang gang({.rank_count = 3});
  gang.Run().Exit(0, kKilled).After(1ms).Exit(1, {.signal = SIGKILL, .out_of_memory = true});
  gang.Exit(2, kTermed).GoneAll();

  const RoundOutcome& outcome = gang.Get<RoundEnded>()->outcome;
  EXPECT_EQ(outcome.culprit, Rank(0));
  EXPECT_FALSE(outcome.ranks[1].failed());
}

TEST(GangTest, NobodyLeftToSignalNeedsNoWindow) {
  Gang gang({.rank_count = 2});
  gang.Run().Exit(0, kExit0).Exit(1, kExit1);

  EXPECT_EQ(gang.phase(), Phase::kKilling);
  gang.GoneAll();
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.culprit, Rank(1));
}

TEST(GangTest, PeersThatFinishWithinTheWindowDoNotHideTheFailure) {
  Gang gang({.rank_count = 2});
  gang.Run().Exit(0, kExit1).Exit(1, kExit0).GoneAll();

  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kRankFailed);
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.culprit, Rank(0));
}

// ---------------------------------------- launch failures

TEST(GangTest, MissingProgramEndsTheJobWithoutARestart) {
  Gang gang({.rank_count = 3, .max_restarts = 3});
  gang.On(Start{})
      .On(RankSpawned{gang.Of(0), 100})
      .On(SpawnFailed{gang.Of(1), base::NotFoundError("no ./train")});
  EXPECT_EQ(gang.LeaderSignals(), (Ints{SIGTERM, SIGCONT}));
  gang.On(SpawnFailed{gang.Of(2), base::CancelledError("not begun")}).Exit(0, kTermed);
  ASSERT_NE(gang.Get<KillTrees>(), nullptr);
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{0}));
  gang.Gone(0);

  const RoundOutcome& outcome = gang.Get<RoundEnded>()->outcome;
  EXPECT_EQ(outcome.end, RoundEnd::kLaunchFailed);
  EXPECT_EQ(outcome.culprit, Rank(1));
  EXPECT_EQ(outcome.decision, Decision::kCannotLaunch);
}

TEST(GangTest, LaunchThatFailsForLackOfProcessesIsTriedAgain) {
  Gang gang({.rank_count = 1, .max_restarts = 1});
  gang.On(Start{}).On(SpawnFailed{gang.Of(0), base::ResourceExhaustedError("fork: EAGAIN")});

  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.decision, Decision::kRestart);
  EXPECT_NE(gang.Get<SpawnRanks>(), nullptr);
}

TEST(GangTest, RankSpawnedIntoATeardownIsTakenDownToo) {
  Gang gang({.rank_count = 2});
  gang.On(Start{}).On(RankSpawned{gang.Of(0), 100}).Exit(0, kKilled);
  EXPECT_EQ(gang.phase(), Phase::kTerminating);
  gang.On(RankSpawned{gang.Of(1), 101});
  EXPECT_EQ(gang.LeaderSignals(), (Ints{SIGTERM, SIGCONT}));
  gang.Fire(Timer::kGrace);
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{0, 1}));

  Gang at_once({.rank_count = 2, .peer_failure_grace = 0s});
  at_once.On(Start{})
      .On(RankSpawned{at_once.Of(0), 100})
      .Exit(0, kKilled)
      .On(RankSpawned{at_once.Of(1), 101});
  EXPECT_EQ(Ranks(at_once.Get<KillTrees>()->processes), (Ints{1}));
}

// ---------------------------------------- stops by the user

TEST(GangTest, StopGivesRanksTheUsersGraceAndBlamesNobody) {
  Gang gang({.rank_count = 2, .max_restarts = 3});
  gang.Run().On(StopRequested{SIGINT});

  EXPECT_EQ(gang.LeaderSignals(), (Ints{SIGTERM, SIGCONT}));
  EXPECT_EQ(gang.Get<SetTimer>()->due, SteadyTime(1s + 30s));
  gang.Exit(0, kExit1).Exit(1, kTermed).GoneAll();
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kStoppedByUser);
  EXPECT_FALSE(gang.Get<RoundEnded>()->outcome.culprit.has_value());
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kStoppedByUser);
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.stop_signal, SIGINT);
}

TEST(GangTest, SecondInterruptKillsAtOnceButASecondTermDoesNot) {
  for (const int second : {SIGINT, SIGQUIT}) {
    Gang gang({.rank_count = 1});
    EXPECT_EQ(gang.Run().On(StopRequested{SIGTERM}).On(StopRequested{second}).phase(),
              Phase::kKilling);
    EXPECT_EQ(gang.state().stop_signal, SIGTERM);
  }
  for (const int second : {SIGTERM, SIGHUP}) {
    Gang gang({.rank_count = 1});
    EXPECT_EQ(gang.Run().On(StopRequested{SIGINT}).On(StopRequested{second}).phase(),
              Phase::kTerminating);
  }
  Gang gang({.rank_count = 1});
  EXPECT_EQ(gang.Run().On(StopRequested{SIGTERM}).On(StopRequested{SIGTERM, true}).phase(),
            Phase::kKilling);
}

TEST(GangTest, StopAtOnceSkipsTheTerm) {
  Gang gang({.rank_count = 1});
  gang.Run().On(StopRequested{SIGTERM, true});

  EXPECT_TRUE(gang.LeaderSignals().empty());
  EXPECT_EQ(gang.phase(), Phase::kKilling);
}

TEST(GangTest, StopDuringAFailuresTeardownTakesThePlaceOfTheRestart) {
  Gang gang({.rank_count = 2, .max_restarts = 3});
  gang.Run().Exit(0, kKilled).On(StopRequested{SIGINT});
  EXPECT_EQ(gang.phase(), Phase::kTerminating) << "the first stop leaves the ladder as it is";
  gang.Exit(1, kTermed).GoneAll();

  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kRankFailed);
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kStoppedByUser);
}

TEST(GangTest, StopDuringTheLastFailuresTeardownDoesNotHideIt) {
  Gang gang({.rank_count = 2, .max_restarts = 0});
  gang.Run().Exit(0, kKilled).On(StopRequested{SIGINT}).Exit(1, kTermed).GoneAll();

  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kOutOfRestarts);
}

TEST(GangTest, StopWithinTheTieWindowTearsDownAtOnceWithTheFailureAsCause) {
  Gang gang({.rank_count = 2, .max_restarts = 1});
  gang.Run().Exit(0, kExit1).On(StopRequested{SIGINT});

  EXPECT_EQ(gang.phase(), Phase::kTerminating);
  gang.Exit(1, kTermed).GoneAll();
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kRankFailed);
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kStoppedByUser);
}

TEST(GangTest, StopBeforeTheStartAndDuringBackoffEndsTheJobThere) {
  Gang idle({.rank_count = 1});
  idle.On(StopRequested{SIGTERM});
  ASSERT_NE(idle.Get<JobEnded>(), nullptr);
  EXPECT_EQ(idle.On(Start{}).Get<SpawnRanks>(), nullptr);

  Gang backing_off({.rank_count = 1, .max_restarts = 3});
  backing_off.Run().FailRound(0).SpawnAll().FailRound(0);
  ASSERT_EQ(backing_off.phase(), Phase::kBackingOff);
  backing_off.On(StopRequested{SIGINT});
  EXPECT_NE(backing_off.Get<ClearTimer>(), nullptr);
  EXPECT_EQ(backing_off.Get<JobEnded>()->outcome.decision, Decision::kStoppedByUser);
  EXPECT_TRUE(backing_off.On(StopRequested{SIGINT}).actions().empty());
}

// ---------------------------------------- restarts

TEST(GangTest, FirstRestartComesAtOnceInANewRoundWithNewIncarnations) {
  Gang gang({.rank_count = 2, .max_restarts = 3});
  gang.Run().FailRound(1);

  const RoundOutcome& outcome = gang.Get<RoundEnded>()->outcome;
  EXPECT_EQ(outcome.decision, Decision::kRestart);
  EXPECT_EQ(outcome.restart, 1);
  EXPECT_EQ(outcome.max_restarts, 3);
  EXPECT_EQ(outcome.delay, 0s);
  EXPECT_EQ(gang.Get<PersistRestarts>()->used, 1);
  ASSERT_NE(gang.Get<SpawnRanks>(), nullptr);
  EXPECT_EQ(gang.Get<SpawnRanks>()->round, base::Round(1));
  EXPECT_EQ(gang.Get<SpawnRanks>()->restart_count, 1);
  EXPECT_EQ(gang.Get<SpawnRanks>()->processes[1], (RankProcess{Rank(1), base::Incarnation(1)}));
}

TEST(GangTest, LaterRestartsBackOffDoublingToTheMaximumWithJitter) {
  Gang gang(
      {.rank_count = 1, .max_restarts = 10, .backoff_first = 1s, .backoff_max = 5s, .seed = 7});
  gang.Run().FailRound(0).SpawnAll();
  for (const base::Duration full : {1s, 2s, 4s, 5s, 5s}) {
    gang.FailRound(0);
    const base::Duration delay = gang.Get<RoundEnded>()->outcome.delay;
    EXPECT_LE(delay, full);
    EXPECT_GE(delay, full * 4 / 5);
    EXPECT_EQ(gang.phase(), Phase::kBackingOff);
    gang.Fire(Timer::kBackoff).SpawnAll();
  }
}

TEST(GangTest, ProgressMakesTheNextRestartComeAtOnceAgain) {
  Gang gang({.rank_count = 1, .max_restarts = 10});
  gang.Run().FailRound(0).SpawnAll().On(Progress{gang.Of(0), 5}).FailRound(0);

  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.delay, 0s);
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.best_step, 5);
}

TEST(GangTest, BudgetIsTheJobsAndCountsWhatEarlierAgentsUsed) {
  Gang gang({.rank_count = 1, .max_restarts = 3, .restarts_used = 2});
  gang.On(Start{});
  EXPECT_EQ(gang.Get<SpawnRanks>()->round, base::Round(2)) << "an earlier agent had rounds 0 and 1";
  EXPECT_EQ(gang.Get<SpawnRanks>()->restart_count, 2);
  gang.SpawnAll().FailRound(0);
  EXPECT_EQ(gang.Get<PersistRestarts>()->used, 3);
  gang.SpawnAll().FailRound(0);

  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kOutOfRestarts);
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.restarts_used, 3);
}

TEST(GangTest, SameFailureTwiceWithoutAStepOfProgressEndsTheJob) {
  const RankExit failure{.exit_code = 1, .fingerprint = "ValueError"};
  Gang gang({.rank_count = 1, .max_restarts = 9});
  gang.Run().On(Progress{gang.Of(0), 100}).FailRound(0, failure);
  EXPECT_EQ(gang.phase(), Phase::kStarting);
  gang.SpawnAll().On(Progress{gang.Of(0), 90}).On(Progress{gang.Of(0), 100}).FailRound(0, failure);

  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kRepeatedFailure);
}

TEST(GangTest, RepeatedFailureIsJudgedOnlyWhereItCanBeTold) {
  const RankExit failure{.exit_code = 1, .fingerprint = "ValueError"};
  const auto twice = [](const GangConfig& config, const RankExit& first, const RankExit& second,
                        bool reports, bool progresses) {
    Gang gang(config);
    gang.Run();
    if (reports) gang.On(Progress{gang.Of(0), 100});
    gang.FailRound(0, first).SpawnAll();
    if (progresses) gang.On(Progress{gang.Of(0), 101});
    gang.FailRound(0, second);
    return gang.Get<RoundEnded>()->outcome.decision;
  };
  const GangConfig config{.rank_count = 1, .max_restarts = 9};
  GangConfig off = config;
  off.stop_on_repeated_failure = false;

  EXPECT_EQ(twice(config, failure, failure, true, false), Decision::kRepeatedFailure);
  EXPECT_EQ(twice(config, failure, failure, false, false), Decision::kRestart);  // never reported
  EXPECT_EQ(twice(config, failure, failure, true, true), Decision::kRestart);
  EXPECT_EQ(twice(config, kKilled, kKilled, true, false), Decision::kRestart);  // no fingerprint
  EXPECT_EQ(twice(config, failure, {.exit_code = 2, .fingerprint = "ValueError"}, true, false),
            Decision::kRestart);
  EXPECT_EQ(twice(off, failure, failure, true, false), Decision::kRestart);
}

TEST(GangTest, EventsAboutProcessesOfAnOldRoundChangeNothing) {
  Gang gang({.rank_count = 2, .max_restarts = 3});
  gang.Run();
  const RankProcess old = gang.Of(0);
  gang.FailRound(1).SpawnAll();
  ASSERT_EQ(gang.phase(), Phase::kRunning);

  EXPECT_TRUE(gang.On(RankExited{old, kExit1}).actions().empty());
  EXPECT_TRUE(gang.On(RankGone{old}).actions().empty());
  EXPECT_TRUE(gang.On(KillFailed{old, base::InternalError("x")}).actions().empty());
  EXPECT_TRUE(gang.On(RankSpawned{old, 7}).actions().empty());
  EXPECT_TRUE(gang.On(SpawnFailed{old, base::InternalError("x")}).actions().empty());
  EXPECT_TRUE(gang.On(Progress{old, 1000}).actions().empty());
  EXPECT_TRUE(gang.On(RankExited{{Rank(9), base::Incarnation(1)}, kExit1}).actions().empty());
  EXPECT_TRUE(gang.On(RankExited{{Rank(-1), base::Incarnation(1)}, kExit1}).actions().empty());
  EXPECT_EQ(gang.phase(), Phase::kRunning);
  EXPECT_FALSE(gang.state().best_step.has_value());
  EXPECT_EQ(gang.state().ranks[0].pid, 100);
}

// ---------------------------------------- lost nodes

TEST(GangTest, LostNodeIsOneFailureThatEndsTheJobWhateverTheBudget) {
  Gang gang({.rank_count = 4, .max_restarts = 9});
  gang.Run().After(5s).Lose(1, {2, 3});

  EXPECT_EQ(gang.phase(), Phase::kTerminating) << "a loss waits for nothing";
  EXPECT_EQ(gang.LeaderSignals(), (Ints{SIGTERM, SIGCONT}));
  EXPECT_EQ(Ranks(std::get<SignalLeaders>(gang.actions()[0]).processes), (Ints{0, 1}));
  EXPECT_EQ(gang.Get<SetTimer>()->due, SteadyTime(6s + 2s)) << "the peer failure's grace";
  gang.Exit(0, kTermed).Exit(1, kTermed);
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{0, 1, 2, 3}));
  gang.Gone(0).Gone(1).Gone(2);
  EXPECT_EQ(gang.Get<JobEnded>(), nullptr) << "rank 3 may live until its node is fenced";
  gang.Gone(3);

  const RoundOutcome& outcome = gang.Get<RoundEnded>()->outcome;
  EXPECT_EQ(outcome.end, RoundEnd::kNodeLost);
  EXPECT_EQ(outcome.culprit, Rank(2));
  EXPECT_EQ(outcome.failed_at, SteadyTime(6s));
  EXPECT_TRUE(outcome.ranks[2].lost && outcome.ranks[2].failed());
  EXPECT_TRUE(outcome.ranks[3].lost && outcome.ranks[3].failed()) << "no victim of its own node";
  EXPECT_FALSE(outcome.ranks[0].lost);
  ASSERT_TRUE(outcome.lost_node.has_value());
  EXPECT_EQ(outcome.lost_node->node, base::NodeIndex(1));
  EXPECT_EQ(outcome.lost_node->why.message(), "node 1 was lost");
  EXPECT_EQ(outcome.decision, Decision::kNodeLost);
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kNodeLost);
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.lost_node->node, base::NodeIndex(1));
}

TEST(GangTest, LostNodeBehindAPeersErrorIsTheCause) {
  Gang gang({.rank_count = 3});
  gang.Run().Exit(0, kExit1).After(1ms).Lose(1, {1, 2});

  EXPECT_EQ(gang.phase(), Phase::kKilling) << "nobody is left to signal";
  gang.GoneAll();
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kNodeLost);
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.culprit, Rank(1));
}

TEST(GangTest, LostNodeDuringATeardownIsNotItsCauseButNoRoundFollows) {
  Gang gang({.rank_count = 3, .max_restarts = 3});
  gang.Run().Exit(0, kKilled).Lose(1, {2});
  EXPECT_EQ(gang.phase(), Phase::kTerminating);
  gang.Exit(1, kTermed);
  EXPECT_EQ(gang.phase(), Phase::kKilling) << "rank 2 is not waited for";
  gang.GoneAll();

  const RoundOutcome& outcome = gang.Get<RoundEnded>()->outcome;
  EXPECT_EQ(outcome.end, RoundEnd::kRankFailed);
  EXPECT_EQ(outcome.culprit, Rank(0));
  EXPECT_TRUE(outcome.ranks[2].lost);
  EXPECT_FALSE(outcome.ranks[2].failed());
  EXPECT_EQ(outcome.lost_node->node, base::NodeIndex(1));
  EXPECT_EQ(outcome.decision, Decision::kNodeLost);
}

TEST(GangTest, FailureThatEndsTheJobAnywayIsNotHiddenByALostNode) {
  Gang gang({.rank_count = 2, .max_restarts = 0});
  gang.Run().Exit(0, kKilled).Lose(1, {1}).GoneAll();

  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kOutOfRestarts);
}

TEST(GangTest, StopBeforeTheLossWinsAndStopAfterItDoesNotHideIt) {
  Gang before({.rank_count = 2});
  before.Run().On(StopRequested{SIGINT}).Lose(1, {1}).Exit(0, kTermed).GoneAll();
  EXPECT_EQ(before.Get<RoundEnded>()->outcome.end, RoundEnd::kStoppedByUser);
  EXPECT_EQ(before.Get<JobEnded>()->outcome.decision, Decision::kStoppedByUser);

  Gang after({.rank_count = 2, .max_restarts = 3});
  after.Run().Lose(1, {1}).On(StopRequested{SIGINT}).Exit(0, kTermed).GoneAll();
  EXPECT_EQ(after.Get<RoundEnded>()->outcome.end, RoundEnd::kNodeLost);
  EXPECT_EQ(after.Get<JobEnded>()->outcome.decision, Decision::kNodeLost);
}

TEST(GangTest, NodeLostWhileItsRanksStartTakesThemAll) {
  Gang gang({.rank_count = 3});
  gang.On(Start{}).On(RankSpawned{gang.Of(0), 100}).On(RankSpawned{gang.Of(1), 101});
  gang.Lose(1, {1, 2});
  EXPECT_EQ(gang.LeaderSignals(), (Ints{SIGTERM, SIGCONT}));

  EXPECT_TRUE(gang.On(RankSpawned{gang.Of(2), 102}).actions().empty()) << "nobody hears of it";
  EXPECT_TRUE(gang.Exit(1, kExit1).actions().empty());
  gang.Exit(0, kTermed);
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{0, 1, 2}));
  gang.GoneAll();
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kNodeLost);
  EXPECT_FALSE(gang.Get<RoundEnded>()->outcome.ranks[1].exit.has_value());
}

TEST(GangTest, RankThatStartsOnANodeLostWhileKillingIsKilledToo) {
  Gang gang({.rank_count = 3, .peer_failure_grace = 0s});
  gang.On(Start{}).On(RankSpawned{gang.Of(0), 100}).On(RankSpawned{gang.Of(1), 101});
  gang.Exit(0, kKilled);
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{0, 1}));
  gang.Lose(1, {1, 2});
  ASSERT_NE(gang.Get<KillTrees>(), nullptr);
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{2})) << "the others have been asked";
  gang.Gone(0).Gone(1);
  EXPECT_EQ(gang.Get<JobEnded>(), nullptr);
  EXPECT_NE(gang.Gone(2).Get<JobEnded>(), nullptr);
}

TEST(GangTest, NodeWhoseRanksHaveAllFinishedMayGo) {
  Gang gang({.rank_count = 3, .early_exit_notice = 0s});
  gang.Run().Exit(1, kExit0).Exit(2, kExit0).Lose(1, {1, 2});
  EXPECT_EQ(gang.phase(), Phase::kRunning);
  EXPECT_TRUE(gang.actions().empty());
  gang.Exit(0, kExit0).GoneAll();

  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kSucceeded);
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kSucceeded);
}

TEST(GangTest, NodeLostBetweenRoundsEndsTheJobThere) {
  Gang backing_off({.rank_count = 1, .max_restarts = 3});
  backing_off.Run().FailRound(0).SpawnAll().FailRound(0);
  ASSERT_EQ(backing_off.phase(), Phase::kBackingOff);
  backing_off.Lose(0, {0});
  EXPECT_NE(backing_off.Get<ClearTimer>(), nullptr);
  EXPECT_EQ(backing_off.Get<JobEnded>()->outcome.decision, Decision::kNodeLost);
  EXPECT_TRUE(backing_off.Lose(1, {0}).actions().empty());

  Gang idle({.rank_count = 1});
  idle.Lose(0, {0});
  EXPECT_EQ(idle.Get<JobEnded>()->outcome.lost_node->node, base::NodeIndex(0));
  EXPECT_EQ(idle.On(Start{}).Get<SpawnRanks>(), nullptr);
}

TEST(GangTest, OfTwoLostNodesTheFirstIsTheCause) {
  Gang gang({.rank_count = 3});
  gang.Run().Lose(2, {2}).Lose(1, {1}).Lose(7, {9, -1}).Exit(0, kTermed).GoneAll();

  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.culprit, Rank(2));
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.lost_node->node, base::NodeIndex(2));
  EXPECT_FALSE(gang.Get<RoundEnded>()->outcome.ranks[1].failed());
}

// ---------------------------------------- job control

TEST(GangTest, SuspendStopsTreesAndResumeContinuesThem) {
  Gang gang({.rank_count = 2});
  gang.Run().On(SuspendRequested{});
  ASSERT_NE(gang.Get<SignalTrees>(), nullptr);
  EXPECT_EQ(gang.Get<SignalTrees>()->signal, SIGSTOP);
  EXPECT_EQ(Ranks(gang.Get<SignalTrees>()->processes), (Ints{0, 1}));
  EXPECT_TRUE(gang.On(SuspendRequested{}).actions().empty());

  gang.On(ResumeRequested{});
  EXPECT_EQ(gang.Get<SignalTrees>()->signal, SIGCONT);
  EXPECT_EQ(gang.phase(), Phase::kRunning);
  EXPECT_TRUE(gang.On(ResumeRequested{}).actions().empty());
}

TEST(GangTest, RankSpawnedWhileSuspendedIsStoppedToo) {
  Gang gang({.rank_count = 1});
  gang.On(Start{}).On(SuspendRequested{}).On(RankSpawned{gang.Of(0), 100});

  ASSERT_NE(gang.Get<SignalTrees>(), nullptr);
  EXPECT_EQ(gang.Get<SignalTrees>()->signal, SIGSTOP);
}

TEST(GangTest, TeardownOfASuspendedGangWakesItsTrees) {
  Gang gang({.rank_count = 2});
  gang.Run().On(SuspendRequested{}).On(StopRequested{SIGTERM});

  EXPECT_EQ(gang.LeaderSignals(), (Ints{SIGTERM}));
  ASSERT_NE(gang.Get<SignalTrees>(), nullptr);
  EXPECT_EQ(gang.Get<SignalTrees>()->signal, SIGCONT);
  gang.On(ResumeRequested{}).On(SuspendRequested{});
  EXPECT_TRUE(gang.actions().empty()) << "ranks that are coming down are not stopped again";
}

TEST(GangTest, NoRoundBeginsWhileSuspended) {
  Gang gang({.rank_count = 1, .max_restarts = 3});
  gang.Run().On(SuspendRequested{}).FailRound(0);
  EXPECT_EQ(gang.Get<SpawnRanks>(), nullptr);
  EXPECT_EQ(gang.phase(), Phase::kBackingOff);
  EXPECT_NE(gang.On(ResumeRequested{}).Get<SpawnRanks>(), nullptr);

  gang.SpawnAll().FailRound(0);
  ASSERT_EQ(gang.phase(), Phase::kBackingOff);
  EXPECT_EQ(gang.On(SuspendRequested{}).Fire(Timer::kBackoff).Get<SpawnRanks>(), nullptr);
  EXPECT_NE(gang.On(ResumeRequested{}).Get<SpawnRanks>(), nullptr);

  gang.SpawnAll().FailRound(0);
  EXPECT_EQ(gang.On(SuspendRequested{}).On(ResumeRequested{}).Get<SpawnRanks>(), nullptr)
      << "the delay is not over yet";
}

// ---------------------------------------- notices

TEST(GangTest, RanksThatRunOnAfterTheFirstExitAreNamedAndRarelyAgain) {
  Gang gang({.rank_count = 3, .early_exit_notice = 10s});
  gang.Run().Exit(1, kExit0);
  EXPECT_EQ(gang.Get<SetTimer>()->timer, Timer::kEarlyExit);
  EXPECT_EQ(gang.Get<SetTimer>()->due, SteadyTime(1s + 10s));
  gang.After(10s).Fire(Timer::kEarlyExit);

  ASSERT_NE(gang.Get<Notice>(), nullptr);
  EXPECT_EQ(gang.Get<Notice>()->kind, Notice::Kind::kRanksRunOn);
  EXPECT_EQ(gang.Get<Notice>()->ranks, (std::vector<Rank>{Rank(0), Rank(2)}));
  EXPECT_EQ(gang.Get<Notice>()->others, (std::vector<Rank>{Rank(1)}));
  EXPECT_EQ(gang.Get<Notice>()->since, 10s);
  EXPECT_EQ(gang.Get<SetTimer>()->due, SteadyTime(11s + 20s)) << "twice as long after each";
  gang.Exit(0, kExit0);
  EXPECT_TRUE(gang.actions().empty());
  gang.Exit(2, kExit0);
  EXPECT_NE(gang.Get<ClearTimer>(), nullptr);
}

TEST(GangTest, NoticeOfRanksThatRunOnHasALongestInterval) {
  Gang gang({.rank_count = 2});
  gang.Run().Exit(1, kExit0);
  for (int i = 0; i < 100; ++i) gang.Fire(Timer::kEarlyExit);

  EXPECT_EQ(gang.Get<SetTimer>()->due, SteadyTime(1s + 10min));
}

TEST(GangTest, SuspendedRanksAreNotSaidToRunOn) {
  Gang gang({.rank_count = 2});
  gang.Run().Exit(1, kExit0).On(SuspendRequested{}).Fire(Timer::kEarlyExit);

  EXPECT_EQ(gang.Get<Notice>(), nullptr);
  EXPECT_NE(gang.Get<SetTimer>(), nullptr);
}

TEST(GangTest, NoticeOfZeroIsNone) {
  Gang gang({.rank_count = 2, .early_exit_notice = 0s});
  EXPECT_TRUE(gang.Run().Exit(1, kExit0).actions().empty());
}

// ---------------------------------------- survivors

GangConfig Keeping(int rank_count, int min_ranks = 1) {
  return {.rank_count = rank_count, .keep_survivors = true, .min_ranks = min_ranks};
}

TEST(GangTest, SurvivorsGoOnInARoundOfTheirOwnAndWhatFailedIsKilledBesideThem) {
  Gang gang(Keeping(4));
  gang.Run().Exit(3, kKilled);

  const GoOn* go_on = gang.Get<GoOn>();
  ASSERT_NE(go_on, nullptr);
  EXPECT_EQ(go_on->gone, (std::vector<Rank>{Rank(3)}));
  EXPECT_EQ(go_on->outcome.decision, Decision::kGoOn);
  EXPECT_EQ(go_on->outcome.end, RoundEnd::kRankFailed);
  EXPECT_EQ(go_on->outcome.culprit, Rank(3));
  EXPECT_EQ(go_on->outcome.next_round, base::Round(1));
  EXPECT_EQ(go_on->outcome.ranks_left, 3);
  ASSERT_NE(gang.Get<KillTrees>(), nullptr);
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{3}));
  EXPECT_TRUE(gang.LeaderSignals().empty());
  EXPECT_EQ(gang.phase(), Phase::kRunning);
  EXPECT_EQ(gang.state().membership_round, base::Round(1));
  EXPECT_EQ(gang.state().round, base::Round(0)) << "the processes are those of round 0";

  gang.Gone(3).Exit(0, kExit0).Exit(1, kExit0).Exit(2, kExit0);
  ASSERT_NE(gang.Get<KillTrees>(), nullptr);
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{0, 1, 2})) << "3 is gone already";
  gang.GoneAll();
  ASSERT_NE(gang.Get<JobEnded>(), nullptr);
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kSucceeded);
}

TEST(GangTest, EachFailureBeginsAnotherRoundDownToTheMinimum) {
  Gang gang(Keeping(4, 2));
  gang.Run().Exit(3, kKilled);
  gang.Exit(1, kKilled);
  ASSERT_NE(gang.Get<GoOn>(), nullptr);
  EXPECT_EQ(gang.Get<GoOn>()->gone, (std::vector<Rank>{Rank(1)})) << "3 went before";
  EXPECT_EQ(gang.state().membership_round, base::Round(2));

  gang.Exit(0, kKilled);

  EXPECT_EQ(gang.Get<GoOn>(), nullptr);
  EXPECT_EQ(gang.phase(), Phase::kTerminating);
  gang.Exit(2, kTermed).GoneAll();
  const RoundOutcome& outcome = gang.Get<RoundEnded>()->outcome;
  EXPECT_EQ(outcome.culprit, Rank(0)) << "the one that was too many";
  EXPECT_EQ(outcome.decision, Decision::kOutOfRestarts);
}

TEST(GangTest, WeakFailuresOfOneMomentAreLeftBehindTogether) {
  Gang gang(Keeping(4));
  gang.Run().Exit(1, kExit1);
  EXPECT_EQ(gang.phase(), Phase::kSettling);
  gang.Exit(2, kExit1);
  gang.Fire(Timer::kSettle);

  ASSERT_NE(gang.Get<GoOn>(), nullptr);
  EXPECT_EQ(gang.Get<GoOn>()->gone, (std::vector<Rank>{Rank(1), Rank(2)}));
  EXPECT_EQ(gang.Get<GoOn>()->outcome.culprit, Rank(1));
  EXPECT_EQ(gang.phase(), Phase::kRunning);
}

TEST(GangTest, OneThatEndedWellIsNoMemberOfALaterRoundButCounts) {
  Gang gang(Keeping(3, 2));
  gang.Run().Exit(0, kExit0);
  gang.Exit(2, kKilled);

  ASSERT_NE(gang.Get<GoOn>(), nullptr);
  EXPECT_EQ(gang.Get<GoOn>()->gone, (std::vector<Rank>{Rank(0), Rank(2)}));
  EXPECT_EQ(gang.Get<GoOn>()->outcome.ranks_left, 2);
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{2})) << "0's helpers may serve 1";
  gang.Exit(1, kExit0).GoneAll();
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kSucceeded);
}

TEST(GangTest, AnAccusedRankIsKilledAndItsLateEndChangesNothing) {
  Gang gang(Keeping(3));
  gang.Run().On(RankAccused{gang.Of(0), Rank(2), "it hangs"});

  ASSERT_NE(gang.Get<GoOn>(), nullptr);
  EXPECT_EQ(gang.Get<GoOn>()->outcome.end, RoundEnd::kRankAccused);
  EXPECT_EQ(gang.Get<GoOn>()->outcome.ranks[2].accusation->by, Rank(0));
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{2}));
  gang.On(RankAccused{gang.Of(2), Rank(0), "no, it does"});
  EXPECT_TRUE(gang.actions().empty()) << "of two the first is believed";
  gang.On(RankAccused{gang.Of(1), Rank(2), "it hangs"});
  EXPECT_TRUE(gang.actions().empty()) << "it is gone";
  gang.Exit(2, kKilled);
  EXPECT_TRUE(gang.actions().empty());
  gang.Gone(2).Exit(0, kExit0).Exit(1, kExit0).GoneAll();
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kSucceeded);
}

TEST(GangTest, TheRoundWaitsForTheEndOfAnAccusedRankEvenWhenAllOthersHaveEnded) {
  Gang gang(Keeping(2));
  gang.Run().On(RankAccused{gang.Of(0), Rank(1), "it hangs"});
  gang.Exit(0, kExit0);
  EXPECT_EQ(gang.phase(), Phase::kRunning);
  gang.Exit(1, kKilled);
  EXPECT_EQ(gang.phase(), Phase::kKilling);
  gang.GoneAll();
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kSucceeded);
}

TEST(GangTest, AccusationsMeanNothingWhereSurvivorsAreNotKept) {
  Gang gang({.rank_count = 2});
  gang.Run().On(RankAccused{gang.Of(0), Rank(1), "it hangs"});
  EXPECT_TRUE(gang.actions().empty());
  Gang keeping(Keeping(2));
  keeping.Run();
  for (const int accused : {-1, 0, 2}) {
    keeping.On(RankAccused{keeping.Of(0), Rank(accused), "it hangs"});
    EXPECT_TRUE(keeping.actions().empty()) << accused << " is nobody, or the accuser";
  }
}

TEST(GangTest, ABlamedRankBringsTheGangDownAsAFailedOneDoes) {
  Gang gang({.rank_count = 3, .max_restarts = 1});
  gang.Run().On(RanksBlamed{{Rank(1), Rank(2), Rank(7), Rank(-1)}, "it is stopped"});

  EXPECT_EQ(gang.phase(), Phase::kTerminating);
  gang.On(RanksBlamed{{Rank(0)}, "and it"});
  EXPECT_TRUE(gang.actions().empty()) << "the first verdict stands";
  gang.Exit(0, kKilled).Exit(1, kKilled).Exit(2, kKilled).GoneAll();

  const RoundOutcome& outcome = gang.Get<RoundEnded>()->outcome;
  EXPECT_EQ(outcome.end, RoundEnd::kRankAccused);
  EXPECT_EQ(outcome.culprit, Rank(1));
  EXPECT_EQ(outcome.ranks[1].accusation->by, std::nullopt);
  EXPECT_EQ(outcome.ranks[2].accusation->why, "it is stopped");
  EXPECT_EQ(outcome.decision, Decision::kRestart);
}

TEST(GangTest, SurvivorsGoOnWithoutABlamedRank) {
  Gang gang(Keeping(3));
  gang.Run().On(RanksBlamed{{Rank(1)}, "it loops"});

  ASSERT_NE(gang.Get<GoOn>(), nullptr);
  EXPECT_EQ(gang.Get<GoOn>()->gone, (std::vector<Rank>{Rank(1)}));
  EXPECT_EQ(Ranks(gang.Get<KillTrees>()->processes), (Ints{1}));
}

TEST(GangTest, WhoBlamesMayWantTheJobToEndWhateverIsLeft) {
  GangConfig config = Keeping(3);
  config.max_restarts = 3;
  for (const auto then : {RanksBlamed::Then::kJobEnds, RanksBlamed::Then::kJobEndsAtOnce}) {
    Gang gang(config);
    gang.Run().On(RanksBlamed{{Rank(1)}, "it loops", then});

    EXPECT_EQ(gang.Get<GoOn>(), nullptr);
    const bool has_grace = then == RanksBlamed::Then::kJobEnds;
    EXPECT_EQ(gang.phase(), has_grace ? Phase::kTerminating : Phase::kKilling);
    EXPECT_EQ(gang.Get<KillTrees>() == nullptr, has_grace);
    gang.Exit(0, kKilled).Exit(1, kKilled).Exit(2, kKilled).GoneAll();
    EXPECT_EQ(gang.Get<RoundEnded>()->outcome.culprit, Rank(1));
    EXPECT_EQ(gang.Get<RoundEnded>()->outcome.decision, Decision::kToldToEnd);
    EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kToldToEnd);
  }
}

TEST(GangTest, WhereNobodyIsToBlameAllComeDownAndNobodyIsTheCulprit) {
  Gang gang({.rank_count = 2, .max_restarts = 1});
  gang.Run().After(3s).On(RanksBlamed{{}, "all have come, and nothing moves"});

  EXPECT_EQ(gang.phase(), Phase::kTerminating);
  EXPECT_EQ(gang.LeaderSignals(), (Ints{SIGTERM, SIGCONT}));
  gang.After(1s).Exit(0, kTermed).Exit(1, kTermed).GoneAll();

  const RoundOutcome& outcome = gang.Get<RoundEnded>()->outcome;
  EXPECT_EQ(outcome.end, RoundEnd::kStoodStill);
  EXPECT_EQ(outcome.culprit, std::nullopt);
  EXPECT_EQ(outcome.stood_still, "all have come, and nothing moves");
  EXPECT_EQ(outcome.failed_at, SteadyTime(4s));
  EXPECT_EQ(outcome.ranks[0].accusation, std::nullopt);
  EXPECT_EQ(outcome.decision, Decision::kRestart);
  gang.Run().Exit(0, kExit0).Exit(1, kExit0).GoneAll();
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kSucceeded) << "that was another round";
}

TEST(GangTest, WhereNobodyIsToBlameNoSurvivorsGoOn) {
  GangConfig config = Keeping(3);
  config.max_restarts = 1;
  Gang gang(config);
  gang.Run().Exit(2, kExit0).On(RanksBlamed{{}, "nothing moves"});

  EXPECT_EQ(gang.Get<GoOn>(), nullptr) << "they would be those that had ended";
  EXPECT_EQ(gang.phase(), Phase::kTerminating);
  gang.Exit(0, kTermed).Exit(1, kTermed).GoneAll();
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kStoodStill);
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.decision, Decision::kRestart);
  EXPECT_EQ(Ranks(gang.Get<SpawnRanks>()->processes), (Ints{0, 1, 2}));

  gang.SpawnAll().On(RanksBlamed{{}, "nothing moves again"});
  gang.Exit(0, kTermed).Exit(1, kTermed).Exit(2, kTermed).GoneAll();
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kOutOfRestarts);
}

TEST(GangTest, WhereNobodyIsToBlameTheJobMayHaveToEndAllTheSame) {
  for (const auto then : {RanksBlamed::Then::kJobEnds, RanksBlamed::Then::kJobEndsAtOnce}) {
    Gang gang({.rank_count = 2, .max_restarts = 3});
    gang.Run().On(RanksBlamed{{}, "nothing moves", then});

    const bool has_grace = then == RanksBlamed::Then::kJobEnds;
    EXPECT_EQ(gang.phase(), has_grace ? Phase::kTerminating : Phase::kKilling);
    gang.Exit(0, kKilled).Exit(1, kKilled).GoneAll();
    EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kStoodStill);
    EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kToldToEnd);
  }
}

TEST(GangTest, AFailureThatHasBeenSeenSaysMoreThanThatNobodyIsToBlame) {
  Gang gang({.rank_count = 3});
  gang.Run().Exit(1, {.exit_code = 3}).On(RanksBlamed{{}, "nothing moves"});
  EXPECT_TRUE(gang.actions().empty()) << "its tie window is not over";

  gang.Fire(Timer::kSettle).Exit(0, kTermed).Exit(2, kTermed).GoneAll();
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.end, RoundEnd::kRankFailed);
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.culprit, Rank(1));
}

TEST(GangTest, NobodyIsBlamedWhoIsGoneOrHasFailedAlready) {
  Gang gang(Keeping(4));
  gang.Run().On(RanksBlamed{{Rank(1)}, "it loops"});
  gang.On(RanksBlamed{{Rank(1)}, "it still does"});
  EXPECT_TRUE(gang.actions().empty()) << "it is no member any more";

  Gang settling({.rank_count = 3});
  settling.Run().Exit(1, {.exit_code = 3}).On(RanksBlamed{{Rank(1)}, "it does not come"});
  EXPECT_TRUE(settling.actions().empty());
  EXPECT_EQ(settling.state().ranks[1].accusation, std::nullopt) << "its exit says more";
}

TEST(GangTest, ARankThatEndedWellIsBlamedForThoseThatWaitForIt) {
  Gang gang({.rank_count = 2});
  gang.Run().Exit(0, kExit0).On(RanksBlamed{{Rank(0)}, "it ended while rank 1 waits"});

  EXPECT_EQ(gang.phase(), Phase::kTerminating);
  gang.Exit(1, kKilled).GoneAll();
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.culprit, Rank(0));
}

TEST(GangTest, RanksOfOtherNodesOutliveALostNode) {
  Gang gang(Keeping(4));
  gang.Run().Lose(1, {2, 3});

  ASSERT_NE(gang.Get<GoOn>(), nullptr);
  EXPECT_EQ(gang.Get<GoOn>()->gone, (std::vector<Rank>{Rank(2), Rank(3)}));
  EXPECT_EQ(gang.Get<GoOn>()->outcome.end, RoundEnd::kNodeLost);
  EXPECT_EQ(gang.Get<GoOn>()->outcome.lost_node->node, base::NodeIndex(1));
  gang.Exit(0, kExit0).Exit(1, kExit0).GoneAll();
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kSucceeded);
}

TEST(GangTest, AFailedLaunchEndsTheGangThoughSurvivorsAreKept) {
  Gang gang(Keeping(2));
  gang.On(Start{}).On(RankSpawned{gang.Of(0), 100});
  gang.On(SpawnFailed{gang.Of(1), base::NotFoundError("no program")});
  EXPECT_EQ(gang.Get<GoOn>(), nullptr);
  EXPECT_EQ(gang.phase(), Phase::kTerminating);
}

TEST(GangTest, ARestartAfterSurvivorsHadRoundsBeginsALaterOne) {
  GangConfig config = Keeping(3, 2);
  config.max_restarts = 1;
  Gang gang(config);
  gang.Run().Exit(2, kKilled);
  gang.Gone(2);
  gang.FailRound(1);

  ASSERT_NE(gang.Get<SpawnRanks>(), nullptr);
  EXPECT_EQ(gang.Get<SpawnRanks>()->round, base::Round(2)) << "1 was the survivors'";
  EXPECT_EQ(gang.Get<SpawnRanks>()->restart_count, 1);
  EXPECT_EQ(Ranks(gang.Get<SpawnRanks>()->processes), (Ints{0, 1, 2}));
  EXPECT_EQ(gang.state().membership_round, base::Round(2));
}

TEST(GangTest, AStopEndsSurvivorsAsItEndsAGang) {
  Gang gang(Keeping(3));
  gang.Run().Exit(2, kKilled);
  gang.Gone(2).On(StopRequested{SIGINT});
  EXPECT_EQ(gang.phase(), Phase::kTerminating);
  gang.Exit(0, kTermed).Exit(1, kTermed).GoneAll();
  EXPECT_EQ(gang.Get<JobEnded>()->outcome.decision, Decision::kStoppedByUser);
  EXPECT_EQ(gang.Get<RoundEnded>()->outcome.culprit, std::nullopt);
}

}  // namespace
}  // namespace lockstep::elastic
