// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/process_look.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "runtime/process/proc_scan.h"

namespace lockstep::process {
namespace {

using Doing = ProcessLook::Doing;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

/// A child that does `what` until it is killed, when this goes.
class Child {
 public:
  explicit Child(const std::function<void()>& what) : pid_(fork()) {
    if (pid_ != 0) return;
    what();
    _exit(0);
  }
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  /// Looks until it does that, at most ten seconds.
  ProcessLook Await(Doing doing) const {
    ProcessLook look;
    for (int i = 0; i < 2000; ++i) {
      look = LookAtProcess(pid_).value_or(ProcessLook{.doing = Doing::kEnded});
      if (look.doing == doing) break;
      std::this_thread::sleep_for(milliseconds(5));  // tidy:allow sleep: /proc announces nothing
    }
    EXPECT_EQ(look.doing, doing) << look.ToString();
    return look;
  }

 private:
  const pid_t pid_;
};

TEST(ProcessLookTest, WhoComputesRunsAndUsesItsProcessor) {
  const Child child([] {
    std::atomic<uint64_t> rounds{0};
    while (true) ++rounds;
  });
  const uint64_t before = child.Await(Doing::kRuns).cpu_ticks;
  uint64_t after = before;
  for (int i = 0; i < 2000 && after == before; ++i) {
    std::this_thread::sleep_for(milliseconds(5));  // tidy:allow sleep: likewise
    after = child.Await(Doing::kRuns).cpu_ticks;
  }
  EXPECT_GT(after, before);
}

TEST(ProcessLookTest, WhoWaitsForAPipeIsInIo) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Child child([&ends] {
    char byte;
    (void)!read(ends[0], &byte, 1);
  });
  const ProcessLook look = child.Await(Doing::kReadsOrWrites);
  EXPECT_THAT(look.ToString(), HasSubstr("waits for input or output in read of pipe:["));
  close(ends[0]);
  close(ends[1]);
}

TEST(ProcessLookTest, WhoWaitsForAPeerSleeps) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Child child([&ends] {
    char byte;
    (void)!read(ends[0], &byte, 1);
  });
  const ProcessLook look = child.Await(Doing::kSleeps);
  EXPECT_THAT(look.ToString(), HasSubstr("sleeps in read of socket:["));
  close(ends[0]);
  close(ends[1]);
}

TEST(ProcessLookTest, WhoIsStoppedIsToldApart) {
  const Child child([] { pause(); });
  EXPECT_EQ(child.Await(Doing::kSleeps).system_call, "pause");

  kill(child.pid(), SIGSTOP);

  EXPECT_THAT(child.Await(Doing::kStopped).ToString(), HasSubstr("is stopped by a signal"));
  kill(child.pid(), SIGCONT);
  child.Await(Doing::kSleeps);
}

/// Holds a process until it is killed. False: it may not.
bool Trace(pid_t pid) {
  return ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL) == 0 &&
         ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0;
}

TEST(ProcessLookTest, WhoIsHeldByADebuggerIsToldApart) {
  const Child child([] {
    while (true) pause();
  });
  if (!Trace(child.pid())) GTEST_SKIP() << "may not trace";
  EXPECT_THAT(child.Await(Doing::kTraced).ToString(), HasSubstr("is held by a debugger"));
}

TEST(ProcessLookTest, WhoseOwnChildHoldsItIsInNoDebugger) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Child child([&ends] {
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char may = Trace(getppid()) ? 'y' : 'n';
      (void)!write(ends[1], &may, 1);
    }
    while (true) pause();
  });
  char may = 0;
  ASSERT_EQ(read(ends[0], &may, 1), 1);
  if (may == 'n') GTEST_SKIP() << "may not trace";
  ProcessLook look;
  for (int i = 0; i < 2000 && look.state != 't'; ++i) {
    std::this_thread::sleep_for(milliseconds(5));  // tidy:allow sleep: /proc announces nothing
    look = LookAtProcess(child.pid()).value_or(ProcessLook());
  }
  EXPECT_EQ(look.state, 't');
  EXPECT_EQ(look.doing, Doing::kRuns);
  close(ends[0]);
  close(ends[1]);
}

TEST(ProcessLookTest, AThreadIsToldApartFromTheFirstOne) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::atomic<pid_t> tid{0};
  std::thread reader([&] {
    tid = gettid();
    char byte;
    while (read(ends[0], &byte, 1) < 0) {
    }
  });
  ProcessLook look;
  for (int i = 0; i < 2000 && look.doing != Doing::kReadsOrWrites; ++i) {
    std::this_thread::sleep_for(milliseconds(5));  // tidy:allow sleep: /proc announces nothing
    look = LookAtThread(getpid(), tid).value_or(ProcessLook());
  }

  EXPECT_THAT(look.ToString(), HasSubstr("waits for input or output in read of pipe:["));
  EXPECT_EQ(LookAtThread(getpid(), getpid())->doing, Doing::kRuns);
  EXPECT_EQ(write(ends[1], "x", 1), 1);
  reader.join();
  EXPECT_FALSE(LookAtThread(getpid(), tid).has_value());
  close(ends[0]);
  close(ends[1]);
}

TEST(ProcessLookTest, ASleepThatGoesOnAfterAStopHasAName) {
  const Child child([] {
    while (true) sleep(1000);  // tidy:allow sleep: it is the subject
  });
  child.Await(Doing::kSleeps);

  kill(child.pid(), SIGSTOP);
  child.Await(Doing::kStopped);
  kill(child.pid(), SIGCONT);

  EXPECT_EQ(child.Await(Doing::kSleeps).system_call, "restart_syscall");
}

TEST(ProcessLookTest, TheDeadAndOthersOfThatPidAreNone) {
  const Child child([] {});
  child.Await(Doing::kEnded);
  const uint64_t start = ReadProcStat(child.pid())->start_ticks;
  EXPECT_TRUE(LookAtProcess(child.pid(), start).has_value());
  EXPECT_FALSE(LookAtProcess(child.pid(), start + 1).has_value());
  waitpid(child.pid(), nullptr, 0);
  EXPECT_FALSE(LookAtProcess(child.pid()).has_value());
}

}  // namespace
}  // namespace lockstep::process
