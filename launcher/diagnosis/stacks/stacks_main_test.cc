// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// lockstep-stacks itself, on programs whose stacks are known.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "launcher/diagnosis/stacks/stack_text.h"
#include "runtime/process/process_look.h"
#include "runtime/process/test_host.h"
#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using process::testing::Collected;
using process::testing::Folder;
using process::testing::Host;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kHelper[] = "launcher/lockstep-stacks";
constexpr char kSubject[] = "launcher/diagnosis/stacks/stack_subject";
constexpr char kFakeNvml[] = "launcher/diagnosis/stacks/libfake_nvml.so";
constexpr char kStripped[] = "launcher/diagnosis/stacks/stack_subject_stripped";

char StateOf(pid_t pid, pid_t tid) {
  const auto look = process::LookAtThread(pid, tid);
  return look.has_value() ? look->state : '?';
}

class StacksMainTest : public ::testing::Test {
 protected:
  StacksMainTest() { EXPECT_TRUE(host_.works()) << host_.status(); }

  /// Spawns one, and waits until it says that it is ready.
  pid_t Start(const std::string& program, const std::string& what) {
    said_ = std::make_unique<Collected>(host_.loop());
    subject_ = host_.Spawn(program, {what}, *said_);
    EXPECT_TRUE(host_.Wait([&] { return said_->Has("ready"); }));
    pid_ = subject_->pid();
    // From there it is a moment, or more on a busy machine.
    const std::string place =
        what == "sleeps" || what == "threads" || what == "deep" ? "SleepInG()" : "LoopInF(int)";
    bool stands = false;
    for (int tries = 0; tries < 100 && !stands; ++tries)
      stands = AllAreIn("subject::" + place, AskAbout(pid_));
    EXPECT_TRUE(stands) << what;
    if (place == "SleepInG()") {
      EXPECT_TRUE(host_.Wait([&] { return StateOf(pid_, pid_) == 'S'; }));
    }
    return pid_;
  }
  struct Printed {
    int status = -1;
    std::vector<proto::ProcessStacks> lines;
  };
  Printed Ask(std::vector<std::string> words) {
    Printed printed;
    Collected output(host_.loop());
    process::SpawnSpec spec{.name = "stacks", .arguments = {}, .fds = {{output.child_end(), 1}}};
    if (words.front().front() != '/') words.insert(words.begin(), kHelper);
    spec.arguments = std::move(words);
    std::optional<process::Exit> exit;
    auto helper = host_.processes().Spawn(spec, [&](const process::Exit& end) { exit = end; });
    EXPECT_TRUE(helper.ok()) << helper.status();
    output.CloseChildEnd();
    EXPECT_TRUE(host_.Wait([&] { return exit.has_value() && output.at_end(); }));
    printed.status = exit->StatusCode();
    std::istringstream text(output.text());
    for (std::string line; std::getline(text, line);) {
      EXPECT_TRUE(
          google::protobuf::util::JsonStringToMessage(line, &printed.lines.emplace_back()).ok())
          << line.substr(0, 200);
    }
    return printed;
  }
  /// The last word on one process.
  proto::ProcessStacks AskAbout(pid_t pid) {
    const Printed printed = Ask({std::to_string(pid)});
    EXPECT_EQ(printed.status, 0);
    EXPECT_THAT(printed.lines, SizeIs(2));
    return printed.lines.empty() ? proto::ProcessStacks() : printed.lines.back();
  }
  /// All threads of which frames are known.
  static bool AllAreIn(const std::string& function, const proto::ProcessStacks& seen) {
    return std::all_of(seen.threads().begin(), seen.threads().end(), [&](const auto& thread) {
      return thread.frames_size() == 0 ||
             std::any_of(thread.frames().begin(), thread.frames().end(),
                         [&](const auto& frame) { return frame.function() == function; });
    });
  }
  static std::vector<std::string> FunctionsOf(const proto::ProcessStacks& seen) {
    std::vector<std::string> functions;
    for (const proto::Frame& frame : MainStack(seen)) functions.push_back(frame.function());
    return functions;
  }

