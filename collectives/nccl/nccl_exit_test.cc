// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// NCCL hangs in a call that nothing ends: the process ends all the same, each test's in a child of
// this process, which itself has no thread.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "collectives/nccl/testing/nccl_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::GroupRank;
using base::Status;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

base::SteadyTime Now() { return base::RealClock().Now(); }

/// A gang of two that is to be run in a child.
struct Ranks {
  Ranks(const std::string& version, const char* script) : fake(version), gang(2, fake.Load()) {
    fake.Script(script);
    gang.timeout = milliseconds(300);
  }
  /// Barriers until one fails; its status.
  static Status BarriersOf(Group& group) {
    Status status;
    while (status.ok()) {
      const auto work = group.Barrier();
      const base::SteadyTime called = Now();
      status = work->Wait();
      EXPECT_LT(Now() - called, milliseconds(1300));
    }
    return status;
  }

  const FakeGpu fake;
  NcclGang gang;
};

struct ChildEnd {
  int status;  // of wait
  base::Duration took;
  bool ExitedWith(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
};

/// Runs `body` in a process of its own, which ends with 0 when nothing failed in it.
ChildEnd InChild(const std::function<void()>& body) {
  std::fflush(nullptr);
  const base::SteadyTime begun = Now();
  const pid_t pid = fork();
  EXPECT_GE(pid, 0);
  if (pid == 0) {
    alarm(50);
    body();
    std::fflush(nullptr);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  ChildEnd end{};
  EXPECT_EQ(waitpid(pid, &end.status, 0), pid);
  end.took = Now() - begun;
  return end;
}

class NcclExitTest : public ::testing::TestWithParam<std::string> {};

// Those without a revocation.
INSTANTIATE_TEST_SUITE_P(Fake, NcclExitTest, ::testing::Values("2_14", "2_27"),
                         [](const auto& version) { return "Nccl" + version.param; });

TEST_P(NcclExitTest, AnAbortThatBlocksEndsTheProcessAtItsLimit) {
  const ChildEnd end = InChild([this] {
    Ranks ranks(GetParam(), "abort_blocks=0 in_progress=1:1");
    ranks.gang.runtime_config.abort_limit = seconds(2);
    ranks.gang.Run([&](Group& group) { (void)Ranks::BarriersOf(group); });
    while (true) pause();
  });
  EXPECT_TRUE(end.ExitedWith(kNcclStuckExitCode)) << end.status;
  EXPECT_GE(end.took, seconds(2));
  EXPECT_LT(end.took, seconds(20));
}

TEST_P(NcclExitTest, AWorkWhoseAbortBlocksSaysSoOfItsBuffers) {
  const ChildEnd end = InChild([this] {
    Ranks ranks(GetParam(), "abort_blocks=0 in_progress=1:1");
    ranks.gang.Run([&](Group& group) {
      const Status status = Ranks::BarriersOf(group);
      while (group.rank() != GroupRank(0)) pause();
      EXPECT_THAT(status.message(), HasSubstr("may still use the op's buffers"));
      std::fflush(nullptr);
      _exit(::testing::Test::HasFailure() ? 1 : 0);  // nothing keeps it
    });
  });
  EXPECT_TRUE(end.ExitedWith(0)) << end.status;
}

TEST_P(NcclExitTest, AMainThatReturnsDoesNotWaitForAnAbort) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "at exit the leak check stops threads that begin and end, and crashes (GCC 12)";
#endif
  const ChildEnd end = InChild([this] {
    Ranks ranks(GetParam(), "abort_blocks=0 in_progress=1:1");
    ranks.gang.runtime_config.abort_limit = seconds(20);
    ranks.gang.Run([&](Group& group) {
      (void)Ranks::BarriersOf(group);
      while (group.rank() != GroupRank(0)) pause();
      exit(0);
    });
  });
  EXPECT_TRUE(end.ExitedWith(0)) << end.status;
  EXPECT_LT(end.took, seconds(15));
}

TEST_P(NcclExitTest, ACallThatNeverReturnsEndsTheProcessAtTheLimit) {
  const ChildEnd end = InChild([this] {
    Ranks ranks(GetParam(), "call_blocks=1:1");
    ranks.gang.runtime_config.abort_limit = seconds(2);
    ranks.gang.Run([&](Group& group) { (void)Ranks::BarriersOf(group); });
  });
  EXPECT_TRUE(end.ExitedWith(kNcclStuckExitCode)) << end.status;
  EXPECT_LT(end.took, seconds(20));
}

TEST_P(NcclExitTest, AnInitWhoseAbortBlocksEndsTheProcessAtTheLimit) {
  const ChildEnd end = InChild([this] {
    Ranks ranks(GetParam(), "init_never=0 abort_blocks=0");
    ranks.gang.runtime_config.abort_limit = seconds(2);
    ranks.gang.join_timeout = milliseconds(300);
    (void)ranks.gang.runtime();
    const base::SteadyTime called = Now();
    if (ranks.gang.Join(0).ok() || Now() - called > milliseconds(1300)) _exit(2);
    while (true) pause();
  });
  EXPECT_TRUE(end.ExitedWith(kNcclStuckExitCode)) << end.status;
}

TEST(NcclRevocationTest, ARevocationNeedsNoAbort) {
  const ChildEnd end = InChild([] {
    Ranks ranks("2_30", "abort_blocks=0 in_progress=1:1");
    ranks.gang.runtime_config.abort_limit = seconds(1);
    ranks.gang.Run([&](Group& group) {
      const Status status = Ranks::BarriersOf(group);
      EXPECT_FALSE(status.ok());
      EXPECT_THAT(status.message(), Not(HasSubstr("may still use")));
    });
  });
  EXPECT_TRUE(end.ExitedWith(0)) << end.status;
}

// What the test AbortsOfAllMembersRunTogether avoids does happen where one member aborts alone.
TEST(FakeNcclTest, TheFakeCrashesAnAbortWithoutItsSiblings) {
  const ChildEnd end = InChild([] {
    const Ranks ranks("2_30", "abort_crashes=0");
    std::fclose(stderr);
    const auto libraries = ranks.fake.Load();
    NcclConfig config = NcclConfigFor(libraries->nccl_version());
    config.blocking = 0;
    NcclUniqueId id{};
    NcclComm comm = nullptr;
    (void)libraries->nccl().get_unique_id(&id);
    (void)libraries->nccl().comm_init_rank_config(&comm, 2, id, 0, &config);
    (void)libraries->nccl().comm_abort(comm);
  });
  ASSERT_TRUE(WIFSIGNALED(end.status)) << end.status;
  EXPECT_EQ(WTERMSIG(end.status), SIGABRT);
}

}  // namespace
}  // namespace lockstep::collectives::testing
