// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Jobs whose nodes come by themselves: the same line on every node, as torchrun has it. The nodes
// are hosts of tests/hosts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/hosts/hosts.h"

namespace lockstep::e2e {
namespace {

using hosts::Hosts;
using hosts::Program;
using hosts::ProgramOptions;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kToken[] = "kV2Gq0Xl7cTf9mWb";
constexpr auto kAtMost = 30s;  // of what takes a second on an idle machine

using Words = std::vector<std::string>;

std::vector<std::string> SortedLines(const std::string& text) {
  std::vector<std::string> lines = Lines(text);
  std::sort(lines.begin(), lines.end());
  return lines;
}

class SameLineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = Hosts::Create({.count = kHosts, .sshd = false});
    if (!made.ok() && Hosts::Unsupported(made.status())) GTEST_SKIP() << made.status();
    ASSERT_OK(made.status());
    kit_ = *std::move(made);
    for (int host = 0; host < kHosts; ++host) WriteToken(host, kToken);
  }
  void TearDown() override {
    if (kit_ == nullptr) return;
    for (int host = 0; host < kHosts; ++host) {
      if (!kit_->up(host)) continue;
      EXPECT_TRUE(Eventually([&] { return kit_->CountProcesses(host) == 0; }, 5s))
          << "processes are left on " << Hosts::Name(host);
    }
  }

  void WriteToken(int host, const std::string& token) const {
    WriteFile(host, "/root/token", token + "\n", "600");
  }
  void WriteFile(int host, const std::string& path, const std::string& content,
                 const std::string& mode) const {
    const Outcome written = kit_->Run(
        host, {"sh", "-c", "cat > " + path + " && chmod " + mode + " " + path}, {.input = content});
    ASSERT_EQ(written.status, 0) << written.err;
  }
  /// The line that most tests start on every node of three.
  static Words Line(Words more = {}) {
    Words line = {"--nnodes",  "3", "--rdzv-endpoint", "h0:29400",
                  "--rdzv-id", "J", "--token-file",    "/root/token"};
    line.insert(line.end(), more.begin(), more.end());
    return line;
  }
  std::unique_ptr<Program> Start(int host, Words words, const ProgramOptions& options = {}) const {
    words.insert(words.begin(), {LockstepPath(), "run"});
    auto program = kit_->Spawn(host, words, options);
    EXPECT_OK(program.status());
    return program.ok() ? *std::move(program) : nullptr;
  }
  std::unique_ptr<Program> StartScript(int host, Words words, const std::string& script) const {
    words.insert(words.end(), {"--", "sh", "-c", script});
    return Start(host, std::move(words));
  }
  Outcome Verb(int host, Words words) const {
    words.insert(words.begin(), LockstepPath());
    return kit_->Run(host, words);
  }
  /// The same script by the same line on h0, h1, h2; their outcomes.
  std::vector<Outcome> RunOnAll(const Words& words, const std::string& script) const {
    std::vector<std::unique_ptr<Program>> programs;
    for (int host = 0; host < kNodes; ++host) programs.push_back(StartScript(host, words, script));
    return WaitForAll(programs);
  }
  static std::vector<Outcome> WaitForAll(const std::vector<std::unique_ptr<Program>>& programs) {
    std::vector<Outcome> outcomes;
    for (const auto& program : programs) outcomes.push_back(program->Wait(kAtMost));
    return outcomes;
  }
  /// Until each of them has printed that.
  static void WaitUntilAllSay(const std::vector<std::unique_ptr<Program>>& programs,
                              const std::string& text) {
    for (const auto& program : programs) {
      ASSERT_TRUE(program->WaitForOutput(
          [&](const std::string& out, const std::string&) { return e2e::Contains(out, text); },
          kAtMost))
          << program->out() << program->err();
    }
  }
  static bool Says(const Program& program, const std::string& text) {
    return program.WaitForOutput(
        [&](const std::string&, const std::string& err) { return e2e::Contains(err, text); },
        kAtMost);
  }
  /// Three nodes whose ranks say "up" and stay.
  std::vector<std::unique_ptr<Program>> StartSleepers(Words more = {}) const {
    std::vector<std::unique_ptr<Program>> programs;
    for (int host = 0; host < kNodes; ++host) {
      programs.push_back(StartScript(host, Line(more), "echo up; exec sleep 100"));
    }
    WaitUntilAllSay(programs, "up");
    return programs;
  }
  std::string JobsOf(int host) const {
    return kit_->Root(host) + "/root/.local/state/lockstep/jobs";
  }
  /// What the job's event log says there.
  std::string EventsOf(int host) const {
    return ReadFile(JobFolderOf(host) + "/events." + Hosts::Name(host) + ".jsonl");
  }
  /// The number behind `word`, at `from` or later; 0 without one.
  static double NumberAfter(const std::string& text, const std::string& word, size_t from) {
    const size_t at = text.find(word, from);
    return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + word.size(), nullptr);
  }
  /// The one job directory on that host; "" when there is none.
  std::string JobFolderOf(int host) const {
    std::string found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(JobsOf(host), error)) {
      if (entry.path().filename().string().front() != '.') found = entry.path().string();
    }
    return found;
  }

  static constexpr int kNodes = 3;  // h0, h1, h2
  static constexpr int kHosts = 4;  // the last is too many
  std::unique_ptr<Hosts> kit_;
};

