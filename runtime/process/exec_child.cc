// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/exec_child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "runtime/process/raw_syscall.h"

namespace lockstep::process {
namespace {

/// rt_sigaction's own struct, not libc's.
struct KernelSigaction {
  void* handler;
  unsigned long flags;
  void* restorer;
  unsigned long mask;
};

/// getdents64's record.
struct KernelDirent {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[1];
};

constexpr int kSignals = 64;
constexpr unsigned int kLastFd = ~0u;

[[noreturn]] LOCKSTEP_CHILD void Fail(ExecPlan& plan, ExecStage stage, int error, int subject = 0) {
  plan.stage = stage;
  plan.subject = subject;
  plan.error = error;
  while (true) CallKernel(SYS_exit_group, 127);
}

/// Turns a raw result into an errno, 0 for success, and lets a fault test have its way.
LOCKSTEP_CHILD int ErrorOf(ExecPlan& plan, long result) {
  const int injected = plan.faults != nullptr ? plan.faults->Next() : 0;
  while (injected == FaultPlan::kHang) CallKernel(SYS_ppoll);
  if (injected != 0) return injected;
  return result < 0 ? static_cast<int>(-result) : 0;
}

LOCKSTEP_CHILD void ResetSignals(const ExecPlan& plan) {
  for (int signal = 1; signal <= kSignals; ++signal) {
    if ((plan.signals_to_reset >> (signal - 1) & 1) == 0) continue;
    const KernelSigaction by_default = {};
    CallKernel(SYS_rt_sigaction, signal, &by_default, nullptr, sizeof(by_default.mask));
  }
}

LOCKSTEP_CHILD bool IsTarget(const ExecPlan& plan, int fd) {
  for (size_t i = 0; i < plan.fd_count; ++i) {
    if (plan.fds[i].child_fd == fd) return true;
  }
  return false;
}

/// Puts every descriptor where it belongs. One whose number another is to take moves out of the way
/// first.
LOCKSTEP_CHILD void PlaceFds(ExecPlan& plan) {
  const int above = plan.fds[plan.fd_count - 1].child_fd + 1;
  for (size_t i = 0; i < plan.fd_count; ++i) {
    ExecFd& fd = plan.fds[i];
    if (fd.parent_fd == fd.child_fd || !IsTarget(plan, fd.parent_fd)) continue;
    const long moved = CallKernel(SYS_fcntl, fd.parent_fd, F_DUPFD_CLOEXEC, above);
    if (const int error = ErrorOf(plan, moved))
      Fail(plan, ExecStage::kDescriptors, error, fd.child_fd);
    fd.parent_fd = static_cast<int>(moved);
  }
  for (size_t i = 0; i < plan.fd_count; ++i) {
    const ExecFd& fd = plan.fds[i];
    const int close_on_exec = fd.until_exec ? FD_CLOEXEC : 0;
    const int dup_flags = fd.until_exec ? O_CLOEXEC : 0;
    const long placed = fd.parent_fd == fd.child_fd
                            ? CallKernel(SYS_fcntl, fd.child_fd, F_SETFD, close_on_exec)
                            : CallKernel(SYS_dup3, fd.parent_fd, fd.child_fd, dup_flags);
    if (const int error = ErrorOf(plan, placed))
      Fail(plan, ExecStage::kDescriptors, error, fd.child_fd);
  }
}

/// For kernels without close_range: what /proc/self/fd lists, and without /proc every number up to
/// the limit.
LOCKSTEP_CHILD void CloseOthersOneByOne(const ExecPlan& plan) {
  alignas(KernelDirent) char buffer[2048];
  const long listing =
      CallKernel(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (listing < 0) {
    rlimit limit = {1024, 1024};
    CallKernel(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
    for (rlim_t fd = 0; fd < limit.rlim_cur && fd < 1 << 20; ++fd) {
      if (!IsTarget(plan, static_cast<int>(fd))) CallKernel(SYS_close, fd);
    }
    return;
  }
  long size = 0;
  while ((size = CallKernel(SYS_getdents64, listing, buffer, sizeof(buffer))) > 0) {
    for (long at = 0; at < size;) {
      const KernelDirent* entry = reinterpret_cast<const KernelDirent*>(buffer + at);
      at += entry->length;
      if (entry->name[0] == '.') continue;
      int fd = 0;
      for (const char* digit = entry->name; *digit != 0; ++digit) fd = fd * 10 + (*digit - '0');
      if (fd != listing && !IsTarget(plan, fd)) CallKernel(SYS_close, fd);
    }
  }
  // Not so when the listing has taken a target's number: all targets were open before it.
  CallKernel(SYS_close, listing);
}

LOCKSTEP_CHILD void CloseOthers(const ExecPlan& plan) {
  unsigned int next = 0;
  for (size_t i = 0; i <= plan.fd_count; ++i) {
    const unsigned int kept =
        i < plan.fd_count ? static_cast<unsigned int>(plan.fds[i].child_fd) : kLastFd;
    const unsigned int last = i < plan.fd_count ? kept - 1 : kLastFd;
    if (kept > next && CallKernel(SYS_close_range, next, last, 0) != 0) {
      CloseOthersOneByOne(plan);
      return;
    }
    next = kept + 1;
  }
}

/// Tries each path, as a shell does along PATH: only "not here" and "not allowed" let it go on, and
/// the latter is what is told in the end. This is done here and not beforehand because a folder on
/// PATH may hang, and the child has a limit.
[[noreturn]] LOCKSTEP_CHILD void Exec(ExecPlan& plan) {
  plan.stage = ExecStage::kExec;
  const int injected = plan.faults != nullptr ? plan.faults->Next() : 0;
  int error = injected;
  for (const char* const* path = plan.paths; injected == 0 && *path != nullptr; ++path) {
    const int why = static_cast<int>(-CallKernel(SYS_execve, *path, plan.argv, plan.envp));
    if (why != ENOENT && why != ENOTDIR && why != EACCES) Fail(plan, ExecStage::kExec, why);
    if (error != EACCES) error = why;
  }
  Fail(plan, ExecStage::kExec, error);
}

}  // namespace

LOCKSTEP_CHILD int FaultPlan::Next() {
  return __atomic_fetch_sub(&calls_until_failure, 1, __ATOMIC_RELAXED) == 0 ? error : 0;
}

uint64_t SignalsToReset() {
  uint64_t signals = 0;
  for (int signal = 1; signal <= kSignals; ++signal) {
    KernelSigaction now = {};
    if (CallKernel(SYS_rt_sigaction, signal, nullptr, &now, sizeof(now.mask)) != 0) continue;
    const bool ignored = now.handler == reinterpret_cast<void*>(SIG_IGN);
    if (now.handler == nullptr || (ignored && signal == SIGHUP)) continue;
    signals |= uint64_t{1} << (signal - 1);
  }
  return signals;
}

LOCKSTEP_CHILD int ExecChild(void* argument) {
  ExecPlan& plan = *static_cast<ExecPlan*>(argument);
  ResetSignals(plan);

  // From here on our parent's death is ours; if it died before, nobody would ever tell us.
  CallKernel(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (CallKernel(SYS_getppid) != plan.parent) Fail(plan, ExecStage::kParentGone, ESRCH);
  // Where Yama lets only ancestors trace, it lets whom one names, too, and what is below that: our
  // parent's helpers read our stacks. Elsewhere an error that means nothing.
  CallKernel(SYS_prctl, PR_SET_PTRACER, plan.parent, 0, 0, 0);

  if (const int error = ErrorOf(plan, CallKernel(SYS_setsid)))
    Fail(plan, ExecStage::kSession, error);
  if (plan.cgroup_entry_fd >= 0) {
    const long joined = CallKernel(SYS_write, plan.cgroup_entry_fd, "0", 1);
    if (const int error = ErrorOf(plan, joined)) Fail(plan, ExecStage::kCgroup, error);
  }
  if (plan.terminal_fd >= 0) {
    const long taken = CallKernel(SYS_ioctl, plan.terminal_fd, TIOCSCTTY, 0);
    if (const int error = ErrorOf(plan, taken)) Fail(plan, ExecStage::kTerminal, error);
  }
  PlaceFds(plan);
  CloseOthers(plan);
  // After the descriptors, which a low limit would refuse.
  for (size_t i = 0; i < plan.limit_count; ++i) {
    const ExecLimit& limit = plan.limits[i];
    const long set = CallKernel(SYS_prlimit64, 0, limit.resource, &limit.value, nullptr);
    if (const int error = ErrorOf(plan, set)) Fail(plan, ExecStage::kLimits, error, limit.resource);
  }
  if (plan.umask >= 0) CallKernel(SYS_umask, plan.umask);
  if (plan.working_directory != nullptr) {
    const long moved = CallKernel(SYS_chdir, plan.working_directory);
    if (const int error = ErrorOf(plan, moved)) Fail(plan, ExecStage::kWorkingDirectory, error);
  }

  const unsigned long no_signals = 0;
  CallKernel(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, nullptr, sizeof(no_signals));
  Exec(plan);
}

}  // namespace lockstep::process
