// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/foreign_process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::testing::StatusIs;

/// Sleeps until it is killed; reaped at the end.
class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    if (pid_ == 0) {
      while (true) ::pause();
    }
    start_ticks_ = ReadProcStat(pid_)->start_ticks;
  }
  ~Sleeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  ForeignProcess::Config identity(bool use_pidfd) const {
    return {.pid = pid_, .start_ticks = start_ticks_, .use_pidfd = use_pidfd};
  }
  pid_t pid() const { return pid_; }

 private:
  const pid_t pid_;
  uint64_t start_ticks_ = 0;
};

/// Whether by pidfd.
class ForeignProcessTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override { ASSERT_OK_AND_ASSIGN(loop_, event::EpollLoop::Create(clock_)); }
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, std::chrono::seconds(20));
  }

  const base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  int ends_ = 0;
};

TEST_P(ForeignProcessTest, TheEndIsToldOnceAlsoOfAZombie) {
  const Sleeper sleeper;
  ASSERT_OK_AND_ASSIGN(
      auto process,
      ForeignProcess::Watch(sleeper.identity(GetParam()), [this] { ++ends_; }, *loop_));
  EXPECT_FALSE(process->HasEnded());

  EXPECT_TRUE(process->Signal(SIGKILL));

  EXPECT_TRUE(RunUntil([&] { return ends_ > 0; }));
  EXPECT_TRUE(process->HasEnded());
  int status = 0;
  ASSERT_EQ(::waitpid(sleeper.pid(), &status, 0), sleeper.pid());
  EXPECT_TRUE(process->HasEnded());
  EXPECT_FALSE(process->Signal(SIGTERM));
  EXPECT_EQ(ends_, 1);
}

TEST_P(ForeignProcessTest, TheCallbackMayDestroyIt) {
  const Sleeper sleeper;
  std::unique_ptr<ForeignProcess> process;
  ASSERT_OK_AND_ASSIGN(process, ForeignProcess::Watch(
                                    sleeper.identity(GetParam()),
                                    [this, &process] {
                                      process.reset();
                                      ++ends_;
                                    },
                                    *loop_));
  ::kill(sleeper.pid(), SIGKILL);

  EXPECT_TRUE(RunUntil([&] { return ends_ == 1; }));
}

TEST_P(ForeignProcessTest, AProcessThatHasThePidSinceIsAnother) {
  const Sleeper sleeper;
  ForeignProcess::Config other = sleeper.identity(GetParam());
  other.start_ticks -= 1;

  EXPECT_THAT(ForeignProcess::Watch(other, [] {}, *loop_), StatusIs(Code::kNotFound));
  EXPECT_EQ(::kill(sleeper.pid(), 0), 0);
}

TEST_P(ForeignProcessTest, AZombieHasEnded) {
  const Sleeper sleeper;
  ::kill(sleeper.pid(), SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(sleeper.pid()), &info, WEXITED | WNOWAIT), 0);

  EXPECT_THAT(ForeignProcess::Watch(
                  sleeper.identity(GetParam()), [] {}, *loop_),
              StatusIs(Code::kNotFound));
}

INSTANTIATE_TEST_SUITE_P(Watched, ForeignProcessTest, ::testing::Bool(),
                         [](const auto& way) { return way.param ? "ByPidfd" : "ByLooking"; });

}  // namespace
}  // namespace lockstep::process
