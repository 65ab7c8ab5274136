// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/loop.h"
#include "runtime/event/sim_loop.h"
#include "runtime/event/testing/run_until.h"

namespace lockstep::event {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::RunUntil;

constexpr Readiness kReadable{.readable = true};
constexpr Readiness kWritable{.writable = true};
constexpr Readiness kNothing{};

/// One end of a connection whose other end the test holds: a socket, or a number that pretends.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  virtual int fd() const = 0;
  virtual void MakeReadable() = 0;
  virtual void Drain() = 0;
  virtual void HangUp() = 0;
};

class SocketEndpoint final : public Endpoint {
 public:
  SocketEndpoint() {
    int ends[2];
    LOCKSTEP_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
    mine_.reset(ends[0]);
    peer_.reset(ends[1]);
  }
  int fd() const override { return mine_.get(); }
  void MakeReadable() override { ASSERT_EQ(::write(peer_.get(), "x", 1), 1); }
  void Drain() override {
    char byte;
    ASSERT_EQ(::read(mine_.get(), &byte, 1), 1);
  }
  void HangUp() override { peer_.reset(); }

 private:
  base::UniqueFd mine_;
  base::UniqueFd peer_;
};

class PretendedEndpoint final : public Endpoint {
 public:
  PretendedEndpoint(SimLoop& loop, int fd) : loop_(loop), fd_(fd) {
    loop_.SetReady(fd_, kWritable);
  }
  int fd() const override { return fd_; }
  void MakeReadable() override { loop_.SetReady(fd_, {.readable = true, .writable = true}); }
  void Drain() override { loop_.SetReady(fd_, kWritable); }
  void HangUp() override {
    loop_.SetReady(fd_, {.readable = true, .writable = true, .closed = true});
  }

 private:
  SimLoop& loop_;
  const int fd_;
};

class RealKind {
 public:
  RealKind() : loop_(EpollLoop::Create(clock_).value()) {}
  Loop& loop() { return *loop_; }
  std::unique_ptr<Endpoint> NewEndpoint() { return std::make_unique<SocketEndpoint>(); }

 private:
  base::RealClock clock_;
  std::unique_ptr<EpollLoop> loop_;
};

class SimKind {
 public:
  Loop& loop() { return loop_; }
  std::unique_ptr<Endpoint> NewEndpoint() {
    return std::make_unique<PretendedEndpoint>(loop_, next_fd_++);
  }

 private:
  SimLoop loop_;
  int next_fd_ = 1000;
};

template <class Kind>
class LoopContractTest : public ::testing::Test {
 protected:
  Loop& loop() { return kind_.loop(); }
  std::unique_ptr<Endpoint> NewEndpoint() { return kind_.NewEndpoint(); }
  bool Wait(const std::function<bool()>& done) { return RunUntil(loop(), done, seconds(20)); }
  /// Lets everything run that is able to.
  void Settle() {
    bool over = false;
    Registration timer = loop().After(milliseconds(20), [&] { over = true; });
    ASSERT_TRUE(Wait([&] { return over; }));
  }

 private:
  Kind kind_;
};

using Kinds = ::testing::Types<RealKind, SimKind>;
TYPED_TEST_SUITE(LoopContractTest, Kinds);

TYPED_TEST(LoopContractTest, PostedCallbacksRunInOrderAndNotInsidePost) {
  std::vector<int> ran;
  this->loop().Post([&] { ran.push_back(1); });
  this->loop().Post([&] {
    this->loop().Post([&] { ran.push_back(4); });
    ran.push_back(2);
  });
  this->loop().Post([&] { ran.push_back(3); });
  EXPECT_THAT(ran, ElementsAre());

  EXPECT_TRUE(this->Wait([&] { return ran.size() == 4; }));

  EXPECT_THAT(ran, ElementsAre(1, 2, 3, 4));
}