// ----------------------------------------------------------------------------------------- it runs

class SameLineOrderTest : public SameLineTest,
                          public ::testing::WithParamInterface<std::vector<int>> {};

TEST_P(SameLineOrderTest, TheLineMayBeStartedInAnyOrder) {
  std::vector<std::unique_ptr<Program>> programs(3);
  for (const int host : GetParam()) {
    programs[static_cast<size_t>(host)] =
        StartScript(host, Line({"--node-rank", std::to_string(host)}),
                    "echo rank $RANK of $WORLD_SIZE on $(hostname)");
  }
  const std::vector<Outcome> outcomes = WaitForAll(programs);

  for (int host = 0; host < kNodes; ++host) {
    const Outcome& outcome = outcomes[static_cast<size_t>(host)];
    const std::string rank = std::to_string(host);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "[" + rank + "." + rank + "] rank " + rank + " of 3 on h" + rank + "\n");
  }
}

INSTANTIATE_TEST_SUITE_P(Orders, SameLineOrderTest,
                         ::testing::Values(std::vector<int>{0, 1, 2}, std::vector<int>{2, 1, 0},
                                           std::vector<int>{1, 0, 2}),
                         [](const auto& order) {
                           std::string name = "From";
                           for (const int host : order.param) name += std::to_string(host);
                           return name;
                         });

TEST_F(SameLineTest, NodesWithoutAPlaceGetOneAndTheCoordinatorsIsTheFirst) {
  const std::vector<Outcome> outcomes = RunOnAll(Line(), "echo $GROUP_RANK");

  EXPECT_EQ(outcomes[0].out, "[0.0] 0\n") << outcomes[0].err;
  EXPECT_THAT((Words{outcomes[1].out, outcomes[2].out}),
              ::testing::UnorderedElementsAre("[1.1] 1\n", "[2.2] 2\n"));
}

TEST_F(SameLineTest, EachNodeHasAsManyRanksAsItsOwnLineSays) {
  const std::string script = "echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR";
  std::vector<std::unique_ptr<Program>> programs;
  for (int host = 0; host < kNodes; ++host) {
    programs.push_back(StartScript(host,
                                   Line({"--node-rank", std::to_string(host), "--nproc-per-node",
                                         std::to_string(3 - host), "--log-prefix=false"}),
                                   script));
  }
  const std::vector<Outcome> outcomes = WaitForAll(programs);

  const std::string master = Hosts::Ipv4(0, hosts::Nic::kMgmt);
  EXPECT_THAT(SortedLines(outcomes[0].out),
              ElementsAre("0/6 0/3 " + master, "1/6 1/3 " + master, "2/6 2/3 " + master))
      << outcomes[0].err;
  EXPECT_THAT(SortedLines(outcomes[1].out), ElementsAre("3/6 0/2 " + master, "4/6 1/2 " + master));
  EXPECT_THAT(SortedLines(outcomes[2].out), ElementsAre("5/6 0/1 " + master));
}

TEST_F(SameLineTest, RankZeroMayBeOnAnotherNodeThanTheCoordinator) {
  std::vector<std::unique_ptr<Program>> programs;
  for (int host = 0; host < kNodes; ++host) {
    programs.push_back(StartScript(host, Line({"--node-rank", std::to_string(2 - host)}),
                                   "echo $RANK $MASTER_ADDR"));
  }
  const std::vector<Outcome> outcomes = WaitForAll(programs);

  const std::string master = Hosts::Ipv4(2, hosts::Nic::kMgmt);
  EXPECT_EQ(outcomes[0].out, "[2.2] 2 " + master + "\n") << outcomes[0].err;
  EXPECT_EQ(outcomes[2].out, "[0.0] 0 " + master + "\n") << outcomes[2].err;
}

