// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// `lockstep run` as a user meets it: the real program, real processes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class RunTest : public RunFixture {};

// -------------------------------------------------------------------------------------------------
// the world

TEST_F(RunTest, EachRankKnowsItsPlaceInTheWorld) {
  const Outcome outcome = RunScriptIt({"-np", "3"},
                                      "echo $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE "
                                      "$GROUP_RANK $MASTER_ADDR $TORCHELASTIC_RESTART_COUNT");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(Lines(outcome.out),
              UnorderedElementsAre("[0] 0 0 3 3 0 127.0.0.1 0", "[1] 1 1 3 3 0 127.0.0.1 0",
                                   "[2] 2 2 3 3 0 127.0.0.1 0"));
}

TEST_F(RunTest, TheProgramKeepsItsOwnFlags) {
  const Outcome outcome = RunIt({"-np", "1", "/bin/echo", "--np", "8", "-np", "9", "--lr=0.1"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "[0] --np 8 -np 9 --lr=0.1\n");
}

TEST_F(RunTest, TorchrunsVariablesComeFromTheEnvironmentToo) {
  Command::Options options = Options();
  options.environment["PET_NPROC_PER_NODE"] = "2";
  const Outcome outcome = Command(RunWords({"/bin/echo", "x"}), options).Wait(20s);

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(Lines(outcome.out), UnorderedElementsAre("[0] x", "[1] x"));
}

TEST_F(RunTest, JobsStartedTogetherGetPortsOfTheirOwnThatRanksCanBind) {
  std::vector<std::unique_ptr<Command>> jobs;
  for (int i = 0; i < 20; ++i) {
    jobs.push_back(std::make_unique<Command>(
        RunScript({"-np", "1"},
                  "echo port $MASTER_PORT; exec /usr/bin/python3 -c \"import socket,os,time; "
                  "s=socket.socket(); "
                  "s.bind(('',int(os.environ['MASTER_PORT']))); time.sleep(0.5)\""),
        Options()));
  }

  std::set<std::string> ports;
  for (auto& job : jobs) {
    const Outcome outcome = job->Wait(60s);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    ports.insert(outcome.out);
  }
  EXPECT_THAT(ports, SizeIs(20));
}

TEST_F(RunTest, TheSmallestExampleNeedsNothingButItsEnvironment) {
  const std::string hello = Runfile("examples/hello/hello");
  const Outcome outcome = RunIt({"-np", "2", hello});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(Lines(outcome.out),
              UnorderedElementsAre(HasSubstr("[0] hello from rank 0 of 2 on "),
                                   HasSubstr("[1] hello from rank 1 of 2 on ")));
  EXPECT_THAT(RunToEnd({hello}, scratch_).out, HasSubstr("hello from rank 0 of 1 on "));
}

TEST_F(RunTest, PythonScriptsRunUnbufferedUnderPython) {
  scratch_.Write("train.py",
                 "import os, sys\nprint('rank', os.environ['RANK'], sys.argv[1:], "
                 "sys.stdout.write_through)\n");
  const Outcome outcome = RunIt({"--nproc_per_node=2", "train.py", "--epochs", "2"});

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(Lines(outcome.out), UnorderedElementsAre("[0] rank 0 ['--epochs', '2'] True",
                                                       "[1] rank 1 ['--epochs', '2'] True"));
}

// -------------------------------------------------------------------------------------------------
// how it can end

TEST_F(RunTest, ExitStatusIsTheFirstFailuresAndTheOthersAreVictims) {
  const Outcome outcome = RunScriptIt({"-np", "4", "--name", "job"},
                                      "[ $RANK = 2 ] && { echo boom >&2; exit 7; }; sleep 60");

  EXPECT_EQ(outcome.status, 7);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("rank 2"), HasSubstr("exit code 7"), HasSubstr("boom")));
  EXPECT_LT(outcome.elapsed, 10s);
}

