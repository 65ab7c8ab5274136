// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verdict/screen.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "launcher/verdict/clean_text.h"
#include "runtime/base/testing/golden.h"

namespace lockstep::launcher {
namespace {

using base::testing::MatchesGolden;
using proto::Verdict;

/// `changes` over a verdict on round 1 of four ranks.
Verdict Make(const std::string& changes) {
  Verdict verdict;
  const std::string text = R"pb(
                             job: "mnist-x1y2z3"
                             round: 1
                             world_size: 4
                             observed_at { seconds: 1767225602 nanos: 500000000 }
                             round_age { seconds: 12 nanos: 300000000 }
                             log_directory: "/home/ada/.local/state/lockstep/mnist-x1y2z3/round-1"
                           )pb" +
                           changes;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &verdict)) << text;
  return verdict;
}

std::string Golden(const std::string& name) {
  return "launcher/verdict/testdata/screen/" + name + ".txt";
}

TEST(ScreenTest, KilledRankThatRestartsAtOnce) {
  EXPECT_TRUE(MatchesGolden(
      Golden("killed_restart"), RenderVerdict(Make(R"pb(
        class: DEAD_RANK
        exit_code: 137
        culprits { rank: 2 host: "laptop" pid: 4002 why: "killed by signal 9 (SIGKILL)" }
        victims: [ 0, 1, 3 ]
        evidence { kind: EXIT rank: 2 lines: "killed by signal 9 (SIGKILL)" }
        evidence {
          kind: STDERR
          rank: 2
          lines: "epoch 1 step 120 loss 0.31"
          lines: "epoch 1 step 130 loss 0.29"
        }
        action: RESTART_GANG
        action_reason: "restart 1 of 3, at once"
      )pb"))));
}

TEST(ScreenTest, ARankThatOthersWaitFor) {
  EXPECT_TRUE(MatchesGolden(Golden("missing_rank"), RenderVerdict(Make(R"pb(
                              class: MISSING_RANK
                              confidence: HIGH
                              exit_code: 69
                              culprits {
                                rank: 2
                                host: "laptop"
                                pid: 4002
                                why: "has not come to all_reduce(f32, sum, 4), op 11 of group "
                                     "world: its process is stopped by a signal"
                              }
                              victims: [ 0, 1, 3 ]
                              group: "world"
                              seq: 11
                              op: "all_reduce(f32, sum, 4)"
                              evidence {
                                kind: WAITS
                                lines: "rank 2 called last, 996ms ago, all_reduce(f32, sum, 4), op "
                                       "10 of group world at train.cc:67"
                                lines: "rank 0 has waited 995ms in all_reduce(f32, sum, 4), op 11 "
                                       "of group world at train.cc:67"
                              }
                              evidence {
                                kind: STACK
                                rank: 2
                                path: "/tmp/stacks-rank-2.txt"
                                lines: "read at read.c:26"
                                lines: "LoadBatch(int) at loader.cc:31"
                                lines: "main at train.cc:60"
                              }
                              evidence { kind: STDERR rank: 2 lines: "epoch 1" }
                              advice: "kill -CONT 4002 lets it go on"
                              action: RESTART_GANG
                              action_reason: "restart 1 of 3, at once"
                            )pb"))));
}

TEST(ScreenTest, BelowTheStackAreItsRanksGpus) {
  Verdict verdict = Make(R"pb(class: MISSING_RANK
                              culprits { rank: 2 pid: 8 host: "laptop" why: "loops" }
                              evidence { kind: STACK rank: 2 }
  )pb");
  for (int i = 0; i < 9; ++i) verdict.mutable_evidence(0)->add_lines("Call" + std::to_string(i));
  proto::Evidence& gpus = *verdict.add_evidence();
  gpus.set_kind(proto::Evidence::GPU);
  gpus.set_rank(2);
  for (int i = 0; i < 3; ++i) gpus.add_lines("gpu " + std::to_string(i) + ": no faults");

  EXPECT_THAT(RenderVerdict(verdict), ::testing::HasSubstr("  where rank 2 stands:\n"
                                                           "  | Call0\n"
                                                           "  | Call1\n"
                                                           "  | Call2\n"
                                                           "  | gpu 0: no faults\n"
                                                           "  | gpu 1: no faults\n"));
  gpus.set_rank(3);
  EXPECT_THAT(RenderVerdict(verdict), ::testing::Not(::testing::HasSubstr("gpu 0")));
}

TEST(ScreenTest, RanksThatWaitForEachOtherAreAllNamed) {
  Verdict verdict = Make(R"pb(
    class: CROSS_GROUP_DEADLOCK
    confidence: HIGH
    culprits { rank: 1 pid: 8 host: "laptop" why: "waits in barrier(), op 2 of group a at x.cc:5" }
    culprits { rank: 2 pid: 9 host: "laptop" why: "waits in barrier(), op 7 of group b at x.cc:4" }
    action: END_JOB
  )pb");

  EXPECT_THAT(RenderVerdict(verdict),
              ::testing::StartsWith("lockstep: ranks 1, 2 wait for each other: rank 1 waits in "
                                    "barrier(), op 2 of group a at x.cc:5; rank\n"
                                    "2 waits in barrier(), op 7 of group b at x.cc:4\n"));
  for (int rank = 3; rank < 9; ++rank) verdict.add_culprits()->set_rank(rank);
  EXPECT_THAT(RenderVerdict(verdict), ::testing::HasSubstr("ranks 1, 2, 3 and 5 more wait for"));
}

TEST(ScreenTest, ALongLineOfEvidenceGoesOnInTheNext) {
  Verdict verdict = Make(R"pb(class: MISSING_RANK
                              confidence: HIGH
                              culprits { rank: 2 })pb");
  proto::Evidence& waits = *verdict.add_evidence();
  waits.set_kind(proto::Evidence::WAITS);
  const std::string call = "rank 0 has waited 995ms in all_reduce(f32, sum, 4), op 11 of group ";
  waits.add_lines(call + "MPI_COMM_WORLD at mpi_hang_openmpi.c:1067");
  waits.add_lines(call + "world at train.cc:67");

  const std::string screen = RenderVerdict(verdict);
  EXPECT_THAT(screen, ::testing::HasSubstr("  | " + call +
                                           "MPI_COMM_WORLD at\n"
                                           "  |   mpi_hang_openmpi.c:1067\n"
                                           "  | " +
                                           call + "world at train.cc:67\n"));
  for (int line = 0; line < 64; ++line) waits.add_lines(std::string(300, 'x'));
  const std::vector<std::string> lines = LinesOf(RenderVerdict(verdict));
  EXPECT_LE(lines.size(), static_cast<size_t>(kScreenLines));
  for (const std::string& line : lines)
    EXPECT_LE(ColumnsOf(line), static_cast<size_t>(kScreenColumns)) << line;
}

TEST(ScreenTest, OutOfMemoryThatEndsTheJob) {
  EXPECT_TRUE(MatchesGolden(
      Golden("out_of_memory"), RenderVerdict(Make(R"pb(
        class: DEAD_RANK
        exit_code: 137
        culprits {
          rank: 0
          host: "laptop"
          pid: 4000
          why: "out of memory: killed by signal 9 (SIGKILL) when its memory limit was reached"
        }
        victims: [ 1, 2, 3 ]
        action: END_JOB
        action_reason: "no restarts were asked for (--max-restarts)"
      )pb"))));
}

TEST(ScreenTest, PythonErrorWithItsFileAndStderr) {
  EXPECT_TRUE(MatchesGolden(Golden("python_error"), RenderVerdict(Make(R"pb(
                              class: DEAD_RANK
                              exit_code: 1
                              culprits { rank: 1 host: "laptop" pid: 4001 why: "exit code 1" }
                              victims: [ 0, 2, 3 ]
                              evidence { kind: EXIT rank: 1 lines: "exit code 1" }
                              evidence {
                                kind: ERROR_FILE
                                rank: 1
                                lines: "ValueError: bad shape (3, 4)"
                                lines: "Traceback (most recent call last):"
                              }
                              evidence {
                                kind: STDERR
                                rank: 1
                                lines: "Traceback (most recent call last):"
                                lines: "  File \"train.py\", line 10, in main"
                                lines: "    step()"
                                lines: "ValueError: bad shape (3, 4)"
                              }
                              action: RESTART_GANG
                              action_reason: "restart 2 of 3, in 900ms"
                            )pb"))));
}

TEST(ScreenTest, PythonErrorWithoutStderrShowsItsTraceback) {
  EXPECT_TRUE(
      MatchesGolden(Golden("python_traceback"), RenderVerdict(Make(R"pb(
                      class: DEAD_RANK
                      exit_code: 1
                      culprits { rank: 1 host: "laptop" pid: 4001 why: "exit code 1" }
                      evidence {
                        kind: ERROR_FILE
                        rank: 1
                        lines: "ValueError: bad shape (3, 4)"
                        lines: "Traceback (most recent call last):"
                        lines: "  File \"train.py\", line 10, in main"
                      }
                      action: END_JOB
                      action_reason: "the same failure came twice without a step of progress"
                    )pb"))));
}

TEST(ScreenTest, ProgramThatIsMissing) {
  EXPECT_TRUE(MatchesGolden(
      Golden("launch_failed"), RenderVerdict(Make(R"pb(
        class: LAUNCH_FAILED
        exit_code: 127
        culprits {
          rank: 0
          host: "laptop"
          why: "could not be started: execute ./train: no such file in /home/ada/project; check the path, or build the program first"
        }
        evidence { kind: LAUNCH rank: 0 lines: "could not be started" }
        action: END_JOB
        action_reason: "a restart would meet the same error"
      )pb"))));
}

TEST(ScreenTest, StopByTheUser) {
  EXPECT_TRUE(MatchesGolden(
      Golden("stopped"), RenderVerdict(Make(R"pb(
        class: STOPPED_BY_USER
        exit_code: 130
        evidence { kind: TEARDOWN lines: "2 ranks did not end by themselves and were killed" }
        action: END_JOB
        action_reason: "the user stopped the job (signal 2 (SIGINT))"
      )pb"))));
}

TEST(ScreenTest, ProcessesThatDoNotDie) {
  EXPECT_TRUE(MatchesGolden(
      Golden("unkillable"), RenderVerdict(Make(R"pb(
        class: DEAD_RANK
        exit_code: 139
        culprits { rank: 3 host: "laptop" pid: 4003 why: "killed by signal 11 (SIGSEGV)" }
        victims: [ 0, 1, 2 ]
        evidence {
          kind: TEARDOWN
          rank: 1
          lines: "kill rank-1: pid 4001 (train) is in uninterruptible sleep (nfs_wait_bit_killable) 10s after SIGKILL"
        }
        action: END_JOB
        action_reason: "a restart beside processes that do not die would be unsafe"
      )pb"))));
}

TEST(ScreenTest, EverythingAtItsLongest) {
  Verdict verdict = Make(R"pb(
    class: DEAD_RANK exit_code: 1 action: END_JOB
  )pb");
  const std::string words = [] {
    std::string text;
    for (int i = 0; i < 200; ++i) text += "word" + std::to_string(i) + " ";
    return text;
  }();
  verdict.set_job(std::string(70, 'j'));
  verdict.set_world_size(10000);
  verdict.set_action_reason(words);
  verdict.set_log_directory("/" + std::string(400, 'd'));
  proto::Culprit& culprit = *verdict.add_culprits();
  culprit.set_rank(9999);
  culprit.set_pid(4194304);
  culprit.set_host(std::string(253, 'h'));
  culprit.set_why(words);
  for (int rank = 0; rank < 9999; ++rank) verdict.add_victims(rank);
  for (auto kind :
       {proto::Evidence::ERROR_FILE, proto::Evidence::STDERR, proto::Evidence::TEARDOWN}) {
    proto::Evidence& evidence = *verdict.add_evidence();
    evidence.set_kind(kind);
    for (int i = 0; i < 50; ++i)
      evidence.add_lines("\x1b[31mline " + std::to_string(i) + " " + words);
  }

  const std::string screen = RenderVerdict(verdict);

  EXPECT_TRUE(MatchesGolden(Golden("longest"), screen));
  const std::vector<std::string> lines = LinesOf(screen);
  EXPECT_EQ(lines.size(), static_cast<size_t>(kScreenLines));
  for (const std::string& line : lines)
    EXPECT_LE(ColumnsOf(line), static_cast<size_t>(kScreenColumns)) << line;
  EXPECT_NE(screen.find("line 49"), std::string::npos);  // the newest of the rank's last lines
}

}  // namespace
}  // namespace lockstep::launcher
