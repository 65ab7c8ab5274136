// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// With scripts in the place of lockstep-stacks and py-spy; the real ones are for stacks_main_test
// and tests/faults.
#include "launcher/diagnosis/stacks/stack_taking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "launcher/diagnosis/stacks/rank_program.h"
#include "launcher/diagnosis/stacks/stack_text.h"
#include "runtime/process/process_look.h"
#include "runtime/process/test_host.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using process::testing::Collected;
using process::testing::Folder;
using process::testing::Host;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kSleeps[] = "#!/bin/sh\nexec sleep 1000\n";

class StackTakingTest : public ::testing::Test {
 protected:
  StackTakingTest() {
    EXPECT_TRUE(host_.works()) << host_.status();
    rank_ = SpawnRank(folder_.Write("rank", kSleeps, 0755));
    EXPECT_TRUE(host_.Wait([&] { return Sleeps(pid()); }));
  }
  std::unique_ptr<process::Process> SpawnRank(const std::string& program) {
    auto spawned = host_.processes().Spawn(
        {.name = "rank-0", .arguments = {program}, .environment = {}}, [](const process::Exit&) {});
    EXPECT_TRUE(spawned.ok()) << spawned.status();
    return *std::move(spawned);
  }
  pid_t pid() const { return rank_->pid(); }
  /// It has become `sleep`, and begun to.
  static bool Sleeps(pid_t pid) {
    const auto look = process::LookAtProcess(pid);
    return look.has_value() && look->system_call == "clock_nanosleep";
  }
  std::string Script(const std::string& name, const std::string& body) {
    return folder_.Write(name, "#!/bin/sh\n" + body + "\n", 0755);
  }
  /// What is told of one rank that is number 3.
  std::vector<proto::RankStacks> Take(StackTaking::Config config, pid_t pid) {
    std::optional<std::vector<proto::RankStacks>> told;
    std::unique_ptr<StackTaking> taking =
        std::make_unique<StackTaking>(config, StackTaking::Deps{host_.loop(), host_.processes()},
                                      std::vector<StackTaking::Target>{{base::Rank(3), pid}},
                                      [&](std::vector<proto::RankStacks> ranks) {
                                        told = std::move(ranks);
                                        taking.reset();
                                      });
    EXPECT_FALSE(told.has_value()) << "told inside of the call";
    EXPECT_TRUE(host_.Wait([&] { return told.has_value(); }));
    return told.value_or(std::vector<proto::RankStacks>());
  }
  /// `body` is that of a helper, "$pid" the process that it was asked about.
  std::vector<proto::RankStacks> TakeBy(const std::string& body, base::Duration limit = 20s) {
    const std::string helper = Script("helper", "for pid; do :; done\n" + body);
    return Take({.tools = {.helper = helper}, .limit = limit}, pid());
  }

  Folder folder_;
  Host host_{{.mark = "stack-taking-test"}};
  std::unique_ptr<process::Process> rank_;
};

TEST_F(StackTakingTest, TheSecondLineReplacesTheFirst) {
  const auto told = TakeBy(
      R"(echo "{\"pid\":$pid,\"threads\":[{\"tid\":$pid,\"doing\":\"runs\"}]}"
         echo "{\"pid\":$pid,\"threads\":[{\"tid\":$pid,\"frames\":[{\"function\":\"f\"}]}]}")");

  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].rank(), 3);
  EXPECT_THAT(MainStackLines(told[0].process(), 5), ElementsAre("f"));
  EXPECT_THAT(told[0].process().problems(), IsEmpty());
}

TEST_F(StackTakingTest, OfOneThatEndsAfterItsFirstLineThatStays) {
  const auto told = TakeBy(
      R"(echo "{\"pid\":$pid,\"threads\":[{\"tid\":$pid,\"doing\":\"is stuck\"}]}"; kill -9 $$)");

  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].process().threads(0).doing(), "is stuck");
  EXPECT_THAT(told[0].process().problems(), ElementsAre(HasSubstr("frames are not known")));
}

TEST_F(StackTakingTest, OneThatHangsIsEndedAtTheLimit) {
  const auto told = TakeBy("echo $$ >" + folder_.path() + "/helper_pid; exec sleep 1000", 300ms);

  ASSERT_THAT(told, SizeIs(1));
  EXPECT_THAT(told[0].process().threads(0).doing(), HasSubstr("sleeps")) << "by /proc alone";
  EXPECT_THAT(told[0].process().problems(), ElementsAre(HasSubstr("within 300ms")));
  std::ifstream file(folder_.path() + "/helper_pid");
  pid_t helper = 0;
  ASSERT_TRUE(file >> helper);
  EXPECT_TRUE(host_.Wait([&] { return !process::testing::IsAlive(helper); }));
}

