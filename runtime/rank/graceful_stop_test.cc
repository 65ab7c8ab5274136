// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/graceful_stop.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <mutex>
#include <optional>

namespace lockstep::rank {
namespace {

/// Its future says when it was asked.
class FakeSession final : public Session {
 public:
  explicit FakeSession(bool stop) : stop_(stop) {}

  const World& world() const override { return world_; }
  bool has_agent() const override { return true; }
  base::Result<std::shared_ptr<collectives::Group>> WorldGroup(base::Duration) override {
    return base::UnimplementedError("a fake");
  }
  void ReportProgress(int64_t) override {}
  std::vector<LostRank> lost_ranks() const override { return {}; }
  bool stop_requested() const override {
    std::call_once(once_, [this] { asked_.set_value(); });
    return stop_;
  }
  bool TakeCheckpointRequest() override { return false; }

  std::future<void> asked() { return asked_.get_future(); }

 private:
  const bool stop_;
  const World world_;
  mutable std::once_flag once_;
  mutable std::promise<void> asked_;
};

void (*HandlerNow())(int) {
  struct sigaction action{};
  sigaction(SIGTERM, nullptr, &action);
  return action.sa_handler;
}

TEST(GracefulStopTest, RequestedStopIsSurvivedAndTheOldHandlerComesBack) {
  FakeSession session(/*stop=*/true);
  auto asked = session.asked();
  {
    const GracefulStop graceful_stop(session);

    raise(SIGTERM);

    ASSERT_EQ(asked.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  }
  EXPECT_EQ(HandlerNow(), SIG_DFL);
}

// mpirun called a rank failed that had seen the request and was leaving main when the signal came.
TEST(GracefulStopTest, SignalOfAStopThatWasAnsweredBeforeItCameIsIgnored) {
  FakeSession session(/*stop=*/true);
  {
    const GracefulStop graceful_stop(session);
  }

  raise(SIGTERM);

  EXPECT_EQ(HandlerNow(), SIG_IGN);
  signal(SIGTERM, SIG_DFL);
}

TEST(GracefulStopTest, WithoutARequestTheOldHandlerComesBack) {
  FakeSession session(/*stop=*/false);
  {
    const GracefulStop graceful_stop(session);
  }

  EXPECT_EQ(HandlerNow(), SIG_DFL);
}

/// Forks a data loader that runs `body` and exits with 0, or is ended by its alarm.
template <class Body>
pid_t ForkChild(Body body) {
  const pid_t child = fork();
  if (child != 0) return child;
  alarm(20);
  body();
  _exit(0);
}

int WaitStatusOf(pid_t child) {
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

// The child shared the parent's eventfd: its SIGTERM ended the rank, and it lived on.
TEST(GracefulStopTest, SigtermEndsAForkedChildAndIsNotTheParents) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer runs no handlers in a forked child of several threads";
#endif
  FakeSession session(/*stop=*/true);
  const auto asked = session.asked();
  {
    const GracefulStop graceful_stop(session);

    const pid_t child = ForkChild([] {
      while (true) pause();
    });
    kill(child, SIGTERM);
    const int status = WaitStatusOf(child);

    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
    EXPECT_EQ(asked.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  }
}

TEST(GracefulStopTest, ForkedChildThatLeavesMainEndsNothingOfTheParents) {
  FakeSession session(/*stop=*/true);
  const auto asked = session.asked();
  std::optional<GracefulStop> graceful_stop(std::in_place, session);

  const int status = WaitStatusOf(ForkChild([&graceful_stop] { graceful_stop.reset(); }));
  raise(SIGTERM);

  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(asked.wait_for(std::chrono::seconds(30)), std::future_status::ready);
}

TEST(GracefulStopDeathTest, SigtermWithoutARequestEndsTheProcessAsEver) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        alarm(30);
        FakeSession session(/*stop=*/false);
        const GracefulStop graceful_stop(session);
        raise(SIGTERM);
        while (true) pause();
      },
      ::testing::KilledBySignal(SIGTERM), "");
}

TEST(GracefulStopDeathTest, SecondOneAborts) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  FakeSession session(/*stop=*/true);
  EXPECT_DEATH(
      {
        const GracefulStop first(session);
        const GracefulStop second(session);
      },
      "a second GracefulStop");
}

}  // namespace
}  // namespace lockstep::rank