TEST_F(SameLineTest, TheRootCauseIsToldOnEveryNode) {
  const std::vector<Outcome> outcomes =
      RunOnAll(Line({"--nproc-per-node", "2", "--grace", "0"}),
               "[ $RANK = 3 ] && { echo boom >&2; exit 7; }; sleep 60");

  for (int host = 0; host < kNodes; ++host) {
    const Outcome& outcome = outcomes[static_cast<size_t>(host)];
    EXPECT_EQ(outcome.status, 7) << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("rank 3 failed first: exit code 7"),
                                   HasSubstr("| boom"), HasSubstr("victims  5: ranks 0, 1, 2")));
    EXPECT_THAT(ReadFile(JobFolderOf(host) + "/verdict.json"), HasSubstr("DEAD_RANK"));
    EXPECT_TRUE(std::filesystem::is_empty(JobsOf(host) + "/.unfinished"));
  }
}

TEST_F(SameLineTest, TheGangRestartsOnAllNodes) {
  const std::vector<Outcome> outcomes =
      RunOnAll(Line({"--max-restarts", "1", "--grace", "0"}),
               "[ $RANK$TORCHELASTIC_RESTART_COUNT = 20 ] && exit 7; "
               "[ $TORCHELASTIC_RESTART_COUNT = 0 ] && sleep 60; echo again");

  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, EndsWith("again\n"));
  }
}

TEST_F(SameLineTest, OneJobAfterTheOtherMeetsAtTheSamePlace) {
  std::vector<std::unique_ptr<Program>> programs;
  const std::string run = LockstepPath() + " run --nnodes 3 --rdzv-endpoint h0 --token-file " +
                          "/root/token sh -c 'echo job $0' ";
  for (int host = 0; host < kNodes; ++host) {
    auto program = kit_->Spawn(host, {"sh", "-ec", run + "one; " + run + "two; " + run + "three"});
    ASSERT_OK(program.status());
    programs.push_back(*std::move(program));
  }
  for (const Outcome& outcome : WaitForAll(programs)) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out,
                AllOf(HasSubstr("job one"), HasSubstr("job two"), EndsWith("job three\n")));
  }
}

TEST_F(SameLineTest, AnIPv6EndpointWithoutATokenRunsToo) {
  const std::vector<Outcome> outcomes =
      RunOnAll({"--nnodes", "3", "--rdzv-endpoint",
                "[" + Hosts::Ipv6(0, hosts::Nic::kData) + "]:29400", "--allow-plain"},
               "echo $MASTER_ADDR");

  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, EndsWith(" " + Hosts::Ipv6(0, hosts::Nic::kData) + "\n"));
    EXPECT_THAT(outcome.err, HasSubstr("note: --allow-plain"));
  }
}

TEST_F(SameLineTest, ATokenJobMeetsOverIPv6) {
  const std::string endpoint = "[" + Hosts::Ipv6(0, hosts::Nic::kMgmt) + "]:29400";
  Words line = Line();
  *(std::find(line.begin(), line.end(), "--rdzv-endpoint") + 1) = endpoint;
  // With another token nobody gets in, so it is TLS that the others speak.
  WriteToken(3, "another-token-of-enough-bytes");
  Words stranger_line = line;
  stranger_line.insert(stranger_line.end(), {"--rdzv-conf", "join_timeout=5"});

  std::vector<std::unique_ptr<Program>> programs;
  programs.push_back(StartScript(0, line, "echo $MASTER_ADDR"));
  const Outcome stranger = StartScript(3, stranger_line, "echo in")->Wait(kAtMost);
  for (const int host : {1, 2}) programs.push_back(StartScript(host, line, "echo $MASTER_ADDR"));

  for (const Outcome& outcome : WaitForAll(programs)) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, EndsWith(" " + Hosts::Ipv6(0, hosts::Nic::kMgmt) + "\n"));
    EXPECT_THAT(outcome.err, Not(HasSubstr("--allow-plain")));
  }
  EXPECT_NE(stranger.status, 0);
  EXPECT_EQ(stranger.out, "");
}

