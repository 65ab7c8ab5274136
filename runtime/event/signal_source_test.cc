// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/event/signal_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"

namespace lockstep::event {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class SignalSourceTest : public ::testing::Test {
 protected:
  bool Wait(const std::function<bool()>& done) {
    return testing::RunUntil(*loop_, done, std::chrono::seconds(20));
  }

  base::RealClock clock_;
  std::unique_ptr<EpollLoop> loop_ = EpollLoop::Create(clock_).value();
};

TEST_F(SignalSourceTest, DeliversNumberAndSenderOnTheLoop) {
  std::vector<Signal> got;
  ASSERT_OK_AND_ASSIGN(const auto source,
                       SignalSource::Create(*loop_, {SIGUSR1, SIGTERM},
                                            [&](const Signal& signal) { got.push_back(signal); }));

  ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
  EXPECT_TRUE(got.empty());
  ASSERT_TRUE(Wait([&] { return got.size() == 1; }));

  EXPECT_EQ(got[0].number, SIGUSR1);
  EXPECT_EQ(got[0].sender_pid, ::getpid());
  EXPECT_EQ(got[0].sender_uid, ::getuid());
  EXPECT_EQ(got[0].code, SI_USER);
}

TEST_F(SignalSourceTest, TwoSourcesTellTheirSignalsApart) {
  std::vector<int> first;
  std::vector<int> second;
  ASSERT_OK_AND_ASSIGN(const auto one,
                       SignalSource::Create(*loop_, {SIGTERM, SIGHUP}, [&](const Signal& signal) {
                         first.push_back(signal.number);
                       }));
  ASSERT_OK_AND_ASSIGN(const auto two,
                       SignalSource::Create(*loop_, {SIGUSR2}, [&](const Signal& signal) {
                         second.push_back(signal.number);
                       }));

  for (const int signal : {SIGHUP, SIGUSR2, SIGTERM}) ASSERT_EQ(::kill(::getpid(), signal), 0);
  ASSERT_TRUE(Wait([&] { return first.size() == 2 && second.size() == 1; }));

  EXPECT_THAT(first, UnorderedElementsAre(SIGHUP, SIGTERM));
  EXPECT_THAT(second, ElementsAre(SIGUSR2));
}

TEST_F(SignalSourceTest, DestroyedInItsOwnCallbackItLeavesTheSignalBlocked) {
  std::unique_ptr<SignalSource> source;
  bool ran = false;
  ASSERT_OK_AND_ASSIGN(source, SignalSource::Create(*loop_, {SIGUSR1}, [&](const Signal&) {
                         source.reset();
                         ran = true;
                       }));
  ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
  ASSERT_TRUE(Wait([&] { return ran; }));

  ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);  // would kill this test if it were unblocked

  sigset_t pending;
  ASSERT_EQ(sigpending(&pending), 0);
  EXPECT_EQ(sigismember(&pending, SIGUSR1), 1);
  int taken = 0;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  EXPECT_EQ(sigwait(&set, &taken), 0);
}

}  // namespace
}  // namespace lockstep::event