TYPED_TEST(LoopContractTest, TimersRunByDueTimeThenByOrderOfSetting) {
  std::vector<int> ran;
  const base::SteadyTime start = this->loop().Now();
  Registration later = this->loop().At(start + milliseconds(4), [&] { ran.push_back(4); });
  Registration second = this->loop().At(start + milliseconds(2), [&] { ran.push_back(2); });
  Registration third = this->loop().At(start + milliseconds(2), [&] { ran.push_back(3); });
  Registration past = this->loop().At(start - seconds(1), [&] { ran.push_back(1); });

  EXPECT_TRUE(this->Wait([&] { return ran.size() == 4; }));

  EXPECT_THAT(ran, ElementsAre(1, 2, 3, 4));
}

TYPED_TEST(LoopContractTest, TimerRunsOnceAndNotBeforeItIsDue) {
  int runs = 0;
  const base::SteadyTime due = this->loop().Now() + std::chrono::microseconds(1500);
  base::SteadyTime ran_at{};
  Registration timer = this->loop().At(due, [&] {
    ++runs;
    ran_at = this->loop().Now();
    EXPECT_FALSE(timer.active());
  });
  EXPECT_TRUE(timer.active());

  this->Settle();

  EXPECT_EQ(runs, 1);
  EXPECT_GE(ran_at, due);
  EXPECT_FALSE(timer.active());
}

TYPED_TEST(LoopContractTest, TimerFarBeyondTheClockNeverOverflows) {
  bool fired = false;
  Registration never = this->loop().After(base::Duration::max(), [&] { fired = true; });

  this->Settle();

  EXPECT_FALSE(fired);
  EXPECT_TRUE(never.active());
}

TYPED_TEST(LoopContractTest, CancelledTimerNeverRuns) {
  bool exploded = false;
  Registration bomb = this->loop().After(milliseconds(1), [&] { exploded = true; });
  bomb.reset();
  {
    Registration scoped = this->loop().After(milliseconds(1), [&] { exploded = true; });
  }
  Registration replaced = this->loop().After(milliseconds(1), [&] { exploded = true; });
  replaced = this->loop().After(milliseconds(1), [] {});

  this->Settle();

  EXPECT_FALSE(exploded);
}

TYPED_TEST(LoopContractTest, MovedRegistrationKeepsItsTimer) {
  bool fired = false;
  Registration first = this->loop().After(milliseconds(1), [&] { fired = true; });
  const Registration second = std::move(first);
  first.reset();

  EXPECT_TRUE(this->Wait([&] { return fired; }));
}

TYPED_TEST(LoopContractTest, TimerCancelsAnotherThatIsDueInTheSameTurn) {
  bool exploded = false;
  std::optional<Registration> bomb;
  const base::SteadyTime due = this->loop().Now() + milliseconds(1);
  Registration killer = this->loop().At(due, [&] { bomb.reset(); });
  bomb = this->loop().At(due, [&] { exploded = true; });

  this->Settle();

  EXPECT_FALSE(exploded);
}

TYPED_TEST(LoopContractTest, TimerThatRearmsItselfForThePastStarvesNobody) {
  int64_t spins = 0;
  bool posted_ran = false;
  Registration again;
  std::function<void()> spin = [&] {
    ++spins;
    again = this->loop().At(base::SteadyTime{}, spin);
  };
  spin();
  auto endpoint = this->NewEndpoint();
  endpoint->MakeReadable();
  bool read = false;
  Registration watch = this->loop().Watch(endpoint->fd(), kReadable, [&](Readiness) {
    endpoint->Drain();
    read = true;
    this->loop().Post([&] {
      posted_ran = true;
      this->loop().Quit();
    });
  });

  this->loop().Run();

  EXPECT_TRUE(read && posted_ran);
  EXPECT_GT(spins, 1);
  again.reset();
}