  Host host_{{.mark = "stacks-main-test"}};
  std::unique_ptr<Collected> said_;
  std::unique_ptr<process::Process> subject_;
  pid_t pid_ = 0;
};

TEST_F(StacksMainTest, WhoLoopsIsFoundInItsFunction) {
  const proto::ProcessStacks seen = AskAbout(Start(kSubject, "loops"));

  EXPECT_THAT(FunctionsOf(seen), ElementsAre("subject::LoopInF(int)", "main"));
  EXPECT_EQ(seen.threads(0).doing(), "runs");
  EXPECT_EQ(seen.threads(0).frames(0).module(), "stack_subject");
  EXPECT_THAT(seen.problems(), IsEmpty());
  EXPECT_GT(seen.held_ns(), 0);
#ifdef NDEBUG  // elsewhere the linker drops the line tables
  EXPECT_THAT(FrameText(seen.threads(0).frames(0)),
              StartsWith("subject::LoopInF(int) at stack_subject_main.cc:"));
#endif
  EXPECT_EQ(StateOf(pid_, pid_), 'R') << "it goes on";
}

TEST_F(StacksMainTest, WhoSleepsIsFoundInItsCall) {
  const proto::ProcessStacks seen = AskAbout(Start(kSubject, "sleeps"));

  EXPECT_THAT(FunctionsOf(seen), AllOf(Contains("subject::SleepInG()"), Contains("main")));
  EXPECT_THAT(seen.threads(0).doing(), HasSubstr("sleeps in pause"));
}

TEST_F(StacksMainTest, WithoutSymbolsWhatIsExportedHasNames) {
  const proto::ProcessStacks seen = AskAbout(Start(kStripped, "loops"));

  EXPECT_THAT(FunctionsOf(seen), ElementsAre("subject::LoopInF(int)", "main"));
  EXPECT_THAT(FrameText(seen.threads(0).frames(0)),
              "subject::LoopInF(int) (stack_subject_stripped)");
}

TEST_F(StacksMainTest, WhoIsStoppedStaysStopped) {
  Start(kSubject, "loops");
  kill(pid_, SIGSTOP);
  ASSERT_TRUE(host_.Wait([&] { return StateOf(pid_, pid_) == 'T'; }));

  const proto::ProcessStacks seen = AskAbout(pid_);

  EXPECT_THAT(FunctionsOf(seen), ElementsAre("subject::LoopInF(int)", "main"));
  EXPECT_THAT(seen.threads(0).doing(), HasSubstr("is stopped by a signal"));
  // It comes back there by itself, a moment after it was let go; and never runs.
  EXPECT_TRUE(host_.Wait([&] { return StateOf(pid_, pid_) == 'T'; }));
  const uint64_t ticks = process::LookAtProcess(pid_)->cpu_ticks;
  AskAbout(pid_);
  EXPECT_EQ(process::LookAtProcess(pid_)->cpu_ticks, ticks);
  kill(pid_, SIGCONT);
  EXPECT_TRUE(host_.Wait([&] { return StateOf(pid_, pid_) == 'R'; }));
}

TEST_F(StacksMainTest, WhomADebuggerHoldsIsSaidToBeHeld) {
  Start(kSubject, "sleeps");
  ASSERT_EQ(ptrace(PTRACE_SEIZE, pid_, nullptr, nullptr), 0);

  const proto::ProcessStacks seen = AskAbout(pid_);

  EXPECT_THAT(seen.problems(),
              ElementsAre(HasSubstr("traced already, by process " + std::to_string(getpid()))));
  EXPECT_THAT(seen.threads(0).doing(), HasSubstr("sleeps in pause")) << "by /proc";
  EXPECT_EQ(seen.threads(0).frames_size(), 0);
  EXPECT_EQ(StateOf(pid_, pid_), 'S');
}