TEST_F(RunTest, DeathBySignalIs128PlusTheSignal) {
  const Outcome outcome = RunScriptIt({"-np", "2"}, "[ $RANK = 1 ] && kill -9 $$; sleep 60");

  EXPECT_EQ(outcome.status, 128 + SIGKILL);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("rank 1"), HasSubstr("SIGKILL")));
}

TEST_F(RunTest, EverythingWrittenBeforeAKillArrives) {
  const Outcome outcome = RunScriptIt({"-np", "2"},
                                      "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); "
                                      "done; printf 'the end'; kill -9 $$");

  EXPECT_EQ(outcome.status, 137);
  EXPECT_THAT(outcome.out, AnyOf(HasSubstr("[0] line 1999\n"), HasSubstr("[1] line 1999\n")));
  EXPECT_THAT(outcome.out, AnyOf(HasSubstr("[0] the end\n"), HasSubstr("[1] the end\n")));
}

TEST_F(RunTest, StderrStaysApartFromStdout) {
  const Outcome outcome = RunScriptIt({"-np", "1"}, "echo out; echo err >&2");

  EXPECT_EQ(outcome.out, "[0] out\n");
  EXPECT_EQ(outcome.err, "[0] err\n");
}

TEST_F(RunTest, WhateverARankLeavesIsEnded) {
  // A child in the background, one in its own session, a double fork, one that ignores TERM, one
  // that is stopped.
  const Outcome outcome = RunScriptIt({"-np", "2", "--grace", "0s"},
                                      "sleep 300 & setsid sleep 301 & (setsid sh -c 'sleep 302 &' "
                                      "&) ; sh -c 'trap \"\" TERM; sleep 303; sleep 304' & "
                                      "sh -c 'kill -STOP $$; sleep 305' & sleep 0.2; exit 3");

  EXPECT_EQ(outcome.status, 3);
  EXPECT_THAT(scratch_.Leftovers(), IsEmpty());
}

TEST_F(RunTest, BackgroundChildrenDoNotOutliveASuccessfulJob) {
  const Outcome outcome = RunScriptIt({"-np", "2"}, "setsid sleep 300 & exit 0");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(scratch_.Leftovers(), IsEmpty());
}

TEST_F(RunTest, RestartsUpToTheBudgetAndCountsThem) {
  const Outcome outcome =
      RunScriptIt({"-np", "2", "--max-restarts=2", "--grace=0s"},
                  "echo try $TORCHELASTIC_RESTART_COUNT; [ $TORCHELASTIC_RESTART_COUNT = 2 ] && "
                  "exit 0; [ $RANK = 0 ] && exit 5; sleep 60");

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("[0] try 0"), HasSubstr("[0] try 1"),
                                 HasSubstr("[0] try 2"), HasSubstr("[1] try 2")));
}

// -------------------------------------------------------------------------------------------------
// signals

TEST_F(RunTest, InterruptGivesRanksTheirGraceAndASecondOneDoesNot) {
  Command command(
      RunScript({"-np", "2"},
                "trap 'echo got term' TERM; echo ready; while true; do sleep 0.05; done"),
      Options());
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) {
        return out.find("[0] ready") != out.npos && out.find("[1] ready") != out.npos;
      },
      20s));

  command.Signal(SIGINT);
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) {
        return out.find("[0] got term") != out.npos && out.find("[1] got term") != out.npos;
      },
      20s));
  command.Signal(SIGINT);

  EXPECT_EQ(command.Wait(10s).status, 130);
}

TEST_F(RunTest, EachSignalThatStopsAJobGivesRanksATermAndIsTheExitStatus) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    Command command(RunScript({"-np", "2"},
                              "trap 'echo got term; exit 0' TERM; echo ready; "
                              "while true; do sleep 0.05; done"),
                    Options());
    ASSERT_TRUE(command.WaitForOutput(
        [](const std::string& out, const std::string&) { return Lines(out).size() == 2; }, 20s));

    command.Signal(signal);

    const Outcome outcome = command.Wait(10s);
    EXPECT_EQ(outcome.status, 128 + signal);
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("[0] got term"), HasSubstr("[1] got term")));
  }
}