TYPED_TEST(LoopContractTest, CallbackMayDestroyWhatItCaptured) {
  struct Owner {
    Registration timer;
    Registration other;
    int canary = 7;
  };
  auto owner = std::make_unique<Owner>();
  bool ran = false;
  Owner* raw = owner.get();
  owner->other =
      this->loop().After(seconds(1000), [] { ADD_FAILURE() << "cancelled with its owner"; });
  owner->timer = this->loop().After(milliseconds(1), [&, raw] {
    owner.reset();
    ran = true;
    EXPECT_NE(raw, nullptr);  // the captures outlive the owner
  });

  EXPECT_TRUE(this->Wait([&] { return ran; }));
}

TYPED_TEST(LoopContractTest, CancellingACallbackThatOwnsAnotherRegistrationCancelsBoth) {
  bool exploded = false;
  auto inner =
      std::make_shared<Registration>(this->loop().After(milliseconds(1), [&] { exploded = true; }));
  Registration outer = this->loop().After(milliseconds(1), [inner, &exploded] { exploded = true; });
  inner.reset();
  outer.reset();

  this->Settle();

  EXPECT_FALSE(exploded);
}

TYPED_TEST(LoopContractTest, WatchReportsWhileReadableAndNotAfter) {
  auto endpoint = this->NewEndpoint();
  int calls = 0;
  Registration watch = this->loop().Watch(endpoint->fd(), kReadable, [&](Readiness readiness) {
    EXPECT_EQ(readiness, kReadable);
    if (++calls == 3) endpoint->Drain();
  });
  this->Settle();
  EXPECT_EQ(calls, 0);

  endpoint->MakeReadable();
  this->Settle();

  EXPECT_EQ(calls, 3);
}

TYPED_TEST(LoopContractTest, WatchReportsOnlyWhatWasAskedForAndTheHangUp) {
  auto endpoint = this->NewEndpoint();
  Readiness seen;
  Registration watch;
  watch = this->loop().Watch(endpoint->fd(), kWritable, [&](Readiness readiness) {
    seen = readiness;
    watch.reset();
  });
  this->Settle();
  EXPECT_EQ(seen, kWritable);

  endpoint->HangUp();
  watch = this->loop().Watch(endpoint->fd(), kReadable, [&](Readiness readiness) {
    seen = readiness;
    watch.reset();
  });
  this->Settle();

  EXPECT_EQ(seen, (Readiness{.readable = true, .closed = true}));
  EXPECT_FALSE(watch.active());
}

TYPED_TEST(LoopContractTest, PausedWatchReportsNothingUntilResumed) {
  auto endpoint = this->NewEndpoint();
  int calls = 0;
  Registration watch = this->loop().Watch(endpoint->fd(), kReadable, [&](Readiness) {
    ++calls;
    this->loop().SetInterest(watch, kNothing);
  });
  endpoint->MakeReadable();
  this->Settle();
  EXPECT_EQ(calls, 1);

  endpoint->HangUp();
  this->Settle();
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(watch.active());

  this->loop().SetInterest(watch, kReadable);
  this->Settle();
  EXPECT_EQ(calls, 2);
}

TYPED_TEST(LoopContractTest, WatchThatStartsPausedWaits) {
  auto endpoint = this->NewEndpoint();
  endpoint->MakeReadable();
  int calls = 0;
  Registration watch = this->loop().Watch(endpoint->fd(), kNothing, [&](Readiness) {
    ++calls;
    endpoint->Drain();
  });
  this->Settle();
  EXPECT_EQ(calls, 0);

  this->loop().SetInterest(watch, kReadable);

  EXPECT_TRUE(this->Wait([&] { return calls == 1; }));
}

TYPED_TEST(LoopContractTest, WatchCancelledByAnotherInTheSameTurnStaysSilent) {
  auto first = this->NewEndpoint();
  auto second = this->NewEndpoint();
  int calls = 0;
  Registration one;
  Registration two;
  const auto cancel_both = [&](Readiness) {
    ++calls;
    one.reset();
    two.reset();
  };
  one = this->loop().Watch(first->fd(), kReadable, cancel_both);
  two = this->loop().Watch(second->fd(), kReadable, cancel_both);
  first->MakeReadable();
  second->MakeReadable();

  this->Settle();

  EXPECT_EQ(calls, 1);
}