TEST_F(StacksMainTest, OfManyThreadsSomeAreLeftOutAndSaidToBe) {
  const proto::ProcessStacks seen = AskAbout(Start(kSubject, "threads"));

  EXPECT_EQ(seen.threads_size(), 64);
  EXPECT_EQ(seen.threads_left_out(), 101 - 64);
  EXPECT_EQ(seen.threads(0).tid(), pid_);
  for (const proto::ThreadStack& thread : seen.threads()) {
    EXPECT_THAT(thread.frames(),
                Contains(::testing::Property(&proto::Frame::function, "subject::SleepInG()")))
        << thread.DebugString();
  }
}

TEST_F(StacksMainTest, OfADeepStackTheInnermostFramesAreTold) {
  const proto::ProcessStacks seen = AskAbout(Start(kSubject, "deep"));

  EXPECT_EQ(seen.threads(0).frames_size(), 64);
  EXPECT_EQ(seen.threads(0).problem(), "further frames are left out");
  const Printed few = Ask({"--frames=3", "--threads=1", std::to_string(pid_)});
  ASSERT_THAT(few.lines, SizeIs(2));
  EXPECT_EQ(few.lines[1].threads(0).frames_size(), 3);
}

TEST_F(StacksMainTest, AThreadThatCannotBeHeldIsSaidAndCostsALimitedTime) {
  Start(kSubject, "uninterruptible");
  ASSERT_TRUE(host_.Wait([&] { return StateOf(pid_, pid_) == 'D'; }));

  const proto::ProcessStacks seen = AskAbout(pid_);

  EXPECT_THAT(seen.threads(0).problem(), HasSubstr("could not be held"));
  EXPECT_EQ(seen.threads(0).frames_size(), 0);
  ASSERT_EQ(seen.threads_size(), 2);
  EXPECT_EQ(seen.threads(1).frames(0).function(), "subject::LoopInF(int)");
  EXPECT_LT(std::chrono::nanoseconds(seen.held_ns()), 5s) << "300 ms are waited for it";
  // And it is as it was.
  EXPECT_EQ(StateOf(pid_, pid_), 'D');
  std::istringstream said(said_->text());
  std::string word;
  pid_t child = 0;
  ASSERT_TRUE(said >> word >> word >> child) << said_->text();
  kill(child, SIGKILL);
  EXPECT_TRUE(host_.Wait([&] { return said_->Has("through"); }));
}

TEST_F(StacksMainTest, WhenItIsKilledNothingStaysHeld) {
  Start(kSubject, "uninterruptible");
  ASSERT_TRUE(host_.Wait([&] { return StateOf(pid_, pid_) == 'D'; }));
  pid_t looper = 0;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/task")) {
    const pid_t tid = std::atoi(task.path().filename().c_str());
    if (tid != pid_) looper = tid;
  }

  Collected output(host_.loop());
  const auto helper = host_.Spawn(kHelper, {std::to_string(pid_)}, output);
  // While it waits for the one that cannot be held, it holds the other one.
  ASSERT_TRUE(host_.Wait([&] { return StateOf(pid_, looper) == 't'; }));
  EXPECT_TRUE(helper->SignalLeader(SIGKILL).ok());

  EXPECT_TRUE(host_.Wait([&] { return StateOf(pid_, looper) == 'R'; }));
  EXPECT_TRUE(host_.Wait([&] { return output.at_end(); }));
  EXPECT_THAT(output.text(), AllOf(HasSubstr("\"doing\":\"runs\""), StartsWith("{")))
      << "what /proc tells was there already";
}

TEST_F(StacksMainTest, SomebodyElsesProcessIsRefusedWithTheReason) {
  if (getuid() != 0) GTEST_SKIP() << "only root can become another user";
  Start(kSubject, "sleeps");
  const Folder folder;
  const std::string helper = folder.path() + "/lockstep-stacks";
  std::filesystem::copy_file(kHelper, helper);

  const Printed printed = Ask(
      {"/usr/bin/setpriv", "--reuid=65534", "--clear-groups", "--", helper, std::to_string(pid_)});

  ASSERT_THAT(printed.lines, SizeIs(2));
  EXPECT_THAT(printed.lines[1].problems(),
              Contains(HasSubstr("it is of user 0 and this one of user 65534; run this as")));
  EXPECT_EQ(printed.lines[1].threads(0).name(), "stack_subject");
}

