// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_EXEC_CHILD_H_
#define LOCKSTEP_RUNTIME_PROCESS_EXEC_CHILD_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace lockstep::process {

/// What a new process is doing on its way to exec; names the place of a failure.
enum class ExecStage : uint8_t {
  kStarting,
  kParentGone,
  kSession,
  kCgroup,
  kTerminal,
  kDescriptors,
  kLimits,
  kWorkingDirectory,
  kExec,
};

/// For fault tests: lets the n-th fallible call of a spawn fail, in the parent or in one of the
/// children, which share its memory until exec.
struct FaultPlan {
  static constexpr int kHang = -1;  // in place of an errno: a child waits for ever

  int calls_until_failure = -1;  // 0 = the next one fails; negative = none (any more)
  int error = 0;                 // the errno it fails with

  /// 0, or the errno to fail with. Safe in several children at once.
  int Next();
};

/// A descriptor on its way into the child. `parent_fd` is also the number it must be moved away
/// from first when some other descriptor is to take it.
struct ExecFd {
  int parent_fd = -1;
  int child_fd = -1;
  bool until_exec = false;  // the program does not get it
};

struct ExecLimit {
  int resource = 0;
  rlimit value{};
};

/// Everything the child needs, computed beforehand: it may not allocate, lock or even call libc.
/// Pointers belong to the parent, which leaves all of it alone until the child is done with it.
struct ExecPlan {
  pid_t parent = 0;
  const char* const* paths = nullptr;  // of the program, each to be tried; null-terminated
  const char* const* argv = nullptr;
  const char* const* envp = nullptr;
  const char* working_directory = nullptr;  // null = stay
  ExecFd* fds = nullptr;  // sorted by child_fd, which are distinct; parent_fd is changed on the way
  size_t fd_count = 0;
  const ExecLimit* limits = nullptr;
  size_t limit_count = 0;
  int umask = -1;                 // -1 = keep
  int terminal_fd = -1;           // of the parent; -1 = none
  int cgroup_entry_fd = -1;       // to write oneself into; -1 = none
  uint64_t signals_to_reset = 0;  // SignalsToReset()
  FaultPlan* faults = nullptr;

  // What became of it, written by the child into its parent's memory.
  volatile ExecStage stage = ExecStage::kStarting;
  volatile int error = 0;    // errno; 0 = exec'd, or killed on the way
  volatile int subject = 0;  // the descriptor or resource that failed, for kDescriptors and kLimits
};

/// The signals, as bits (1 << (number - 1)), that children must set back to their default: those
/// with a handler of ours, which could run in a child between its last steps and exec, and those
/// that we ignore, which exec would keep. An ignored HUP is not among them and stays ignored.
uint64_t SignalsToReset();

/// The child's whole life until exec; an argument for CloneChild(). Returns only by exec or exit.
/// Safe in memory, thread-local storage too, that is shared with a running parent: raw system calls
/// on prepared data, nothing else. All signals must be blocked when it starts.
int ExecChild(void* plan);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_EXEC_CHILD_H_
