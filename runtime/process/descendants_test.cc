// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/descendants.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/process/proc_scan.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::Ge;
using ::testing::IsEmpty;

constexpr base::Duration kLongTime = std::chrono::seconds(20);
constexpr int kLongTimeMs = 20'000;

/// A marked process and all that it makes. Nobody here is its subreaper: what it leaves goes to
/// init, as when front and agent of a job are both dead.
class MarkedTree {
 public:
  MarkedTree() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    output_.reset(ends[0]);
    child_end_.reset(ends[1]);
  }
  ~MarkedTree() {
    (void)KillMarked(mark_, kLongTime);
    if (leader_ > 0) ::waitpid(leader_, nullptr, 0);
  }

  const std::string& mark() const { return mark_; }

  /// Returns when the program has done its actions; then it sleeps.
  void Start(const std::vector<std::string>& actions) {
    std::vector<std::string> arguments = {"runtime/process/testing/troublemaker"};
    arguments.insert(arguments.end(), actions.begin(), actions.end());
    arguments.insert(arguments.end(), {"print", "ready", "sleep"});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::string entry = std::string(kMarkVariable) + "=" + mark_ + "rank-0/0/";
    char* environment[] = {entry.data(), nullptr};
    leader_ = ::fork();
    if (leader_ == 0) {
      ::dup2(child_end_.get(), STDOUT_FILENO);
      ::execve(argv[0], argv.data(), environment);
      ::_exit(1);
    }
    child_end_.reset();
    while (text_.find("ready\n") == std::string::npos) {
      ASSERT_TRUE(Poll(kLongTimeMs)) << text_;
      char bytes[512];
      const ssize_t size = ::read(output_.get(), bytes, sizeof(bytes));
      ASSERT_GT(size, 0) << text_;
      text_.append(bytes, static_cast<size_t>(size));
    }
  }
  /// Those that its actions have made.
  std::vector<pid_t> Pids() const {
    std::vector<pid_t> pids;
    std::istringstream lines(text_);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("pid ")) pids.push_back(std::atoi(line.c_str() + 4));
    }
    return pids;
  }
  /// True when no process of it is left: all of them hold the pipe.
  bool Gone() {
    char byte;
    return Poll(0) && ::read(output_.get(), &byte, 1) == 0;
  }

 private:
  bool Poll(int limit_ms) {
    pollfd readable{.fd = output_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&readable, 1, limit_ms) == 1;
  }

  const std::string mark_ = "marked." + std::to_string(::getpid()) + "/";
  base::UniqueFd output_;
  base::UniqueFd child_end_;
  std::string text_;
  pid_t leader_ = -1;
};

bool IsAlive(pid_t pid) {
  const std::optional<ProcStat> stat = ReadProcStat(pid);
  return stat && !stat->dead();
}

/// Each moment of such a process has its own way to be overlooked, so it is met at many of them.
int TimesMissed(const std::vector<std::string>& actions, int runs) {
  int missed = 0;
  for (int run = 0; run < runs; ++run) {
    MarkedTree tree;
    tree.Start(actions);
    EXPECT_THAT(KillMarked(tree.mark(), kLongTime), IsOkAndHolds(Ge(1)));
    if (!tree.Gone()) ++missed;
  }
  return missed;
}

TEST(KillMarkedTest, CatchesADaemonThatKeepsForkingAndLeaving) {
  EXPECT_EQ(TimesMissed({"hopper"}, 100), 0);
}

TEST(KillMarkedTest, CatchesAProcessThatKeepsExecing) {
  EXPECT_EQ(TimesMissed({"execer"}, 100), 0);
}

TEST(KillMarkedTest, EndsAForkBomb) { EXPECT_EQ(TimesMissed({"bomb", "300"}, 10), 0); }

TEST(KillMarkedTest, SeesAProcessWhoseFirstThreadHasEnded) {
  EXPECT_EQ(TimesMissed({"headless"}, 1), 0);
}

TEST(KillDescendantsTest, SparesTheNamedAndWhatTheyMadeAndNobodyWhoKeepsForking) {
  ASSERT_OK(BecomeSubreaper());
  for (int run = 0; run < 30; ++run) {
    MarkedTree spared;
    spared.Start({"child", "double-fork"});
    const std::vector<ProcStat> before = LivingChildren().value();
    MarkedTree others;
    others.Start({"hopper", "child"});

    EXPECT_OK(KillDescendants(kLongTime, before));

    EXPECT_TRUE(others.Gone()) << "run " << run;
    EXPECT_EQ(spared.Pids().size(), 2u);
    for (const pid_t pid : spared.Pids()) EXPECT_TRUE(IsAlive(pid)) << pid;
    EXPECT_OK(KillDescendants(kLongTime));
    EXPECT_TRUE(spared.Gone());
  }
  EXPECT_THAT(LivingChildren(), IsOkAndHolds(IsEmpty()));
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

TEST(KillMarkedTest, RefusesAnEmptyMarkThatWouldMatchEverybody) {
  EXPECT_THAT(KillMarked("", kLongTime), StatusIs(Code::kInvalidArgument));
}

TEST(KillMarkedTest, SaysSoWhenItCannotLook) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const base::Result<int> killed = KillMarked("marked", kLongTime);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);

  EXPECT_THAT(killed, StatusIs(Code::kUnavailable, ::testing::HasSubstr("ulimit -n")));
}

/// A process that sleeps, made by this one and never by what is under test.
pid_t StartSleeper() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl("/bin/sleep", "sleep", "60", nullptr);
    ::_exit(1);
  }
  return pid;
}

TEST(SparedChildrenTest, WhatWasThereBeforeLivesOn) {
  EXPECT_THAT(LivingChildren(), IsOkAndHolds(IsEmpty()));
  const pid_t theirs = StartSleeper();
  const std::vector<ProcStat> before = LivingChildren().value();
  ASSERT_EQ(before.size(), 1u);
  EXPECT_EQ(before[0].pid, theirs);
  const pid_t ours = StartSleeper();

  EXPECT_OK(KillDescendants(kLongTime, before));

  EXPECT_EQ(::kill(ours, 0), -1) << "killed and reaped";
  EXPECT_EQ(::waitpid(theirs, nullptr, WNOHANG), 0) << "still runs";
  EXPECT_OK(KillDescendants(kLongTime));
  EXPECT_EQ(::kill(theirs, 0), -1);
}

TEST(SparedChildrenTest, WhatCannotBeLookedAtIsNotTakenForGone) {
  const pid_t theirs = StartSleeper();
  const std::vector<ProcStat> before = LivingChildren().value();
  const pid_t ours = StartSleeper();
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = files.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);

  const base::Status killed = KillDescendants(std::chrono::milliseconds(50), before);
  const base::Status looked = LivingChildren().status();

  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  EXPECT_THAT(killed, StatusIs(Code::kUnavailable, ::testing::HasSubstr("ulimit -n")));
  EXPECT_THAT(looked, StatusIs(Code::kUnavailable, ::testing::HasSubstr("ulimit -n")));
  EXPECT_EQ(::waitpid(ours, nullptr, WNOHANG), 0) << "still runs";
  EXPECT_OK(KillDescendants(kLongTime));
  EXPECT_EQ(::kill(theirs, 0), -1);
}

}  // namespace
}  // namespace lockstep::process
