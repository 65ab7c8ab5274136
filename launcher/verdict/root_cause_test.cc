// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verdict/root_cause.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <csignal>

#include "launcher/exit_codes.h"

namespace lockstep::launcher {
namespace {

using elastic::Decision;
using elastic::JobOutcome;
using elastic::RankExit;
using elastic::RankRecord;
using elastic::RoundEnd;
using elastic::RoundOutcome;
using proto::Evidence;
using proto::Verdict;
using namespace std::chrono_literals;

const base::SteadyTime kStart{100s};

RankRecord Ended(int rank, RankExit exit, bool before_signal) {
  return {.process = {base::Rank(rank), base::Incarnation(1)},
          .life = RankRecord::Life::kGone,
          .pid = 4000 + rank,
          .exit = std::move(exit),
          .tree_gone = true,
          .ended_before_signal = before_signal,
          .ended_at = kStart + 2s};
}

/// Rank 2 of 4 failed with `exit`; 0 had finished, 1 ended on TERM, 3 had to be killed.
RoundOutcome Failed(RankExit exit) {
  return {.round = base::Round(1),
          .end = RoundEnd::kRankFailed,
          .culprit = base::Rank(2),
          .ranks = {Ended(0, {}, true), Ended(1, {.signal = SIGTERM}, false),
                    Ended(2, std::move(exit), true), Ended(3, {.signal = SIGKILL}, false)},
          .started_at = kStart,
          .failed_at = kStart + 2500ms,
          .ended_at = kStart + 4s,
          .decision = Decision::kRestart,
          .restart = 2,
          .max_restarts = 3,
          .delay = 900ms};
}

RoundFacts Facts() {
  return {.job_id = "mnist-x1y2z3",
          .host = "node7",
          .log_directory = "/jobs/mnist-x1y2z3/round-1",
          .steady_now = kStart + 4s,
          .wall_now = base::WallTime(1'767'225'604s),
          .ranks = {{base::Rank(2),
                     {.stderr_lines = {"step 9", "Segmentation fault"},
                      .stderr_path = "/jobs/mnist-x1y2z3/round-1/rank-2.stderr"}}}};
}

const Evidence* Find(const Verdict& verdict, Evidence::Kind kind) {
  for (const Evidence& evidence : verdict.evidence()) {
    if (evidence.kind() == kind) return &evidence;
  }
  return nullptr;
}

TEST(RootCauseTest, RankKilledBySignalIsTheCulpritAndTheRestAreVictimsButForFinishedOnes) {
  const auto verdict = MakeVerdict(Failed({.signal = SIGKILL}), Facts());

  ASSERT_TRUE(verdict.has_value());
  EXPECT_EQ(verdict->class_(), Verdict::DEAD_RANK);
  ASSERT_EQ(verdict->culprits_size(), 1);
  EXPECT_EQ(verdict->culprits(0).rank(), 2);
  EXPECT_EQ(verdict->culprits(0).host(), "node7");
  EXPECT_EQ(verdict->culprits(0).pid(), 4002);
  EXPECT_EQ(verdict->culprits(0).why(), "killed by signal 9 (SIGKILL)");
  EXPECT_EQ(std::vector<int>(verdict->victims().begin(), verdict->victims().end()),
            (std::vector<int>{1, 3}));
  EXPECT_EQ(verdict->exit_code(), 137);
  EXPECT_EQ(verdict->action(), Verdict::RESTART_GANG);
  EXPECT_EQ(verdict->action_reason(), "restart 2 of 3, in 900ms");
  EXPECT_EQ(verdict->observed_at().seconds(), 1'767'225'602);
  EXPECT_EQ(verdict->observed_at().nanos(), 500'000'000);
  EXPECT_EQ(verdict->round_age().seconds(), 2);
  ASSERT_NE(Find(*verdict, Evidence::STDERR), nullptr);
  EXPECT_EQ(Find(*verdict, Evidence::STDERR)->lines(1), "Segmentation fault");
  ASSERT_NE(Find(*verdict, Evidence::TEARDOWN), nullptr);
  EXPECT_EQ(Find(*verdict, Evidence::TEARDOWN)->lines(0),
            "1 rank did not end by itself and was killed");
}

TEST(RootCauseTest, OutOfMemoryIsToldFromAPlainKill) {
  const auto verdict = MakeVerdict(Failed({.signal = SIGKILL, .out_of_memory = true}), Facts());

  EXPECT_EQ(verdict->culprits(0).why(),
            "out of memory: killed by signal 9 (SIGKILL) when its memory limit was reached");
  EXPECT_EQ(verdict->exit_code(), 137);
}

TEST(RootCauseTest, ExitCodeOfTheCulpritIsTheJobs) {
  const auto verdict = MakeVerdict(Failed({.exit_code = 3}), Facts());

  EXPECT_EQ(verdict->culprits(0).why(), "exit code 3");
  EXPECT_EQ(verdict->exit_code(), 3);
  EXPECT_EQ(ExitStatus(verdict), 3);
  EXPECT_EQ(ExitStatus(std::nullopt), 0);
}

TEST(RootCauseTest, ErrorFileComesBeforeStderrWithTheEndOfItsTraceback) {
  RoundFacts facts = Facts();
  std::string traceback;
  for (int i = 0; i < 30; ++i) traceback += "frame " + std::to_string(i) + "\n";
  facts.ranks[base::Rank(2)].error =
      ErrorFile{.message = "ValueError: bad", .traceback = traceback};

  const auto verdict = MakeVerdict(Failed({.exit_code = 1}), facts);

  ASSERT_EQ(verdict->evidence(0).kind(), Evidence::EXIT);
  ASSERT_EQ(verdict->evidence(1).kind(), Evidence::ERROR_FILE);
  ASSERT_EQ(verdict->evidence(2).kind(), Evidence::STDERR);
  const Evidence& error = verdict->evidence(1);
  EXPECT_EQ(error.lines(0), "ValueError: bad");
  ASSERT_EQ(error.lines_size(), 1 + static_cast<int>(kStderrLines));
  EXPECT_EQ(error.lines(error.lines_size() - 1), "frame 29");
}

TEST(RootCauseTest, LaunchFailureHasItsOwnClassAndCodes) {
  RoundOutcome outcome = Failed({});
  outcome.end = RoundEnd::kLaunchFailed;
  outcome.decision = Decision::kCannotLaunch;
  RankRecord& culprit = outcome.ranks[2];
  culprit.exit.reset();
  culprit.pid = 0;
  culprit.life = RankRecord::Life::kNeverLived;
  outcome.ranks[3] = culprit;
  outcome.ranks[3].ended_before_signal = false;
  const auto with = [&](base::Status error) {
    outcome.ranks[2].error = std::move(error);
    return *MakeVerdict(outcome, Facts());
  };

  const Verdict missing = with(base::NotFoundError("execute ./train: no such file"));
  EXPECT_EQ(missing.class_(), Verdict::LAUNCH_FAILED);
  EXPECT_EQ(missing.culprits(0).why(), "could not be started: execute ./train: no such file");
  EXPECT_EQ(missing.exit_code(), static_cast<int>(ExitCode::kNotFound));
  EXPECT_EQ(missing.victims_size(), 1);  // rank 1; 3 never lived
  EXPECT_EQ(missing.evidence(0).kind(), Evidence::LAUNCH);
  EXPECT_EQ(with(base::PermissionDeniedError("x")).exit_code(),
            static_cast<int>(ExitCode::kNotExecutable));
  EXPECT_EQ(with(base::InvalidArgumentError("x")).exit_code(),
            static_cast<int>(ExitCode::kNotExecutable));
  EXPECT_EQ(with(base::FailedPreconditionError("x")).exit_code(),
            static_cast<int>(ExitCode::kNotExecutable));
  EXPECT_EQ(with(base::ResourceExhaustedError("x")).exit_code(),
            static_cast<int>(ExitCode::kNoResources));
  EXPECT_EQ(with(base::UnavailableError("x")).exit_code(),
            static_cast<int>(ExitCode::kUnavailable));
  EXPECT_EQ(with(base::InternalError("x")).exit_code(), static_cast<int>(ExitCode::kInternal));
}

// A full disk and used up descriptors share a code; which of the two it was says the stage.
TEST(RootCauseTest, FolderOfARoundThatCannotBeWrittenIsNotAMissingProgram) {
  RoundOutcome outcome = Failed({});
  outcome.end = RoundEnd::kLaunchFailed;
  outcome.ranks[2].exit.reset();
  RoundFacts facts = Facts();
  facts.folder_failed = true;

  for (base::Status error : {base::ResourceExhaustedError("x"), base::NotFoundError("x")}) {
    outcome.ranks[2].error = error;
    EXPECT_EQ(MakeVerdict(outcome, facts)->exit_code(), static_cast<int>(ExitCode::kCannotWrite));
  }
}

TEST(RootCauseTest, SuccessHasNoVerdict) {
  RoundOutcome outcome = Failed({});
  outcome.end = RoundEnd::kSucceeded;
  outcome.culprit.reset();

  EXPECT_FALSE(MakeVerdict(outcome, Facts()).has_value());
  EXPECT_FALSE(
      MakeJobVerdict({.decision = Decision::kSucceeded}, std::nullopt, Facts()).has_value());
}

TEST(RootCauseTest, StoppedJobBlamesNobodyAndExitsWithTheUsersSignal) {
  RoundOutcome outcome = Failed({});
  outcome.end = RoundEnd::kStoppedByUser;
  outcome.decision = Decision::kStoppedByUser;
  outcome.culprit.reset();
  outcome.stop_signal = SIGINT;

  const auto verdict = MakeVerdict(outcome, Facts());

  EXPECT_EQ(verdict->class_(), Verdict::STOPPED_BY_USER);
  EXPECT_EQ(verdict->culprits_size(), 0);
  EXPECT_EQ(verdict->victims_size(), 0);
  EXPECT_EQ(verdict->exit_code(), 130);
  const JobOutcome job{.decision = Decision::kStoppedByUser, .stop_signal = SIGINT};
  EXPECT_EQ(MakeJobVerdict(job, verdict, Facts())->SerializeAsString(),
            verdict->SerializeAsString());
}

TEST(RootCauseTest, StopInPlaceOfARestartIsTheJobsVerdictAndNamesTheFailureBefore) {
  const auto failed = MakeVerdict(Failed({.signal = SIGSEGV}), Facts());

  const auto job = MakeJobVerdict(
      {.decision = Decision::kStoppedByUser, .last_round = base::Round(1), .stop_signal = SIGTERM},
      failed, Facts());

  EXPECT_EQ(job->class_(), Verdict::STOPPED_BY_USER);
  EXPECT_EQ(ExitStatus(job), 143);
  ASSERT_EQ(job->evidence_size(), 1);
  EXPECT_EQ(job->evidence(0).lines(0),
            "round 1 had failed before: rank 2: killed by signal 11 (SIGSEGV)");
  EXPECT_EQ(MakeJobVerdict({.decision = Decision::kOutOfRestarts}, failed, Facts())->class_(),
            Verdict::DEAD_RANK);
}

RankRecord Lost(int rank) {
  RankRecord record = Ended(rank, {}, true);
  record.exit.reset();
  record.lost = true;
  return record;
}

TEST(RootCauseTest, ALostNodeIsNamedOnceAndItsRanksAreNoVictims) {
  RoundOutcome outcome = Failed({});
  outcome.end = RoundEnd::kNodeLost;
  outcome.ranks[2] = Lost(2);
  outcome.ranks[3] = Lost(3);
  outcome.decision = Decision::kNodeLost;
  outcome.lost_node = {base::NodeIndex(1),
                       base::UnavailableError("host h1 (node 1) was lost: no heartbeat for 2s")};
  RoundFacts facts = Facts();
  facts.host_of_rank = {"h0", "h0", "h1", "h1"};
  facts.ranks.clear();

  const auto verdict = MakeVerdict(outcome, facts);

  EXPECT_EQ(verdict->class_(), Verdict::NODE_LOST);
  ASSERT_EQ(verdict->culprits_size(), 1);
  EXPECT_EQ(verdict->culprits(0).rank(), 2);
  EXPECT_EQ(verdict->culprits(0).host(), "h1");
  EXPECT_EQ(verdict->culprits(0).why(), "host h1 (node 1) was lost: no heartbeat for 2s");
  EXPECT_EQ(std::vector<int>(verdict->victims().begin(), verdict->victims().end()),
            (std::vector<int>{1}));
  EXPECT_EQ(verdict->exit_code(), static_cast<int>(ExitCode::kAgentLost));
  EXPECT_EQ(verdict->action(), Verdict::END_JOB);
  EXPECT_EQ(Find(*verdict, Evidence::LAUNCH), nullptr) << "it had been launched";
}

TEST(RootCauseTest, AFailureThatOthersOutliveNamesNobodyElse) {
  RoundOutcome outcome = Failed({.signal = SIGKILL});
  outcome.decision = Decision::kGoOn;
  outcome.next_round = base::Round(2);
  outcome.ranks_left = 3;
  for (const size_t rank : {0, 1, 3}) {
    outcome.ranks[rank] = {.life = RankRecord::Life::kAlive};
    outcome.ranks[rank].process.rank = base::Rank(static_cast<int>(rank));
  }

  const auto verdict = MakeVerdict(outcome, Facts());

  ASSERT_TRUE(verdict.has_value());
  EXPECT_EQ(verdict->class_(), Verdict::DEAD_RANK);
  EXPECT_EQ(verdict->action(), Verdict::KEEP_SURVIVORS);
  EXPECT_EQ(verdict->action_reason(),
            "3 of 4 ranks are left and go on in round 2 (--on-rank-failure keep)");
  EXPECT_EQ(verdict->victims_size(), 0);
}

TEST(RootCauseTest, ARankThatWasGivenUpIsMissingAndThoseThatWereOutlivedAreNoVictims) {
  RoundOutcome outcome = Failed({.signal = SIGKILL});
  outcome.end = RoundEnd::kRankAccused;
  outcome.decision = Decision::kOutOfRestarts;
  outcome.ranks[2].accusation = elastic::Accusation{base::Rank(1), "it hangs"};
  outcome.ranks[3].excluded = true;

  const auto verdict = MakeVerdict(outcome, Facts());

  ASSERT_TRUE(verdict.has_value());
  EXPECT_EQ(verdict->class_(), Verdict::MISSING_RANK);
  EXPECT_EQ(verdict->exit_code(), static_cast<int>(ExitCode::kUnavailable));
  EXPECT_EQ(verdict->culprits(0).why(), "given up by rank 1: it hangs");
  EXPECT_EQ(std::vector<int>(verdict->victims().begin(), verdict->victims().end()),
            (std::vector<int>{1}));
}

/// Class, culprits and evidence are those of the hang; what became of the gang is the round's.
TEST(RootCauseTest, WhatWasFoundWhileTheGangStoodStillIsItsVerdict) {
  RoundOutcome outcome = Failed({.signal = SIGKILL});
  outcome.end = RoundEnd::kRankAccused;
  outcome.decision = Decision::kOutOfRestarts;
  outcome.ranks[2].accusation = elastic::Accusation{std::nullopt, "called something else"};
  RoundFacts facts = Facts();
  facts.hang.emplace();
  facts.hang->set_class_(Verdict::MISMATCH);
  facts.hang->set_confidence(Verdict::MEDIUM);
  facts.hang->set_seq(7);
  for (const int rank : {1, 2}) {
    proto::Culprit* const culprit = facts.hang->add_culprits();
    culprit->set_rank(rank);
    culprit->set_why("called something else");
  }
  facts.hang->add_evidence()->set_kind(proto::Evidence::WAITS);
  facts.hang->add_victims(0);

  const auto verdict = MakeVerdict(outcome, facts);

  ASSERT_TRUE(verdict.has_value());
  EXPECT_EQ(verdict->class_(), Verdict::MISMATCH);
  EXPECT_EQ(verdict->seq(), 7u);
  EXPECT_EQ(verdict->confidence(), Verdict::MEDIUM);
  ASSERT_EQ(verdict->culprits_size(), 2);
  EXPECT_EQ(verdict->culprits(1).rank(), 2);
  EXPECT_EQ(verdict->evidence(0).kind(), proto::Evidence::WAITS);
  for (const int32_t victim : verdict->victims()) EXPECT_TRUE(victim != 1 && victim != 2);
  EXPECT_EQ(verdict->exit_code(), static_cast<int>(ExitCode::kUnavailable));
  EXPECT_EQ(verdict->action(), Verdict::END_JOB);
  EXPECT_EQ(verdict->job(), Facts().job_id);

  outcome.ranks[2].accusation->by = base::Rank(0);
  EXPECT_EQ(MakeVerdict(outcome, facts)->class_(), Verdict::MISSING_RANK)
      << "a rank gave another one up: another story";
}

TEST(RootCauseTest, WhereNobodyIsToBlameAllAreVictimsAndNobodyIsNamed) {
  RoundOutcome outcome = Failed({.signal = SIGTERM});
  outcome.end = RoundEnd::kStoodStill;
  outcome.culprit.reset();
  outcome.stood_still = "all have come to all_reduce(f32, 8), and nothing moves";
  outcome.decision = Decision::kOutOfRestarts;
  for (elastic::RankRecord& rank : outcome.ranks) rank.ended_before_signal = false;

  const auto bare = MakeVerdict(outcome, Facts());

  ASSERT_TRUE(bare.has_value());
  EXPECT_EQ(bare->class_(), Verdict::LIBRARY_STALL);
  EXPECT_EQ(bare->culprits_size(), 0);
  EXPECT_EQ(bare->victims_size(), static_cast<int>(outcome.ranks.size()));
  EXPECT_EQ(bare->exit_code(), static_cast<int>(ExitCode::kUnavailable));
  EXPECT_EQ(bare->evidence(0).lines(0), outcome.stood_still);
  EXPECT_TRUE(bare->has_round_age());

  RoundFacts facts = Facts();
  facts.hang.emplace();
  facts.hang->set_class_(Verdict::LIBRARY_STALL);
  facts.hang->set_op("all_reduce(f32, 8)");
  facts.hang->add_evidence()->set_kind(Evidence::WAITS);
  const auto told = MakeVerdict(outcome, facts);
  EXPECT_EQ(told->op(), "all_reduce(f32, 8)");
  EXPECT_EQ(told->evidence(0).kind(), Evidence::WAITS);
  EXPECT_EQ(told->culprits_size(), 0);
  EXPECT_EQ(told->victims_size(), static_cast<int>(outcome.ranks.size()));
  EXPECT_EQ(told->exit_code(), static_cast<int>(ExitCode::kUnavailable));
}

/// Ranks that were told by an error that others are missing, or call something else, fail first.
TEST(RootCauseTest, WhoseFaultItWasThatRanksFailedTheirRingsTell) {
  const RoundOutcome outcome = Failed({.exit_code = 1});
  RoundFacts facts = Facts();
  facts.last_look.emplace();
  facts.last_look->set_class_(Verdict::MISSING_RANK);
  facts.last_look->set_confidence(Verdict::HIGH);
  facts.last_look->add_culprits()->set_rank(0);
  facts.last_look->add_evidence()->set_kind(Evidence::WAITS);

  const auto verdict = MakeVerdict(outcome, facts);

  EXPECT_EQ(verdict->class_(), Verdict::MISSING_RANK);
  ASSERT_EQ(verdict->culprits_size(), 1);
  EXPECT_EQ(verdict->culprits(0).rank(), 0);
  EXPECT_THAT(verdict->victims(), ::testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(verdict->exit_code(), 1) << "of the rank that failed first";
  EXPECT_NE(Find(*verdict, Evidence::WAITS), nullptr);
  ASSERT_NE(Find(*verdict, Evidence::STDERR), nullptr);
  EXPECT_EQ(Find(*verdict, Evidence::STDERR)->rank(), 2);

  facts.last_look->set_confidence(Verdict::MEDIUM);
  EXPECT_EQ(MakeVerdict(outcome, facts)->class_(), Verdict::DEAD_RANK) << "not sure enough";
  facts.last_look->set_class_(Verdict::MISMATCH);
  EXPECT_EQ(MakeVerdict(outcome, facts)->class_(), Verdict::MISMATCH) << "a tie: both are named";
}

TEST(RootCauseTest, OfRanksThatFailedTheOneThatTheOthersWaitedForIsTheCulprit) {
  RoundOutcome outcome = Failed({.exit_code = 1});
  outcome.ranks[1] = Ended(1, {.exit_code = 7}, true);
  RoundFacts facts = Facts();
  facts.last_look.emplace();
  facts.last_look->set_class_(Verdict::DEAD_RANK);
  facts.last_look->set_op("all_reduce(f32, sum, 8)");
  facts.last_look->add_culprits()->set_rank(1);
  facts.last_look->add_evidence()->set_kind(Evidence::WAITS);

  const auto verdict = MakeVerdict(outcome, facts);

  EXPECT_EQ(verdict->class_(), Verdict::DEAD_RANK);
  ASSERT_EQ(verdict->culprits_size(), 1);
  EXPECT_EQ(verdict->culprits(0).rank(), 1);
  EXPECT_EQ(verdict->culprits(0).why(), "exit code 7");
  EXPECT_EQ(verdict->exit_code(), 7);
  EXPECT_EQ(verdict->op(), "all_reduce(f32, sum, 8)");

  // Two died by themselves: the first of them, in time.
  facts.last_look->add_culprits()->set_rank(2);
  EXPECT_EQ(MakeVerdict(outcome, facts)->culprits(0).rank(), 2);
  facts.last_look->mutable_culprits()->RemoveLast();
  // Of an earlier round, whose survivors went on.
  outcome.ranks[1].excluded = true;
  EXPECT_EQ(MakeVerdict(outcome, facts)->culprits(0).rank(), 2);
  // One whose end was our doing is no culprit, whatever a ring says.
  facts.last_look->mutable_culprits(0)->set_rank(3);
  EXPECT_EQ(MakeVerdict(outcome, facts)->culprits(0).rank(), 2);
  facts.last_look->mutable_culprits(0)->set_rank(99);
  EXPECT_EQ(MakeVerdict(outcome, facts)->culprits(0).rank(), 2);
}

TEST(RootCauseTest, ANodeLostBetweenTwoRoundsEndsTheJobForThatReason) {
  const auto last_round = MakeVerdict(Failed({.exit_code = 3}), Facts());
  JobOutcome outcome{.decision = Decision::kNodeLost, .last_round = base::Round(1)};
  outcome.lost_node = {base::NodeIndex(1), base::UnavailableError("host h1 was lost")};

  const auto verdict = MakeJobVerdict(outcome, last_round, Facts());

  EXPECT_EQ(verdict->class_(), Verdict::NODE_LOST);
  EXPECT_EQ(verdict->action_reason(), "host h1 was lost");
  EXPECT_EQ(verdict->exit_code(), static_cast<int>(ExitCode::kAgentLost));
}

TEST(RootCauseTest, JsonHasEveryKeyUnderItsDocumentedName) {
  RoundOutcome outcome = Failed({.exit_code = 3});
  outcome.culprit = base::Rank(0);
  outcome.ranks[0].exit->exit_code = 3;
  RoundFacts facts = Facts();
  facts.ranks[base::Rank(0)].stderr_lines = {"\xff\x1b[2J"};

  const std::string json = VerdictJson(*MakeVerdict(outcome, facts));

  for (const char* key :
       {"\"class\": \"DEAD_RANK\"", "\"culprits\": [", "\"rank\": 0", "\"host\": \"node7\"",
        "\"pid\": 4000", "\"why\": \"exit code 3\"", "\"victims\": [", "\"exit_code\": 3",
        "\"evidence\": [", "\"action\": \"RESTART_GANG\"", "\"??[2J\""}) {
    EXPECT_NE(json.find(key), std::string::npos) << key << " is not in " << json;
  }
  Verdict back;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &back).ok());
  EXPECT_EQ(back.culprits(0).pid(), 4000);
}

TEST(FingerprintTest, SameFailureOfAnotherStepRankOrAddressIsTheSame) {
  const RankExit exit{.exit_code = 1};
  const auto said = [&exit](const char* line) {
    return Fingerprint(exit, {.stderr_lines = {"noise 7", line}});
  };

  EXPECT_EQ(said("step 12: bad pointer 0x7fab12"), said("step 9: bad pointer 0x55c0ffee"));
  EXPECT_NE(said("bad shape"), said("bad type"));
}

TEST(FingerprintTest, ErrorFileTellsMoreThanStderr) {
  EXPECT_EQ(Fingerprint({.exit_code = 1},
                        {.stderr_lines = {"x"}, .error = ErrorFile{.message = "ValueError"}}),
            "ValueError");
}

TEST(FingerprintTest, KillFromOutsideAndSilenceTellNothing) {
  EXPECT_EQ(Fingerprint({.signal = SIGKILL}, {.stderr_lines = {"x"}}), "");
  EXPECT_EQ(Fingerprint({.signal = SIGTERM}, {.stderr_lines = {"x"}}), "");
  EXPECT_EQ(Fingerprint({.exit_code = 1}, {}), "");
  EXPECT_EQ(Fingerprint({}, {.stderr_lines = {"x"}}), "");
  EXPECT_NE(Fingerprint({.signal = SIGKILL, .out_of_memory = true}, {}), "");
  EXPECT_NE(Fingerprint({.signal = SIGSEGV}, {}), "");
}

}  // namespace
}  // namespace lockstep::launcher
