// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Whatever a rank has made ends with the job, however the job ends: as root and as a user, with and
// without cgroups.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/e2e/stage.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AnyOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::string FileOf(pid_t pid, const std::string& name) {
  return ReadFile("/proc/" + std::to_string(pid) + "/" + name);
}

pid_t SessionOf(pid_t pid) { return ::getsid(pid); }

pid_t ParentOf(pid_t pid) {
  const std::string stat = FileOf(pid, "stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  char state = 0;
  pid_t parent = -1;
  fields >> state >> parent;
  return parent;
}

bool IgnoresTerm(pid_t pid) {
  const std::string status = FileOf(pid, "status");
  const size_t at = status.find("SigIgn:");
  return at != std::string::npos &&
         ((std::stoull(status.substr(at + 7), nullptr, 16) >> (SIGTERM - 1)) & 1) != 0;
}

bool HoldsAPipe(pid_t pid) {
  std::error_code error;
  const auto target =
      std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/1", error);
  return !error && target.string().starts_with("pipe:");
}

/// A process that a rank leaves; each is a `sleep 4242`.
struct Stray {
  const char* name;
  const char* script;
  bool (*is_ready)(pid_t);  // it has become what its name says
};

constexpr Stray kStrays[] = {
    {"Child", "sleep 4242 >/dev/null 2>&1 &",
     [](pid_t pid) { return SessionOf(pid) == ParentOf(pid); }},
    {"SetsidChild", "setsid sleep 4242 >/dev/null 2>&1 &",
     [](pid_t pid) { return SessionOf(pid) == pid; }},
    {"DoubleFork", "(setsid sleep 4242 >/dev/null 2>&1 &)",
     // Its parent is the agent, which leads a session of its own and no shell.
     [](pid_t pid) {
       return SessionOf(pid) == pid && FileOf(ParentOf(pid), "comm").starts_with("lockstep");
     }},
    {"TermIgnorer", "(trap '' TERM; exec sleep 4242 >/dev/null 2>&1) &", &IgnoresTerm},
    {"StoppedChild",
     "sleep 4242 >/dev/null 2>&1 & "
     "until [ \"$(cat /proc/$!/comm)\" = sleep ]; do :; done; kill -STOP $!",
     [](pid_t pid) { return ProcessState(pid) == 'T'; }},
    {"PipeHolder", "(setsid sleep 4242 &)", &HoldsAPipe},
};

enum class End { kRankFailed, kAgentKilled, kFrontKilled, kBothKilled };

std::string NameOf(End end) {
  switch (end) {
    case End::kRankFailed: return "RankFailed";
    case End::kAgentKilled: return "AgentKilled";
    case End::kFrontKilled: return "FrontKilled";
    case End::kBothKilled: return "BothKilled";
  }
  return "";
}

constexpr Setting kSettings[] = {{.as_root = true, .cgroups = true},
                                 {.as_root = true, .cgroups = false},
                                 {.as_root = false, .cgroups = true},
                                 {.as_root = false, .cgroups = false}};

/// A job in a setting, and what can be done to it.
class LeftoversFixture : public RunFixture {
 protected:
  void SetStage(const Setting& setting) {
    stage_ = std::make_unique<Stage>(setting, scratch_);
    MakeGo();
  }

  Command::Options StageOptions() const {
    Command::Options options = Options();
    options.wrapper = stage_->wrapper();
    return options;
  }

  /// Rank 0 waits for LetGo(), the others for their end.
  std::unique_ptr<Command> Start(int ranks, const std::string& script,
                                 const std::vector<std::string>& flags = {}) const {
    std::vector<std::string> words = {stage_->lockstep(),   "run", "--name", "job", "-np",
                                      std::to_string(ranks)};
    words.insert(words.end(), flags.begin(), flags.end());
    words.insert(words.end(),
                 {"--", "/bin/sh", "-c",
                  script + "\nif [ $RANK = 0 ]; then read word <go; exit 3; fi; exec sleep 4343"});
    return std::make_unique<Command>(words, StageOptions());
  }

  std::vector<pid_t> Running(const std::string& command) const {
    std::vector<pid_t> pids;
    for (const std::string& left : scratch_.Leftovers()) {
      if (left.substr(left.find(' ') + 1) == command + " ") pids.push_back(std::stoi(left));
    }
    return pids;
  }

  /// Never a number that kill() takes for many processes.
  static pid_t AgentOf(const Command& command) {
    const std::vector<pid_t> children = ChildrenOf(command.pid());
    EXPECT_EQ(children.size(), 1u) << "the front has its agent and nobody else";
    return children.size() == 1 ? children.front() : command.pid();
  }

  /// As if at once: the front is stopped, so that it cannot clean up after the agent.
  static void KillBoth(Command& command) {
    const pid_t agent = AgentOf(command);
    command.Signal(SIGSTOP);
    ::kill(agent, SIGKILL);
    command.Signal(SIGKILL);
    command.Wait(10s);
  }

  Outcome Ps() const { return Command({stage_->lockstep(), "ps"}, StageOptions()).Wait(20s); }

  std::unique_ptr<Stage> stage_;
};

// -------------------------------------------------------------------------------------------------
// every kind of process, every end, every setting

using Case = std::tuple<Stray, Setting, End>;

class LeftoversTest : public LeftoversFixture, public ::testing::WithParamInterface<Case> {};

TEST_P(LeftoversTest, NothingIsLeft) {
  const auto& [stray, setting, end] = GetParam();
  SetStage(setting);
  if (!stage_->why_not().empty()) GTEST_SKIP() << stage_->why_not();
  const std::unique_ptr<Command> command = Start(2, stray.script);
  std::vector<pid_t> strays;
  ASSERT_TRUE(Eventually(
      [&, ready = stray.is_ready] {
        strays = Running("sleep 4242");
        return strays.size() == 2 && std::all_of(strays.begin(), strays.end(), ready) &&
               Running("sleep 4343").size() == 1;
      },
      20s))
      << command->Wait(0s).err << ::testing::PrintToString(scratch_.Leftovers());
  for (const pid_t pid : strays) {
    const std::string cgroup = FileOf(pid, "cgroup");
    EXPECT_EQ(Contains(cgroup, "/lockstep-"), setting.cgroups) << cgroup;
  }

  switch (end) {
    case End::kRankFailed: {
      EXPECT_TRUE(LetGo());
      const Outcome outcome = command->Wait(20s);
      EXPECT_EQ(outcome.status, 3) << outcome.err;
      break;
    }
    case End::kAgentKilled: {
      ::kill(AgentOf(*command), SIGKILL);
      const Outcome outcome = command->Wait(20s);
      EXPECT_EQ(outcome.status, 75) << outcome.err;
      break;
    }
    case End::kFrontKilled:
      command->Signal(SIGKILL);
      EXPECT_EQ(command->Wait(10s).status, 128 + SIGKILL);
      EXPECT_THAT(scratch_.LeftoversAfter(20s), IsEmpty());
      break;
    case End::kBothKilled: {
      KillBoth(*command);
      EXPECT_TRUE(Eventually([&] { return scratch_.Leftovers().size() <= 2; }, 1s))
          << "rank leaders: " << ::testing::PrintToString(scratch_.Leftovers());
      // Others wait for the next command; but the kernel ends stopped orphans by SIGHUP, and where
      // root's agents share a cgroup the next one of anybody's removes what a dead one left there.
      const bool is_shared = setting.as_root && setting.cgroups;
      if (!is_shared && std::string(stray.name) != "StoppedChild") {
        EXPECT_THAT(Running("sleep 4242"), SizeIs(2));
      }
      const Outcome ps = Ps();
      EXPECT_EQ(ps.status, 0) << ps.err;
      EXPECT_THAT(ps.err, HasSubstr("was lost"));
      break;
    }
  }
  EXPECT_THAT(scratch_.Leftovers(), IsEmpty());
}

std::string NameOfCase(const ::testing::TestParamInfo<Case>& test) {
  const auto& [stray, setting, end] = test.param;
  return std::string(stray.name) + "_" + NameOf(setting) + "_" + NameOf(end);
}

INSTANTIATE_TEST_SUITE_P(All, LeftoversTest,
                         ::testing::Combine(::testing::ValuesIn(kStrays),
                                            ::testing::ValuesIn(kSettings),
                                            ::testing::Values(End::kRankFailed, End::kAgentKilled,
                                                              End::kFrontKilled, End::kBothKilled)),
                         &NameOfCase);

// -------------------------------------------------------------------------------------------------
// more about the ends, in each setting

class EndTest : public LeftoversFixture, public ::testing::WithParamInterface<Setting> {};

INSTANTIATE_TEST_SUITE_P(All, EndTest, ::testing::ValuesIn(kSettings),
                         [](const auto& test) { return NameOf(test.param); });

TEST_P(EndTest, RanksEndWithin200MillisecondsOfTheAgentsKill) {
  constexpr int kRanks = 8;
  constexpr int kRuns = 5;
  SetStage(GetParam());
  if (!stage_->why_not().empty()) GTEST_SKIP() << stage_->why_not();
  std::vector<std::chrono::steady_clock::duration> times;
  for (int run = 0; run < kRuns; ++run) {
    const std::unique_ptr<Command> command = Start(kRanks, "");
    std::vector<pid_t> ranks;
    ASSERT_TRUE(
        Eventually([&] { return (ranks = Running("sleep 4343")).size() == kRanks - 1; }, 20s));

    const auto killed_at = std::chrono::steady_clock::now();
    ::kill(AgentOf(*command), SIGKILL);
    const bool ended = Eventually(
        [&] {
          return std::all_of(ranks.begin(), ranks.end(), [](pid_t pid) {
            const char state = ProcessState(pid);
            return state == '?' || state == 'Z';
          });
        },
        10s);

    times.push_back(std::chrono::steady_clock::now() - killed_at);
    EXPECT_TRUE(ended);
    EXPECT_EQ(command->Wait(20s).status, 75);
  }
  std::sort(times.begin(), times.end());
  const auto median = std::chrono::duration_cast<std::chrono::microseconds>(times[kRuns / 2]);
  std::cout << "from SIGKILL of the agent to the end of " << kRanks - 1 << " ranks: median "
            << median.count() << " us\n";
  EXPECT_LE(median, 200ms);
}

TEST_P(EndTest, AKilledRankTakesItsGrandchildrenWithIt) {
  SetStage(GetParam());
  if (!stage_->why_not().empty()) GTEST_SKIP() << stage_->why_not();
  const std::unique_ptr<Command> command =
      Start(2, "sh -c 'setsid sh -c \"sleep 4242 & wait\" & wait' &");
  ASSERT_TRUE(Eventually(
      [&] { return Running("sleep 4242").size() == 2 && Running("sleep 4343").size() == 1; }, 20s));

  ::kill(Running("sleep 4343").front(), SIGKILL);

  const Outcome outcome = command->Wait(20s);
  EXPECT_EQ(outcome.status, 128 + SIGKILL) << outcome.err;
  EXPECT_THAT(scratch_.Leftovers(), IsEmpty());
}

TEST_P(EndTest, NothingOfARoundIsLeftInTheNextOne) {
  SetStage(GetParam());
  if (!stage_->why_not().empty()) GTEST_SKIP() << stage_->why_not();
  std::string strays = "[ $TORCHELASTIC_RESTART_COUNT = 1 ] && exec sleep 4444\n";
  for (const Stray& stray : kStrays) strays += stray.script + std::string("\n");
  const std::unique_ptr<Command> command = Start(2, strays, {"--max-restarts", "1"});
  ASSERT_TRUE(Eventually(
      [&] {
        return Running("sleep 4242").size() == 2 * std::size(kStrays) &&
               Running("sleep 4343").size() == 1;
      },
      20s));

  EXPECT_TRUE(LetGo());
  ASSERT_TRUE(Eventually([&] { return Running("sleep 4444").size() == 2; }, 20s));

  EXPECT_THAT(Running("sleep 4242"), IsEmpty());
  EXPECT_THAT(Running("sleep 4343"), IsEmpty());
  command->Signal(SIGTERM);
  EXPECT_EQ(command->Wait(20s).status, 128 + SIGTERM);
  EXPECT_THAT(scratch_.Leftovers(), IsEmpty());
}

TEST_P(EndTest, DaemonsThatForkOnAndOnAreCaught) {
  SetStage(GetParam());
  if (!stage_->why_not().empty()) GTEST_SKIP() << stage_->why_not();
  // Each generation lives for some milliseconds and leaves its successor an orphan.
  scratch_.Write("hop", "#!/bin/sh\nsetsid ./hop </dev/null >/dev/null 2>&1 &\n", 0755);
  const std::unique_ptr<Command> command = Start(2, "./hop");
  ASSERT_TRUE(Eventually([&] { return Running("sleep 4343").size() == 1; }, 20s));

  EXPECT_TRUE(LetGo());

  const Outcome outcome = command->Wait(30s);
  EXPECT_EQ(outcome.status, 3) << outcome.err;
  EXPECT_THAT(scratch_.Leftovers(), IsEmpty());
}

TEST(CgroupsTest, TheNextRunRemovesThoseOfAKilledAgent) {
  Scratch scratch;
  const Stage stage({.as_root = true, .cgroups = true}, scratch);
  if (!stage.why_not().empty()) GTEST_SKIP() << stage.why_not();
  Command::Options options;
  options.environment = scratch.Environment();
  options.directory = scratch.path();
  Command command(RunScript({"-np", "1"}, "sed -n 's/^0:://p' /proc/self/cgroup; exec sleep 4343"),
                  options);
  std::string leaf;
  ASSERT_TRUE(command.WaitForOutput(
      [&](const std::string& out, const std::string&) {
        if (!out.ends_with("\n")) return false;
        leaf = out.substr(out.find('/'), out.size() - 1 - out.find('/'));
        return true;
      },
      20s));
  const std::string folder =
      OwnCgroup() + leaf.substr(0, leaf.rfind('/')).substr(leaf.find("/lockstep-"));
  ASSERT_TRUE(std::filesystem::exists(folder)) << folder;

  ::kill(ChildrenOf(command.pid()).front(), SIGKILL);
  EXPECT_EQ(command.Wait(20s).status, 75);
  EXPECT_EQ(RunToEnd(RunWords({"/bin/true"}), scratch).status, 0);

  EXPECT_FALSE(std::filesystem::exists(folder)) << folder;
}

// -------------------------------------------------------------------------------------------------
// a user without a home

TEST(HomelessUserTest, RunsAndLeavesNothing) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root";
  const std::string fallback = "/tmp/lockstep-" + std::to_string(Stage::kUser);
  Scratch scratch;
  const Stage stage({.as_root = false, .cgroups = false}, scratch);
  ASSERT_EQ(stage.why_not(), "");
  Command::Options options;
  options.environment = scratch.Environment();
  options.environment.erase("HOME");
  options.environment.erase("XDG_RUNTIME_DIR");
  options.wrapper = stage.wrapper();
  Command command({stage.lockstep(), "run", "-np", "2", "--", "/bin/sh", "-c",
                   "setsid sleep 4242 & echo $HOME; [ $RANK = 0 ] && exit 5; sleep 60"},
                  options);
  const Outcome outcome = command.Wait(20s);
  const bool made = std::filesystem::exists(fallback + "/jobs");
  std::filesystem::remove_all(fallback);

  EXPECT_EQ(outcome.status, 5) << outcome.err;
  EXPECT_THAT(Lines(outcome.out), Each(AnyOf("[0] /", "[1] /")));
  EXPECT_THAT(outcome.err, HasSubstr("LOCKSTEP_HOME"));
  EXPECT_TRUE(made);
  EXPECT_THAT(scratch.Leftovers(), IsEmpty());
}

}  // namespace
}  // namespace lockstep::e2e