TYPED_TEST(LoopContractTest, ReadyDescriptorsTakeTurns) {
  std::vector<std::unique_ptr<Endpoint>> endpoints;
  std::vector<Registration> watches;
  std::vector<int> calls(3);
  for (int i = 0; i < 3; ++i) {
    endpoints.push_back(this->NewEndpoint());
    endpoints.back()->MakeReadable();
    watches.push_back(this->loop().Watch(endpoints.back()->fd(), kReadable, [&, i](Readiness) {
      ++calls[i];
      if (calls[0] > 9 && calls[1] > 9 && calls[2] > 9) this->loop().Quit();
    }));
  }

  this->loop().Run();

  EXPECT_LE(calls[0] + calls[1] + calls[2], 33);
}

TYPED_TEST(LoopContractTest, QuitLeavesTheRestForTheNextRun) {
  std::vector<int> ran;
  this->loop().Post([&] {
    ran.push_back(1);
    this->loop().Quit();
  });
  this->loop().Post([&] {
    ran.push_back(2);
    this->loop().Quit();
  });

  this->loop().Run();
  EXPECT_THAT(ran, ElementsAre(1));
  this->loop().Run();

  EXPECT_THAT(ran, ElementsAre(1, 2));
}

TYPED_TEST(LoopContractTest, QuitBeforeRunEndsThatRunAtOnce) {
  bool ran = false;
  this->loop().Post([&] {
    ran = true;
    this->loop().Quit();
  });
  this->loop().Quit();

  this->loop().Run();
  EXPECT_FALSE(ran);
  this->loop().Run();

  EXPECT_TRUE(ran);
}

/// Owns a registration and posts when destroyed, as an object caught by the loop's end may.
struct Straggler {
  Loop* loop = nullptr;
  Registration timer;
  std::shared_ptr<int> witness;
  ~Straggler() {
    loop->Post([kept = witness] {});
  }
};

TYPED_TEST(LoopContractTest, PendingPostsAreDestroyedWithTheLoop) {
  auto witness = std::make_shared<int>(0);
  {
    TypeParam kind;
    auto straggler = std::make_shared<Straggler>();
    straggler->loop = &kind.loop();
    straggler->timer = kind.loop().After(seconds(1), [] {});
    straggler->witness = witness;
    kind.loop().Post([straggler] { ADD_FAILURE() << "the loop never ran"; });
  }

  EXPECT_EQ(witness.use_count(), 1);
}

TEST(EpollLoopTest, PostsFromManyThreadsAllRunOnTheLoopInEachThreadsOrder) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 2000;
  base::RealClock clock;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<EpollLoop> loop, EpollLoop::Create(clock));
  std::vector<std::vector<int>> ran(kThreads);
  int left = kThreads * kPosts;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        loop->Post([&, t, i] {
          ran[t].push_back(i);
          if (--left == 0) loop->Quit();
        });
      }
    });
  }

  loop->Run();
  for (std::thread& thread : threads) thread.join();

  for (const std::vector<int>& order : ran) {
    ASSERT_EQ(order.size(), static_cast<size_t>(kPosts));
    for (int i = 0; i < kPosts; ++i) ASSERT_EQ(order[i], i);
  }
}

TEST(EpollLoopTest, PausedDescriptorThatWasHungUpCostsNoTime) {
  base::RealClock clock;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<EpollLoop> loop, EpollLoop::Create(clock));
  SocketEndpoint endpoint;
  endpoint.HangUp();
  Registration watch =
      loop->Watch(endpoint.fd(), kReadable, [&](Readiness) { loop->SetInterest(watch, kNothing); });
  Registration timer = loop->After(milliseconds(100), [&] { loop->Quit(); });
  timespec before;
  timespec after;
  ASSERT_EQ(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before), 0);

  loop->Run();

  ASSERT_EQ(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after), 0);
  const int64_t used =
      (after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec - before.tv_nsec;
  EXPECT_LT(used, 20'000'000) << "ns of processor time in 100 ms of waiting";
}

