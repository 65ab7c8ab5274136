// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/clone_child.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace lockstep::process {
namespace {

#if defined(__x86_64__)
/// glibc has no wrapper for clone3, and syscall() would return twice through one return address, on
/// two stacks. So the child is called from within the instruction that made it.
long Clone3(clone_args& args, int (*child)(void*), void* argument) {
  long result = SYS_clone3;
  // In registers that the code below does not touch before it uses them.
  register int (*const function)(void*) asm("r12") = child;
  register void* const its_argument asm("r13") = argument;
  asm volatile(
      "syscall\n\t"
      "testq %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xorl %%ebp, %%ebp\n\t"  // the end of the child's chain of frames
      "movq %[argument], %%rdi\n\t"
      "callq *%[child]\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(&args), "S"(sizeof args), [child] "r"(function), [argument] "r"(its_argument)
      : "rcx", "r11", "memory");
  return result;
}

pid_t CloneIntoCgroup(int (*child)(void*), void* argument, const CloneChildOptions& options) {
  clone_args args{};
  args.flags = CLONE_VM | CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.stack = reinterpret_cast<uintptr_t>(options.stack);
  args.stack_size = options.stack_bytes;
  args.cgroup = static_cast<uint64_t>(options.cgroup_fd);
  if (options.pidfd != nullptr) {
    args.flags |= CLONE_PIDFD;
    args.pidfd = reinterpret_cast<uintptr_t>(options.pidfd);
  }
  const long result = Clone3(args, child, argument);
  if (result >= 0) return static_cast<pid_t>(result);
  errno = static_cast<int>(-result);
  return -1;
}
#else
pid_t CloneIntoCgroup(int (*)(void*), void*, const CloneChildOptions&) {
  errno = ENOSYS;
  return -1;
}
#endif

}  // namespace

pid_t CloneChild(int (*child)(void*), void* argument, const CloneChildOptions& options) {
  if (options.cgroup_fd >= 0) return CloneIntoCgroup(child, argument, options);
  // Kernels before 5.2 ignore CLONE_PIDFD and leave the pidfd as it is.
  const int flags = CLONE_VM | SIGCHLD | (options.pidfd != nullptr ? CLONE_PIDFD : 0);
  return ::clone(child, options.stack + options.stack_bytes, flags, argument, options.pidfd);
}

}  // namespace lockstep::process
