// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_STARTING_CHILD_H_
#define LOCKSTEP_RUNTIME_PROCESS_STARTING_CHILD_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/process/cgroup.h"
#include "runtime/process/exec_child.h"
#include "runtime/process/processes.h"

namespace lockstep::process {

/// A pipe that nothing is written to: every child of a batch holds the end for writing until it
/// execs or ends, whichever way, and by then it has let go of our memory. So its end of file is the
/// news that all of them have. (A futex that the kernel clears, CLONE_CHILD_CLEARTID, would say it
/// for each; gVisor does not clear it at exec, and a kernel that writes into our memory long after
/// we have given up on a child is a danger.)
class Lifeline {
 public:
  /// Errors: ResourceExhausted - descriptor limit.
  static base::Result<Lifeline> Create();

  int child_end() const { return write_.get(); }
  /// Ours, once all children have theirs.
  void CloseChildEnd() { write_.reset(); }
  /// False when somebody still holds it after `limit`.
  bool WaitForEnd(base::Duration limit) const;

 private:
  base::UniqueFd read_;
  base::UniqueFd write_;
};

/// One child between clone and exec: what it is to become, the stack it runs on, and the plan that
/// it reads and reports in. Until its lifeline has ended this may be neither changed nor destroyed.
/// Made, used and destroyed on the thread that spawns.
class StartingChild {
 public:
  /// The same for all children of a batch.
  struct Batch {
    int lifeline_fd = -1;
    int null_fd = -1;  // for what is not mapped of 0, 1 and 2
    bool use_pidfd = true;
    uint64_t signals_to_reset = 0;
    bool* clone_into_cgroup_refused = nullptr;  // remembers that this kernel does not do that
    FaultPlan* faults = nullptr;                // may be null
  };

  /// Errors: InvalidArgument - the program's name is empty.
  static base::Result<std::unique_ptr<StartingChild>> Create(SpawnSpec spec,
                                                             const std::string& mark);
  StartingChild(const StartingChild&) = delete;
  StartingChild& operator=(const StartingChild&) = delete;

  /// Clones it, into `leaf` if that is not null. May be called again after a failure that
  /// cgroup_refused() explains. Errors: those of Processes::SpawnAll().
  base::Status Start(const Batch& batch, const CgroupLeaf* leaf);
  /// Once it has let go of our memory: why it has not exec'd.
  base::Status Failure() const;
  bool cgroup_refused() const { return plan_.error != 0 && plan_.stage == ExecStage::kCgroup; }
  /// For one that has not let go of our memory in time.
  base::Status TooLate(base::Duration limit) const;

  pid_t pid() const { return pid_; }  // -1 before it has started
  base::UniqueFd TakePidfd() { return std::move(pidfd_); }
  const SpawnSpec& spec() const { return spec_; }

 private:
  // ExecChild() and what it calls need under 4 KiB; a debugger may want more.
  static constexpr size_t kStackBytes = 16 << 10;

  StartingChild(SpawnSpec spec, std::vector<std::string> paths, const std::string& mark);

  pid_t Clone(const Batch& batch, int cgroup_folder, int* pidfd);

  const SpawnSpec spec_;
  const std::vector<std::string> paths_;  // of the program
  std::string mark_entry_;                // of the environment

  std::vector<const char*> path_pointers_;
  std::vector<const char*> argv_;
  std::vector<const char*> envp_;
  std::vector<ExecFd> fds_;
  std::vector<ExecLimit> limits_;
  ExecPlan plan_;
  pid_t pid_ = -1;
  base::UniqueFd pidfd_;
  alignas(16) char stack_[kStackBytes];
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_STARTING_CHILD_H_