TEST(EpollLoopTest, QuitFromAnotherThreadWakesASleepingLoop) {
  base::RealClock clock;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<EpollLoop> loop, EpollLoop::Create(clock));
  std::thread quitter;
  loop->Post([&] { quitter = std::thread([&] { loop->Quit(); }); });

  loop->Run();
  quitter.join();
}

TEST(EpollLoopTest, FilesAndDevNullCountAsAlwaysReady) {
  base::RealClock clock;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<EpollLoop> loop, EpollLoop::Create(clock));
  const base::UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  int calls = 0;
  Registration watch = loop->Watch(null.get(), kReadable, [&](Readiness readiness) {
    EXPECT_EQ(readiness, kReadable);
    if (++calls == 3) loop->SetInterest(watch, kNothing);
  });

  EXPECT_TRUE(RunUntil(*loop, [&] { return calls == 3; }, seconds(20)));
  bool over = false;
  Registration timer = loop->After(milliseconds(5), [&] { over = true; });
  EXPECT_TRUE(RunUntil(*loop, [&] { return over; }, seconds(20)));

  EXPECT_EQ(calls, 3);
  loop->SetInterest(watch, kReadable);
  EXPECT_TRUE(RunUntil(*loop, [&] { return calls > 3; }, seconds(20)));
}

TEST(EpollLoopTest, ShortTimersAreNotRoundedToMilliseconds) {
  base::RealClock clock;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<EpollLoop> loop, EpollLoop::Create(clock));
  // The best of many, since a busy machine delays any one of them.
  base::Duration best = seconds(1);
  for (int i = 0; i < 50; ++i) {
    const base::SteadyTime start = loop->Now();
    Registration timer = loop->After(std::chrono::microseconds(100), [&] { loop->Quit(); });
    loop->Run();
    best = std::min(best, loop->Now() - start);
  }

  EXPECT_LT(best, std::chrono::microseconds(900));
}

TEST(SimLoopTest, AnHourTakesNoTimeAndTheClockStandsAtTheTimer) {
  SimLoop loop;
  const base::SteadyTime start = loop.Now();
  base::SteadyTime fired{};
  Registration timer = loop.After(std::chrono::hours(1), [&] { fired = loop.Now(); });

  EXPECT_FALSE(
      loop.RunUntil([&] { return fired != base::SteadyTime{}; }, std::chrono::minutes(59)));
  EXPECT_EQ(loop.Now(), start + std::chrono::minutes(59));
  EXPECT_TRUE(loop.RunUntil([&] { return fired != base::SteadyTime{}; }, std::chrono::minutes(2)));

  EXPECT_EQ(fired, start + std::chrono::hours(1));
  EXPECT_EQ(loop.Now(), fired);
}

TEST(SimLoopTest, RunForLetsExactlyThatMuchPass) {
  SimLoop loop;
  const base::SteadyTime start = loop.Now();
  int ticks = 0;
  Registration tick;
  std::function<void()> again = [&] {
    ++ticks;
    tick = loop.After(seconds(1), again);
  };
  tick = loop.After(seconds(1), again);

  loop.RunFor(seconds(10));

  EXPECT_EQ(ticks, 10);
  EXPECT_EQ(loop.Now(), start + seconds(10));
  tick.reset();
}

TEST(SimLoopDeathTest, RunningDryIsReportedInsteadOfHanging) {
  SimLoop loop;
  EXPECT_DEATH(loop.Run(), "nothing is left that could run");
}

}  // namespace
}  // namespace lockstep::event
