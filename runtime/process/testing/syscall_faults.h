// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_TESTING_SYSCALL_FAULTS_H_
#define LOCKSTEP_RUNTIME_PROCESS_TESTING_SYSCALL_FAULTS_H_

#include <functional>
#include <optional>
#include <string>

namespace lockstep::process::testing {

/// Lets the kernel refuse one system call of the code under test, whichever it is, without a seam
/// in the code: the body runs in a forked child that the test traces (ptrace), with all the
/// processes that it makes until they exec. One thread; x86-64.
///
///   const std::string problem = RunWithFaults([](SyscallFaults& faults) {
///     faults.Arm(k, EIO);
///     ... what is tested ...
///     if (!faults.Disarm()) return "the k-th call was never made";
///     ...
///   });
class SyscallFaults {
 public:
  /// The call after `calls` others fails with `error`. Not counted are calls that cannot fail as
  /// they are used (getpid, rt_sigaction, futex ...), close() and waits, which must never be
  /// refused without having been done, and those whose failure ends a program here: the allocator's
  /// and the event loop's epoll_ctl() and epoll_wait().
  void Arm(int calls, int error);
  /// The number (SYS_*) of the call that was refused; nullopt when there were not so many.
  std::optional<long> Disarm();
};

/// Returns what `body` does; "SKIP ..." where tracing is not allowed.
std::string RunWithFaults(const std::function<std::string(SyscallFaults&)>& body);

}  // namespace lockstep::process::testing

#endif  // LOCKSTEP_RUNTIME_PROCESS_TESTING_SYSCALL_FAULTS_H_
