// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/testing/syscall_faults.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <set>

namespace lockstep::process::testing {
namespace {

// No kernel has calls of these numbers; the tracer answers them.
constexpr long kArm = 100'001;
constexpr long kDisarm = 100'002;

bool IsCounted(uint64_t call, const uint64_t* arguments) {
  switch (call) {
    // They cannot fail with valid arguments.
    case SYS_getpid:
    case SYS_getppid:
    case SYS_gettid:
    case SYS_geteuid:
    case SYS_umask:
    case SYS_rt_sigaction:
    case SYS_rt_sigprocmask:
    case SYS_rt_sigreturn:
    case SYS_clock_gettime:
    case SYS_futex:
    case SYS_exit:
    case SYS_exit_group:
    // What they do must be done; the place of a wait among the calls of a child that runs meanwhile
    // is chance.
    case SYS_close:
    case SYS_poll:
    case SYS_wait4:
    case SYS_waitid:
    // The event loop aborts without memory for a watch, and when it cannot wait.
    case SYS_epoll_ctl:
    case SYS_epoll_wait:
    case SYS_epoll_pwait2:
    // The allocator's.
    case SYS_brk:
    case SYS_mmap:
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_madvise: return false;
    // The flags of a descriptor that is open can be read and set.
    case SYS_fcntl: return arguments[1] != F_GETFL && arguments[1] != F_SETFL;
    default: return true;
  }
}

class Tracer {
 public:
  explicit Tracer(pid_t child) : child_(child) {}

  /// Returns the wait status of the child.
  int Run() {
    int status = 0;
    ::waitpid(child_, &status, __WALL);  // it has stopped itself
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEFORK |
                         PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    ::ptrace(PTRACE_SETOPTIONS, child_, nullptr, options);
    known_.insert(child_);
    ::ptrace(PTRACE_SYSCALL, child_, nullptr, nullptr);
    while (true) {
      const pid_t pid = ::waitpid(-1, &status, __WALL);
      if (pid < 0 && errno != EINTR) return -1;
      if (pid == child_ && !WIFSTOPPED(status)) return status;
      if (pid > 0 && WIFSTOPPED(status)) Stopped(pid, status);
    }
  }

 private:
  void Stopped(pid_t pid, int status) {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    long delivered = 0;
    if (event == PTRACE_EVENT_EXEC) {
      ::ptrace(PTRACE_DETACH, pid, nullptr,
               nullptr);  // what it does from here on is its own affair
      return;
    }
    if (signal == (SIGTRAP | 0x80)) {
      Syscall(pid);
    } else if (event == 0 && !(signal == SIGSTOP && known_.insert(pid).second)) {
      delivered = signal;  // but for the stop with which a new process begins
    }
    ::ptrace(PTRACE_SYSCALL, pid, nullptr, delivered);
  }

  void Syscall(pid_t pid) {
    __ptrace_syscall_info info{};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      Entered(pid, info.entry.nr, info.entry.args);
    } else if (answers_.contains(pid)) {
      Poke(pid, offsetof(user_regs_struct, rax), answer_);
      answers_.erase(pid);
    }
  }

  void Entered(pid_t pid, uint64_t call, const uint64_t* arguments) {
    if (call == kArm) {
      armed_ = true;
      refused_ = -1;
      calls_left_ = static_cast<int64_t>(arguments[0]);
      error_ = static_cast<long>(arguments[1]);
      Answer(pid, 0);
    } else if (call == kDisarm) {
      armed_ = false;
      // A negative number would be taken for an errno.
      Answer(pid, refused_ + 1);
    } else if (armed_ && IsCounted(call, arguments) && calls_left_-- == 0) {
      refused_ = static_cast<long>(call);
      Poke(pid, offsetof(user_regs_struct, orig_rax), -1);  // no call at all
      Answer(pid, -error_);
    }
  }

  void Answer(pid_t pid, long answer) {
    answer_ = answer;
    answers_.insert(pid);
  }
  static void Poke(pid_t pid, size_t offset, long value) {
    ::ptrace(PTRACE_POKEUSER, pid, offset, value);
  }

  const pid_t child_;
  std::set<pid_t> known_;
  std::set<pid_t> answers_;  // whose calls are to return answer_
  long answer_ = 0;
  bool armed_ = false;
  int64_t calls_left_ = 0;
  long error_ = 0;
  long refused_ = -1;
};

}  // namespace

void SyscallFaults::Arm(int calls, int error) { ::syscall(kArm, calls, error); }

std::optional<long> SyscallFaults::Disarm() {
  const long call = ::syscall(kDisarm) - 1;
  if (call < 0) return std::nullopt;
  return call;
}

std::string RunWithFaults(const std::function<std::string(SyscallFaults&)>& body) {
  int report[2];
  if (::pipe(report) != 0) return "pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(report[0]);
    std::string text = "SKIP ptrace is not allowed here";
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0) {
      ::raise(SIGSTOP);
      SyscallFaults faults;
      text = body(faults);
    }
    ::_exit(::write(report[1], text.data(), text.size()) < 0 ? 1 : 0);
  }
  ::close(report[1]);
  const int status = Tracer(child).Run();
  std::string text;
  char bytes[4096];
  for (ssize_t size = 0; (size = ::read(report[0], bytes, sizeof(bytes))) > 0;) {
    text.append(bytes, static_cast<size_t>(size));
  }
  ::close(report[0]);
  return status == 0 ? text : "wait status " + std::to_string(status) + " " + text;
}

}  // namespace lockstep::process::testing