TEST_F(RunTest, AnIgnoredHangUpStaysIgnoredAsNohupWantsIt) {
  Command::Options options = Options();
  options.wrapper = {"/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"};
  Command command(
      RunScript({"-np", "1"}, "trap 'echo usr1' USR1; echo ready; while true; do sleep 0.05; done"),
      options);
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return Lines(out).size() == 1; }, 20s));

  command.Signal(SIGHUP);
  command.Signal(SIGUSR1);

  // What comes behind it is heard, so it was passed over and not just late.
  EXPECT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return Contains(out, "[0] usr1"); }, 10s));
  command.Signal(SIGTERM);
  EXPECT_EQ(command.Wait(10s).status, 143);
}

TEST_F(RunTest, UserSignalsReachTheRanks) {
  Command command(RunScript({"-np", "2"},
                            "trap 'echo usr1' USR1; trap 'echo usr2; exit 0' USR2; echo ready; "
                            "while true; do sleep 0.05; done"),
                  Options());
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return Lines(out).size() == 2; }, 20s));

  command.Signal(SIGUSR1);
  EXPECT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return Lines(out).size() == 4; }, 10s));
  command.Signal(SIGUSR2);

  const Outcome outcome = command.Wait(10s);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("[0] usr1"), HasSubstr("[1] usr1"),
                                 HasSubstr("[0] usr2"), HasSubstr("[1] usr2")));
}

/// State letters of the leftovers whose command line is `command`.
std::string StatesOf(const Scratch& scratch, const std::string& command) {
  std::string states;
  for (const std::string& left : scratch.Leftovers()) {
    if (left.substr(left.find(' ') + 1) != command + " ") continue;
    states += ProcessState(std::stoi(left));
  }
  return states;
}

TEST_F(RunTest, StopFromTheTerminalStopsTheRanksThenTheFrontAndContinueUndoesIt) {
  Command command(RunScript({"-np", "2"}, "exec sleep 4242"), Options());
  // Not before the shell has become `sleep`: stopped on the way, it would keep its own name.
  ASSERT_TRUE(Eventually([&] { return StatesOf(scratch_, "sleep 4242") == "SS"; }, 20s));

  command.Signal(SIGTSTP);
  EXPECT_TRUE(Eventually(
      [&] {
        return StatesOf(scratch_, "sleep 4242") == "TT" && ProcessState(command.pid()) == 'T';
      },
      5s));
  command.Signal(SIGCONT);
  EXPECT_TRUE(Eventually([&] { return StatesOf(scratch_, "sleep 4242") == "SS"; }, 5s));
  command.Signal(SIGTERM);

  EXPECT_EQ(command.Wait(10s).status, 143);
}

TEST_F(RunTest, KillingTheFrontLeavesNothing) {
  Command command(RunScript({"-np", "2", "--shutdown-timeout", "1s"},
                            "setsid sleep 300 & echo ready; trap '' TERM; sleep 60; sleep 60"),
                  Options());
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return Lines(out).size() == 2; }, 20s));

  command.Signal(SIGKILL);

  EXPECT_EQ(command.Wait(10s).status, 137);
  EXPECT_THAT(scratch_.LeftoversAfter(5s), IsEmpty());
}

TEST_F(RunTest, KillingTheAgentLeavesNothingAndSaysSo) {
  Command command(
      RunScript({"-np", "2"}, "setsid sleep 300 & trap '' TERM; echo ready; sleep 60; sleep 60"),
      Options());
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return Lines(out).size() == 2; }, 20s));

  const std::vector<pid_t> children = ChildrenOf(command.pid());
  ASSERT_THAT(children, SizeIs(1));
  ::kill(children[0], SIGKILL);

  const Outcome outcome = command.Wait(5s);
  EXPECT_THAT(outcome.err, HasSubstr("agent"));
  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(scratch_.Leftovers(), IsEmpty());
}

