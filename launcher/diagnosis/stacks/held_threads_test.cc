// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/held_threads.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

/// What a child counts, in memory that we share.
struct Counters {
  std::atomic<uint64_t> signals{0};
  std::atomic<uint64_t> rounds{0};
};
Counters* counters = nullptr;

/// A child that counts its rounds and its signals until it is killed, when this goes.
class HeldThreadsTest : public ::testing::Test {
 protected:
  HeldThreadsTest() {
    void* const memory =
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    counters = new (memory) Counters;
    struct sigaction action = {};
    action.sa_handler = [](int) { ++counters->signals; };
    struct sigaction before = {};
    ::sigaction(SIGRTMIN, &action, &before);
    child_ = ::fork();
    while (child_ == 0) ++counters->rounds;
    ::sigaction(SIGRTMIN, &before, nullptr);
  }
  ~HeldThreadsTest() override {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::munmap(counters, 4096);
  }
  static bool Eventually(const std::function<bool()>& holds) {
    const SteadyClock::time_point deadline = SteadyClock::now() + 20s;
    while (!holds()) {
      if (SteadyClock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  static SteadyClock::time_point Soon() { return SteadyClock::now() + 20s; }

  pid_t child_ = -1;
};

TEST_F(HeldThreadsTest, WhoIsHeldStandsAndThenGoesOn) {
  ASSERT_TRUE(Eventually([] { return counters->rounds > 0; }));
  {
    HeldThreads held;
    ASSERT_EQ(held.Ask(child_), 0);
    held.Await(Soon());
    ASSERT_TRUE(held.IsHeld(child_));
    const uint64_t rounds = counters->rounds;
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    EXPECT_EQ(counters->rounds, rounds);
  }
  const uint64_t rounds = counters->rounds;
  EXPECT_TRUE(Eventually([&] { return counters->rounds > rounds; }));
}

// One that is on its way when the thread comes to stand must be handed on.
TEST_F(HeldThreadsTest, NoSignalIsLost) {
  std::atomic<bool> sends = true;
  uint64_t sent = 0;
  std::thread sender([&] {
    while (sends) {
      if (::sigqueue(child_, SIGRTMIN, {}) == 0) ++sent;  // else the queue is full
    }
  });
  for (int i = 0; i < 5000; ++i) {
    HeldThreads held;
    EXPECT_EQ(held.Ask(child_), 0);
    held.Await(Soon());
  }
  sends = false;
  sender.join();

  EXPECT_TRUE(Eventually([&] { return counters->signals == sent; }))
      << counters->signals << " of " << sent;
}

TEST_F(HeldThreadsTest, WhoHasEndedIsNotHeld) {
  ::kill(child_, SIGKILL);
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOWAIT), 0);
  HeldThreads held;
  EXPECT_NE(held.Ask(child_), 0);
  EXPECT_FALSE(held.IsHeld(child_));
}

TEST_F(HeldThreadsTest, WhoEndsWhileItIsHeldIsNoReasonToWait) {
  HeldThreads held;
  ASSERT_EQ(held.Ask(child_), 0);
  held.Await(Soon());
  ::kill(child_, SIGKILL);
  held.LetGo();
  const SteadyClock::time_point begin = SteadyClock::now();
  held.Await(Soon());
  EXPECT_LT(SteadyClock::now() - begin, 10s);
}

TEST_F(HeldThreadsTest, OneIsHeldByOneAlone) {
  HeldThreads held;
  ASSERT_EQ(held.Ask(child_), 0);
  HeldThreads other;
  EXPECT_EQ(other.Ask(child_), EPERM);
}

}  // namespace
}  // namespace lockstep::launcher