// h1's clock is three hours ahead; by what its events say of that they fit between the others'.
TEST_F(SameLineTest, EventsSayHowTheClockStandsToTheCoordinators) {
  const char* faketime = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
  if (!std::filesystem::exists(faketime)) GTEST_SKIP() << "faketime is not installed";
  if (e2e::RunToEnd({"/lib64/ld-linux-x86-64.so.2", "--verify", LockstepPath()}, e2e::Scratch())
          .status != 0)
    GTEST_SKIP() << "a static program loads no libfaketime";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP()
      << "a sanitizer's runtime must be the first library of a process, and so must faketime";
#endif
  std::vector<std::unique_ptr<Program>> programs;
  for (int host = 0; host < kNodes; ++host) {
    Words words = Line();
    words.insert(words.end(), {"--", "sleep", "1"});
    ProgramOptions options;
    if (host == 1) {
      options.environment = {
          {"LD_PRELOAD", faketime}, {"FAKETIME", "+3h"}, {"FAKETIME_DONT_FAKE_MONOTONIC", "1"}};
    }
    programs.push_back(Start(host, words, options));
  }
  for (const Outcome& outcome : WaitForAll(programs)) EXPECT_EQ(outcome.status, 0) << outcome.err;

  EXPECT_THAT(EventsOf(0), Not(HasSubstr("clock_compared")));
  for (const int host : {1, 2}) {
    const std::string events = EventsOf(host);
    const size_t at = events.find("\"clock_compared\":");
    ASSERT_NE(at, std::string::npos) << events;
    const double offset = NumberAfter(events, "\"offset_ns\":\"", at) * 1e-9;
    const double error = NumberAfter(events, "\"error_ns\":\"", at) * 1e-9;
    EXPECT_GT(error, 0);
    EXPECT_LT(error, 5);
    EXPECT_NEAR(offset, host == 1 ? -10'800 : 0, error + 0.01);
  }
}

TEST_F(SameLineTest, ATorchrunLineOfEachHabitRuns) {
  const std::string address = Hosts::Ipv4(0, hosts::Nic::kData);
  for (const Words& habit :
       {Words{"--master-addr", address, "--master-port", "29400"},
        Words{"--rdzv_backend=c10d", "--rdzv_endpoint=" + address, "--rdzv_id=1"}}) {
    std::vector<std::unique_ptr<Program>> programs;
    for (int host = 0; host < kNodes; ++host) {
      Words words = {"torchrun", "--nnodes=3", "--nproc_per_node=1",
                     "--node_rank=" + std::to_string(host)};
      words.insert(words.end(), habit.begin(), habit.end());
      words.insert(words.end(),
                   {"--no-python", "sh", "-c", "echo $RANK $MASTER_ADDR:$MASTER_PORT"});
      programs.push_back(
          Start(host, words, {.environment = {{"LOCKSTEP_TOKEN_FILE", "/root/token"}}}));
    }
    const std::vector<Outcome> outcomes = WaitForAll(programs);
    const bool is_static = habit[0] == "--master-addr";

    for (int host = 0; host < kNodes; ++host) {
      const Outcome& outcome = outcomes[static_cast<size_t>(host)];
      EXPECT_EQ(outcome.status, 0) << outcome.err;
      EXPECT_THAT(outcome.out, HasSubstr("] " + std::to_string(host) + " " + address +
                                         (is_static ? ":29400" : "")));
    }
  }
}

TEST_F(SameLineTest, ALineMayComeFromTheEnvironmentAsKubeflowHasIt) {
  std::vector<std::unique_ptr<Program>> programs;
  for (int host = 0; host < kNodes; ++host) {
    programs.push_back(Start(host, {"sh", "-c", "env | grep -c -e TOKEN -e PET_; echo $RANK"},
                             {.environment = {{"LOCKSTEP_TOKEN_FILE", "/root/token"},
                                              {"PET_NNODES", "3"},
                                              {"PET_NPROC_PER_NODE", "1"},
                                              {"PET_NODE_RANK", std::to_string(host)},
                                              {"PET_MASTER_ADDR", "h0"},
                                              {"PET_MASTER_PORT", "29400"}}}));
  }
  const std::vector<Outcome> outcomes = WaitForAll(programs);

  EXPECT_EQ(outcomes[1].status, 0) << outcomes[1].err;
  EXPECT_EQ(outcomes[1].out, "[1.1] 0\n[1.1] 1\n") << "and no rank is given the token's place";
}

// ----------------------------------------------------------------------------------- while it runs

TEST_F(SameLineTest, WhoIsMissingIsToldOnEveryNode) {
  auto member = StartScript(1, Line(), "true");
  EXPECT_TRUE(Says(*member, "waiting for the coordinator at h0:29400")) << member->err();
  auto coordinator = StartScript(0, Line(), "true");
  EXPECT_TRUE(Says(*coordinator, "2 of 3 nodes are here, missing 1")) << coordinator->err();
  EXPECT_TRUE(Says(*member, "2 of 3 nodes are here, missing 1")) << member->err();

  auto last = StartScript(2, Line(), "true");

  EXPECT_EQ(member->Wait(kAtMost).status, 0);
  EXPECT_EQ(coordinator->Wait(kAtMost).status, 0);
  EXPECT_THAT(last->Wait(kAtMost).err, IsEmpty());
}

TEST_F(SameLineTest, WhoDoesNotComeInTimeIsNamedOnEveryNode) {
  const Words words = Line({"--rdzv-conf", "join_timeout=2"});
  auto coordinator = StartScript(0, words, "true");
  auto member = StartScript(1, words, "true");

  const Outcome there = coordinator->Wait(kAtMost);
  const Outcome here = member->Wait(kAtMost);

  EXPECT_EQ(there.status, 69);
  EXPECT_THAT(there.err, HasSubstr("2 of 3 nodes came within 2s"));
  EXPECT_EQ(here.status, 69);
  EXPECT_THAT(here.err, HasSubstr("2 of 3 nodes came within 2s"));
}

TEST_F(SameLineTest, ACoordinatorThatDoesNotComeIsNamed) {
  auto member = StartScript(1, Line({"--rdzv-conf", "join_timeout=1"}), "true");

  const Outcome outcome = member->Wait(kAtMost);

  EXPECT_EQ(outcome.status, 69);
  EXPECT_THAT(outcome.err, HasSubstr("h0:29400"));
}

TEST_F(SameLineTest, CtrlCOnAnyNodeStopsTheJob) {
  const auto programs = StartSleepers();

  programs[2]->Signal(SIGINT);

  for (const Outcome& outcome : WaitForAll(programs)) EXPECT_EQ(outcome.status, 130) << outcome.err;
}

TEST_F(SameLineTest, CtrlCWhileNodesAreMissingEndsTheLine) {
  auto member = StartScript(1, Line(), "true");
  ASSERT_TRUE(Says(*member, "waiting for"));
  member->Signal(SIGINT);
  EXPECT_EQ(member->Wait(kAtMost).status, 130);

  auto coordinator = StartScript(0, Line(), "true");
  auto admitted = StartScript(2, Line(), "true");
  ASSERT_TRUE(Says(*admitted, "2 of 3")) << admitted->err();
  coordinator->Signal(SIGINT);
  EXPECT_EQ(coordinator->Wait(kAtMost).status, 130);
  EXPECT_EQ(admitted->Wait(kAtMost).status, 130);
}

TEST_F(SameLineTest, VerbsWorkOnEveryNode) {
  const auto programs = StartSleepers({"--name", "mnist"});

  EXPECT_THAT(Verb(2, {"ps"}).out, AllOf(HasSubstr("mnist-"), HasSubstr("running")));
  EXPECT_THAT(Verb(2, {"status", "mnist"}).out, HasSubstr("mnist-"));
  EXPECT_THAT(ReadFile(JobFolderOf(1) + "/spec.yaml"), HasSubstr("endpoint: "));
  EXPECT_EQ(Verb(1, {"stop", "mnist"}).status, 0);

  for (const Outcome& outcome : WaitForAll(programs)) EXPECT_EQ(outcome.status, 143) << outcome.err;
  EXPECT_THAT(Verb(2, {"ps", "--all"}).out, HasSubstr("mnist-"));
}

TEST_F(SameLineTest, EveryNodesLineMayGoIntoTheBackground) {
  const std::vector<Outcome> outcomes =
      RunOnAll(Line({"--detach", "--name", "night"}), "echo up; exec sleep 100");
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, AllOf(StartsWith("job night-"), EndsWith(" started\n")));
  }
  EXPECT_EQ(outcomes[0].out, outcomes[1].out) << "they are one job";

  EXPECT_EQ(Verb(2, {"stop", "--now", "night"}).status, 0);

  EXPECT_TRUE(Eventually([&] { return kit_->CountProcesses(1) == 0; }, 10s));
  EXPECT_THAT(ReadFile(JobFolderOf(1) + "/console.h1.log"), HasSubstr("] up\n"));
  for (const auto& entry : std::filesystem::directory_iterator(JobsOf(1))) {
    EXPECT_THAT(entry.path().filename().string(), Not(StartsWith(".joining"))) << "left behind";
  }
}