TEST_F(StackTakingTest, OneThatPrintsNonsenseWithoutEndIsNotKept) {
  const auto told = TakeBy("exec cat /dev/zero", 10s);

  ASSERT_THAT(told, SizeIs(1));
  EXPECT_THAT(told[0].process().problems(), ElementsAre(HasSubstr("frames are not known")));
}

TEST_F(StackTakingTest, WithoutAHelperThereIsWhatProcTells) {
  const auto told = Take({.tools = {.helper_folder = "/opt/bin"}}, pid());

  ASSERT_THAT(told, SizeIs(1));
  EXPECT_THAT(told[0].process().threads(0).doing(), HasSubstr("sleeps"));
  EXPECT_THAT(told[0].process().problems(),
              ElementsAre(HasSubstr("lockstep-stacks is not in /opt/bin")));
}

TEST_F(StackTakingTest, OfAProcessThatHasEndedNothingIsTold) {
  const pid_t gone = pid();
  EXPECT_TRUE(host_.KillAll(*rank_).ok());

  EXPECT_THAT(Take({.tools = {}}, gone), IsEmpty());
}

TEST_F(StackTakingTest, NobodyIsToldOfAtOnce) {
  bool told = false;
  const StackTaking taking({}, {host_.loop(), host_.processes()}, {},
                           [&](const std::vector<proto::RankStacks>& ranks) {
                             EXPECT_THAT(ranks, IsEmpty());
                             told = true;
                           });
  EXPECT_TRUE(host_.Wait([&] { return told; }));
}

TEST_F(StackTakingTest, AfterItsDestructionNobodyIsTold) {
  {
    const StackTaking taking({}, {host_.loop(), host_.processes()}, {{base::Rank(0), pid()}},
                             [](const auto&) { FAIL() << "told"; });
  }
  bool turned = false;
  const event::Registration turn = host_.loop().After(50ms, [&] { turned = true; });
  EXPECT_TRUE(host_.Wait([&] { return turned; }));
}

TEST_F(StackTakingTest, BehindAShellIsTheProgramThatItWaitsFor) {
  const auto shell =
      SpawnRank(Script("wrapper", folder_.path() + "/rank; exit 0"));  // a child of the shell
  ASSERT_TRUE(host_.Wait([&] { return Sleeps(ProgramOf(shell->pid())); }));

  const auto told = Take({.tools = {}}, shell->pid());

  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].process().program(), "sleep");
  EXPECT_NE(told[0].process().pid(), shell->pid());
}

class PythonStackTakingTest : public StackTakingTest {
 protected:
  /// Some program that is called python3.
  PythonStackTakingTest() : python_folder_(folder_.path() + "/bin") {
    std::filesystem::create_directory(python_folder_);
    std::filesystem::copy_file("/bin/sleep", python_folder_ + "/python3");
    rank_ = *host_.processes().Spawn(
        {.name = "rank-1", .arguments = {python_folder_ + "/python3", "1000"}, .environment = {}},
        [](const process::Exit&) {});
  }
  const std::string python_folder_;
};

TEST_F(PythonStackTakingTest, PySpyIsAskedAboutPythonPrograms) {
  const std::string py_spy =
      Script("py-spy", R"([ "$1 $2 $3 $4" = "dump --json --nonblocking --pid" ] || exit 1
                   echo '[{"thread_name": "MainThread", "frames": [{"name": "train",'
                   echo '"filename": "/t/p.py", "line": 5}]}]')");

  const auto told = Take({.tools = {.py_spy = py_spy}, .limit = 20s}, pid());

  ASSERT_THAT(told, SizeIs(1));
  EXPECT_THAT(MainStackLines(told[0].process(), 5), ElementsAre("train at p.py:5"));
}

TEST_F(PythonStackTakingTest, WithoutPySpyItIsSaidToBeAbsent) {
  const auto told = Take({.tools = {}}, pid());

  ASSERT_THAT(told, SizeIs(1));
  EXPECT_THAT(told[0].process().problems(),
              ElementsAre(HasSubstr("lockstep-stacks"), HasSubstr("py-spy is not on PATH")));
}

TEST_F(PythonStackTakingTest, PySpyThatFailsIsSaid) {
  const auto told =
      Take({.tools = {.py_spy = Script("py-spy", "echo 'Permission Denied'; exit 1")}}, pid());

  ASSERT_THAT(told, SizeIs(1));
  EXPECT_THAT(told[0].process().problems(),
              ElementsAre(HasSubstr("lockstep-stacks"), HasSubstr("py-spy told nothing")));
}

TEST_F(StackTakingTest, ToolsAreFoundBesideUsAndOnThePath) {
  Script("py-spy", "exit 0");

  const StackTools tools = FindStackTools("/nowhere::" + folder_.path());

  EXPECT_EQ(tools.py_spy, folder_.path() + "/py-spy");
  EXPECT_THAT(tools.helper_folder, HasSubstr("launcher/diagnosis/stacks"));
  EXPECT_EQ(FindStackTools("").py_spy, "");
}

}  // namespace
}  // namespace lockstep::launcher