TEST_F(RunTest, TheNextCommandEndsWhatIsLeftWhenFrontAndAgentDieTogether) {
  Command command(RunScript({"-np", "2"}, "setsid sleep 300 & echo ready; exec sleep 60"),
                  Options());
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return Lines(out).size() == 2; }, 20s));

  const std::vector<pid_t> children = ChildrenOf(command.pid());
  ASSERT_THAT(children, SizeIs(1));
  command.Signal(SIGSTOP);  // so that it cannot clean up after the agent
  ::kill(children[0], SIGKILL);
  command.Signal(SIGKILL);
  command.Wait(10s);
  EXPECT_EQ(RunToEnd({LockstepPath(), "ps"}, scratch_).status, 0);

  EXPECT_THAT(scratch_.LeftoversAfter(1s), IsEmpty());
}

// -------------------------------------------------------------------------------------------------
// bad input

TEST_F(RunTest, BadRankCountsAreRefusedByName) {
  for (const char* count : {"0", "-1", "abc", "100000"}) {
    const Outcome outcome = RunIt({"-np", count, "/bin/true"});
    EXPECT_EQ(outcome.status, 64) << count;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("-np"), HasSubstr(count)));
  }
}

TEST_F(RunTest, UnknownFlagNamesTheNearestOne) {
  const Outcome outcome = RunIt({"--max-restart", "1", "/bin/true"});

  EXPECT_EQ(outcome.status, 64);
  EXPECT_THAT(outcome.err, HasSubstr("--max-restarts"));
}

TEST_F(RunTest, ProgramsThatCannotRunAreNamedWithTheReason) {
  scratch_.Write("plain.txt", "hello\n");
  scratch_.Write("script", "#!/no/such/interpreter\n", 0755);
  scratch_.Write("foreign",
                 std::string("\x7f"
                             "ELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0",
                             24) +
                     std::string(100, '\0'),
                 0755);
  const struct {
    const char* program;
    const char* reason;
  } cases[] = {{"./missing", "missing"},
               {"./plain.txt", "executable"},
               {"./script", "/no/such/interpreter"},
               {"./foreign", "aarch64"}};
  for (const auto& [program, reason] : cases) {
    const Outcome outcome = RunIt({"-np", "2", program});
    EXPECT_NE(outcome.status, 0) << program;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr(program + 2), HasSubstr(reason)));
  }
}

TEST_F(RunTest, AJobNameInUseIsRefused) {
  Command first(RunScript({"-np", "1", "--name", "twin"}, "echo ready; exec sleep 60"), Options());
  ASSERT_TRUE(first.WaitForOutput(
      [](const std::string& out, const std::string&) { return !out.empty(); }, 20s));

  const Outcome second = RunIt({"-np", "1", "--name", "twin", "/bin/true"});
  first.Signal(SIGTERM);

  EXPECT_NE(second.status, 0);
  EXPECT_THAT(second.err, AllOf(HasSubstr("twin"), HasSubstr("lockstep stop")));
  EXPECT_EQ(first.Wait(10s).status, 143);
}

TEST_F(RunTest, DescriptorLimitTooLowSaysWhichAndHowToRaiseIt) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP()
      << "the sanitizer looks at memory through a pipe, and takes a failed one for a bad object";
#endif
  Command::Options options = Options();
  options.wrapper = {"/usr/bin/prlimit", "--nofile=24"};
  const Outcome outcome = Command(RunWords({"-np", "32", "/bin/true"}), options).Wait(20s);

  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("ulimit -n"));
}

// -------------------------------------------------------------------------------------------------
// many times

TEST_F(RunTest, ThirtyTwoRanksManyTimesNeverHangAndLeaveNothing) {
  const int runs = std::getenv("LOCKSTEP_SOAK") != nullptr ? 1000 : 200;
  for (int i = 0; i < runs; ++i) {
    const Outcome outcome = RunIt({"-np", "32", "/bin/true"});
    ASSERT_EQ(outcome.status, 0) << "run " << i << ": " << outcome.err;
  }
  EXPECT_THAT(scratch_.Leftovers(), IsEmpty());
}

}  // namespace
}  // namespace lockstep::e2e