// --------------------------------------------------------------------------------- what may happen

TEST_F(SameLineTest, WhereTheCoordinatorsHostDiesTheOthersEndTheirRanks) {
  const auto programs = StartSleepers();

  ASSERT_OK(kit_->Kill(0));

  for (size_t host = 1; host < kNodes; ++host) {
    const Outcome outcome = programs[host]->Wait(kAtMost);
    EXPECT_EQ(outcome.status, 75);
    EXPECT_THAT(outcome.err, HasSubstr("coordinator"));
    EXPECT_EQ(kit_->CountProcesses(static_cast<int>(host)), 0);
    EXPECT_THAT(ReadFile(JobFolderOf(static_cast<int>(host)) + "/verdict.json"),
                HasSubstr("NODE_LOST"));
  }
}

TEST_F(SameLineTest, AHostThatDiesIsNamedOnEveryOther) {
  const auto programs = StartSleepers({"--node-rank", "auto"});

  ASSERT_OK(kit_->Kill(1));

  for (const size_t host : {size_t{0}, size_t{2}}) {
    const Outcome outcome = programs[host]->Wait(kAtMost);
    EXPECT_EQ(outcome.status, 75);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("h1"), HasSubstr("was lost")));
  }
}

TEST_F(SameLineTest, AKilledAgentLeavesNothingAndItsFrontWritesDownTheEnd) {
  const auto programs = StartSleepers();
  const std::vector<pid_t> agents = ChildrenOf(programs[1]->pid());
  ASSERT_EQ(agents.size(), 1u);

  ::kill(agents[0], SIGKILL);

  const Outcome killed = programs[1]->Wait(kAtMost);
  EXPECT_EQ(killed.status, 75);
  EXPECT_THAT(killed.err, HasSubstr("killed by signal 9"));
  EXPECT_EQ(kit_->CountProcesses(1), 0);
  EXPECT_THAT(ReadFile(JobFolderOf(1) + "/verdict.json"), HasSubstr("NODE_LOST"));
  EXPECT_TRUE(std::filesystem::is_empty(JobsOf(1) + "/.unfinished"));
  EXPECT_EQ(programs[0]->Wait(kAtMost).status, 75);
  EXPECT_EQ(programs[2]->Wait(kAtMost).status, 75);
}