TEST_F(StacksMainTest, OneThatMayNotBeDumpedIsRefusedWithTheReason) {
  if (getuid() != 0) GTEST_SKIP() << "only root can become another user";
  const Folder folder;
  const std::vector<std::string> as_nobody = {"/usr/bin/setpriv", "--reuid=65534", "--clear-groups",
                                              "--"};
  std::vector<std::string> programs;
  for (const char* const program : {kHelper, kSubject}) {
    const std::string copy = folder.path() + "/" + (program == kHelper ? "helper" : "subject");
    std::filesystem::copy_file(program, copy);
    programs.push_back(copy);
  }
  said_ = std::make_unique<Collected>(host_.loop());
  subject_ =
      host_.Spawn(as_nobody[0], {as_nobody[1], as_nobody[2], programs[1], "undumpable"}, *said_);
  ASSERT_TRUE(host_.Wait([&] { return said_->Has("ready"); }));

  std::vector<std::string> words = as_nobody;
  words.insert(words.end(), {programs[0], std::to_string(subject_->pid())});
  const Printed printed = Ask(words);

  ASSERT_THAT(printed.lines, SizeIs(2));
  EXPECT_THAT(printed.lines[1].problems(), ElementsAre(HasSubstr("CAP_SYS_PTRACE")));
  EXPECT_EQ(printed.lines[1].threads(0).frames_size(), 0);
}

TEST_F(StacksMainTest, TheGpusOfAProcessAreToldAfterItsStacks) {
  Start(kSubject, "sleeps");
  const Folder folder;
  std::filesystem::copy_file(kFakeNvml, folder.path() + "/libnvidia-ml.so.1");
  const auto ask = [&](const std::string& fault) {
    return Ask({"/usr/bin/env", "LD_LIBRARY_PATH=" + folder.path(), "FAKE_NVML=" + fault,
                "FAKE_NVML_PID=" + std::to_string(pid_), kHelper, "--time-ms=500",
                std::to_string(pid_)});
  };

  const Printed with_faults = ask("ecc");
  ASSERT_THAT(with_faults.lines, SizeIs(3));
  EXPECT_EQ(with_faults.status, 0);
  EXPECT_THAT(StackLines(with_faults.lines[2]).back(), HasSubstr("3 memory errors"));
  EXPECT_GT(with_faults.lines[2].threads(0).frames_size(), 0);

  const Printed without_answer = ask("hangs");
  EXPECT_EQ(without_answer.status, 128 + SIGALRM);
  ASSERT_THAT(without_answer.lines, SizeIs(2));
  EXPECT_GT(without_answer.lines[1].threads(0).frames_size(), 0);
}

TEST_F(StacksMainTest, SeveralProcessesAndOneThatIsNot) {
  Start(kSubject, "loops");
  // Beyond the greatest pid that there can be.
  const Printed printed =
      Ask({"--time-ms=5000", "4194305", std::to_string(pid_), std::to_string(pid_)});

  EXPECT_EQ(printed.status, 1);
  EXPECT_THAT(printed.lines, SizeIs(4));
}

TEST_F(StacksMainTest, WhatIsNoNumberIsRefused) {
  for (const auto& words : std::vector<std::vector<std::string>>{{"--time-ms=0", "1"},
                                                                 {"--frames=x", "1"},
                                                                 {"--threads=5000", "1"},
                                                                 {"-1"},
                                                                 {"1x"},
                                                                 {"--what"},
                                                                 {"--frames=3"}}) {
    const Printed printed = Ask(words);
    EXPECT_EQ(printed.status, 64) << words.front();
    EXPECT_THAT(printed.lines, IsEmpty());
  }
}

}  // namespace
}  // namespace lockstep::launcher