TEST_F(SameLineTest, AKilledFrontIsALostNode) {
  const auto programs = StartSleepers();

  programs[2]->Signal(SIGKILL);

  EXPECT_EQ(programs[0]->Wait(kAtMost).status, 75);
  EXPECT_EQ(programs[1]->Wait(kAtMost).status, 75);
  EXPECT_TRUE(Eventually([&] { return kit_->CountProcesses(2) == 0; }, 10s));
}

TEST_F(SameLineTest, TheTokenIsInNoFileArgumentOrEnvironment) {
  const auto programs = StartSleepers();

  for (int host = 0; host < kNodes; ++host) {
    const Outcome found =
        kit_->Run(host, {"sh", "-c",
                         "grep -rlF -f /root/token /root/.local /tmp /run;"
                         "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n' |"
                         "grep -F -f /root/token; cat /proc/[0-9]*/cmdline | grep -ac sleep"});
    EXPECT_EQ(found.out, "1\n") << Hosts::Name(host) << ": found, or did not look";
  }
  programs[0]->Signal(SIGINT);
  WaitForAll(programs);
}

// ----------------------------------------------------------------------------------- what is wrong

TEST_F(SameLineTest, WithoutATokenTheLineIsRefusedWithTheReasonAndTheCure) {
  const Outcome outcome =
      StartScript(1, {"--nnodes", "3", "--rdzv-endpoint", "h0:29400"}, "true")->Wait(kAtMost);

  EXPECT_EQ(outcome.status, 64);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("spec.placement.join.tokenFile"), HasSubstr("could take a node's"),
                    HasSubstr("head -c 32 /dev/urandom | base64 > FILE; chmod 600 FILE"),
                    HasSubstr("--allow-plain")));
}

TEST_F(SameLineTest, LinesThatCannotBeRightAreRefusedAtOnce) {
  struct Case {
    Words words;
    std::string says;
  };
  const Words token = {"--token-file", "/root/token"};
  for (const auto& [words, says] : std::vector<Case>{
           {{"--nnodes", "2", "--rdzv-endpoint", "localhost:29400"}, "means this machine alone"},
           {{"--nnodes", "2", "--rdzv-endpoint", "127.0.0.1:29400"}, "means this machine alone"},
           {{"--nnodes", "2", "--rdzv-endpoint", "h0:0"}, "is no HOST:PORT"},
           {{"--nnodes", "2", "--rdzv-endpoint", "h0:x"}, "is no HOST:PORT"},
           {{"--nnodes", "2", "--rdzv-endpoint", "h0", "--node-rank", "2"}, "less than the number"},
           {{"--nnodes", "2", "--rdzv-endpoint", "h0", "-np", "3"}, "--nproc-per-node"},
           {{"--nnodes", "2", "--rdzv-endpoint", "h0", "--master-port", "29400"}, "--master-port"},
           {{"--nnodes", "2", "--rdzv-endpoint", "nowhere.invalid", "--rdzv-conf",
             "join_timeout=1"},
            "where the nodes meet, nowhere.invalid:29400, is unknown on host h1"},
           {{"--nnodes", "2", "--rdzv-endpoint", "h0", "--token-file", "/root/none"},
            "/root/none"}}) {
    Words all = token;
    all.insert(all.end(), words.begin(), words.end());
    const Outcome outcome = StartScript(1, all, "true")->Wait(kAtMost);

    EXPECT_EQ(outcome.status, 64) << says;
    EXPECT_THAT(outcome.err, HasSubstr(says));
  }
}

/// What h1's own line lacks is told on h1 at once and on h0, which goes on waiting.
class SameLineRefusalTest : public SameLineTest {
 protected:
  void SetUp() override {
    SameLineTest::SetUp();
    if (kit_ == nullptr) return;
    coordinator_ = StartScript(0, Line(), "true");
  }
  Outcome Refused(const Words& words) const { return StartScript(1, words, "true")->Wait(kAtMost); }
  /// And what the coordinator has said by then.
  void ExpectToldThere(const std::string& text) const {
    EXPECT_TRUE(Says(*coordinator_, text)) << coordinator_->err();
    coordinator_->Signal(SIGINT);
    EXPECT_EQ(coordinator_->Wait(kAtMost).status, 130);
  }

  std::unique_ptr<Program> coordinator_;
};

TEST_F(SameLineRefusalTest, AnotherNumberOfNodes) {
  Words words = Line();
  words[1] = "4";
  const Outcome outcome = Refused(words);

  EXPECT_EQ(outcome.status, 64);
  const std::string text = "host h1 was started for a job of 4 nodes, this one has 3";
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(text), HasSubstr("same --nnodes")));
  ExpectToldThere(text);
}

TEST_F(SameLineRefusalTest, ThePlaceOfAnother) {
  const Outcome outcome = Refused(Line({"--node-rank", "0"}));

  EXPECT_EQ(outcome.status, 64);
  const std::string text = "host h1 wants to be node 0, which host h0 is";
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(text), HasSubstr("--node-rank of its own")));
  ExpectToldThere(text);
}

TEST_F(SameLineRefusalTest, AnotherToken) {
  WriteToken(1, "anotherTokenThanThat");
  const Outcome outcome = Refused(Line());

  EXPECT_EQ(outcome.status, 64);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("h0:29400"), HasSubstr("token"), HasSubstr("another job")));
  coordinator_->Signal(SIGINT);
  EXPECT_EQ(coordinator_->Wait(kAtMost).status, 130);
}

TEST_F(SameLineRefusalTest, AnotherId) {
  Words words = Line();
  words[5] = "K";
  const Outcome outcome = Refused(words);

  EXPECT_EQ(outcome.status, 64);
  EXPECT_THAT(outcome.err, HasSubstr("--rdzv-id"));
  coordinator_->Signal(SIGINT);
  EXPECT_EQ(coordinator_->Wait(kAtMost).status, 130);
}

TEST_F(SameLineRefusalTest, NoTokenWhereOneIsWanted) {
  Words words = Line({"--allow-plain"});
  words.erase(words.begin() + 6, words.begin() + 8);
  const Outcome outcome = Refused(words);

  EXPECT_EQ(outcome.status, 64);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the peer speaks TLS"), HasSubstr("same token file")));
  coordinator_->Signal(SIGINT);
  EXPECT_EQ(coordinator_->Wait(kAtMost).status, 130);
}

TEST_F(SameLineRefusalTest, ASecondCoordinator) {
  ASSERT_TRUE(Says(*coordinator_, "1 of 3"));
  const Outcome outcome = StartScript(0, Line(), "true")->Wait(kAtMost);

  EXPECT_EQ(outcome.status, 69);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("port 29400 of host h0"), HasSubstr("is taken"),
                                 HasSubstr("started here before")));
  coordinator_->Signal(SIGINT);
  EXPECT_EQ(coordinator_->Wait(kAtMost).status, 130);
}

TEST_F(SameLineRefusalTest, AHostThatIsThereAlready) {
  auto first = StartScript(1, Line(), "true");
  ASSERT_TRUE(Says(*first, "2 of 3")) << first->err();
  const Outcome outcome = Refused(Line());

  EXPECT_EQ(outcome.status, 64);
  EXPECT_THAT(outcome.err, HasSubstr("host h1 is node 1 already"));
  ExpectToldThere("host h1 is node 1 already");
  EXPECT_EQ(first->Wait(kAtMost).status, 130);
}

TEST_F(SameLineTest, AnotherProgramIsRefusedBeforeAnyRankStarts) {
  const std::string program = "#!/bin/sh\nexit 0\n";
  for (const int host : {0, 2}) WriteFile(host, "/root/train", program, "755");
  WriteFile(1, "/root/train", program + "# another build\n", "755");
  const Words words = Line({"/root/train"});
  auto coordinator = Start(0, words);
  const Outcome outcome = Start(1, words)->Wait(kAtMost);

  EXPECT_EQ(outcome.status, 64);
  const std::string text = "the program on host h1 is not that on host h0";
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(text), HasSubstr("copy the same file to both")));
  EXPECT_TRUE(Says(*coordinator, text));

  WriteFile(1, "/root/train", program, "755");
  auto mended = Start(1, words);
  auto last = Start(2, words);
  EXPECT_EQ(coordinator->Wait(kAtMost).status, 0) << "it was let in once it was mended";
  EXPECT_EQ(mended->Wait(kAtMost).status, 0);
  EXPECT_EQ(last->Wait(kAtMost).status, 0);
}

TEST_F(SameLineTest, ANodeWithoutTheProgramDoesNotTakePart) {
  const Outcome outcome = Start(1, Line({"/root/train"}))->Wait(kAtMost);

  EXPECT_EQ(outcome.status, 127);
  EXPECT_THAT(outcome.err, HasSubstr("/root/train"));
}

TEST_F(SameLineTest, ANodeThatIsCutOffEndsItsRanksWithItsLease) {
  const auto programs = StartSleepers();

  ASSERT_OK(kit_->Drop(1));

  const Outcome there = programs[0]->Wait(kAtMost);
  EXPECT_EQ(there.status, 75);
  EXPECT_THAT(there.err, AllOf(HasSubstr("h1"), HasSubstr("was lost")));
  const Outcome here = programs[1]->Wait(kAtMost);
  EXPECT_EQ(here.status, 75);
  EXPECT_THAT(here.err, HasSubstr("lease"));
  EXPECT_EQ(kit_->CountProcesses(1), 0);
  EXPECT_EQ(programs[2]->Wait(kAtMost).status, 75);
}

TEST_F(SameLineTest, AnAddressOfItsOwnIsWhatTheOthersAreTold) {
  const std::string address = Hosts::Ipv4(0, hosts::Nic::kData);
  std::vector<std::unique_ptr<Program>> programs;
  for (int host = 0; host < kNodes; ++host) {
    Words words = Line();
    if (host == 0) words.insert(words.end(), {"--local-addr", address});
    programs.push_back(StartScript(host, words, "echo $MASTER_ADDR"));
  }
  for (const Outcome& outcome : WaitForAll(programs)) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, EndsWith(" " + address + "\n"));
  }
}

TEST_F(SameLineTest, ANodeThatIsTooManyIsRefusedAndTheJobGoesOn) {
  const auto programs = StartSleepers();

  const Outcome outcome = StartScript(3, Line(), "true")->Wait(kAtMost);

  EXPECT_EQ(outcome.status, 69);
  EXPECT_THAT(outcome.err, HasSubstr("host h3 came too late: the job has all of its 3 nodes"));
  programs[0]->Signal(SIGINT);
  for (const Outcome& one : WaitForAll(programs)) EXPECT_EQ(one.status, 130);
}

}  // namespace
}  // namespace lockstep::e2e
