// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_REAL_PROCESSES_H_
#define LOCKSTEP_RUNTIME_PROCESS_REAL_PROCESSES_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/event/signal_source.h"
#include "runtime/process/cgroup.h"
#include "runtime/process/exec_child.h"
#include "runtime/process/oom_counter.h"
#include "runtime/process/owned_processes.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/processes.h"
#include "runtime/process/starting_child.h"

namespace lockstep::process {

/// How the processes that a rank makes are kept track of.
enum class Containment : uint8_t {
  kBest,  // the first of those below that works here
  kCgroupV2,
  kCgroupV1,       // freezer, or else pids
  kSubreaperMark,  // orphans become our children; an environment mark tells whose they were
};

/// Spawns with clone() and watches with pidfds (SIGCHLD where the kernel has none). At most one in
/// a process, which must have no other children: it becomes the subreaper and reaps whatever is
/// orphaned below it. Owned by the agent; confined to the loop's thread, which must live as long as
/// this process, since children die with the thread that spawned them (PR_SET_PDEATHSIG).
///
/// The gate between clone and exec. No instruction of the program may run before its supervisor
/// could find it, or a crash in between would leave a stray. So the child itself sees to it before
/// it execs: it is born in its cgroup, or joins it as one of its first steps, arms its parent-death
/// signal, and gives up when its parent is gone by then; its mark comes with its environment. The
/// thread that alone reaps children stands still until all children of a batch have exec'd, so
/// nothing is reported of a process that nobody has yet been told of.
///
/// Children of a batch go their way side by side, in our memory (CLONE_VM), on stacks of their own.
/// CLONE_VFORK would let them do so one at a time, each waiting for a processor twice, and has no
/// deadline. Failures come back through the shared memory, the news that all have left it through
/// the end of a pipe (see Lifeline).
class RealProcesses final : public Processes {
 public:
  struct Config {
    std::string mark;  // begins the environment mark of every child; names job and agent,
                       // [A-Za-z0-9._-] only
    Containment containment = Containment::kBest;
    bool use_pidfd = true;                                  // false as on kernels before 5.2
    base::Duration start_limit = std::chrono::seconds(10);  // from SpawnAll() to exec
    FaultPlan* faults = nullptr;                            // for tests; may be null
  };

  /// Errors: Unavailable - the demanded containment does not work here (kBest always does);
  /// ResourceExhausted - descriptor limit.
  static base::Result<std::unique_ptr<RealProcesses>> Create(Config config, event::Loop& loop);
  /// Every Process must be gone. Ends and reaps what is left below this process; blocks for 2 s at
  /// most.
  ~RealProcesses() override;

  std::vector<SpawnResult> SpawnAll(std::vector<SpawnRequest> requests) override;
  std::string containment() const override;

 private:
  class RealProcess;
  /// What becomes a RealProcess, or an error.
  struct Launch {
    uint64_t serial = 0;
    std::string mark;
    ExitCallback on_exit;
    std::unique_ptr<CgroupLeaf> leaf;      // null where the mark has to do
    std::unique_ptr<StartingChild> child;  // null when it was never begun
    bool in_use = false;                   // `child` may still be used by the child
    base::Status error;
  };

  RealProcesses(Config config, event::Loop& loop, std::unique_ptr<CgroupTree> cgroups,
                base::UniqueFd null);

  Launch Prepare(SpawnRequest request) REQUIRES(seq_);
  std::unique_ptr<CgroupLeaf> NewLeaf(const std::string& name, uint64_t serial) REQUIRES(seq_);
  /// Those without an error: until each has exec'd, or has one.
  void StartAll(const std::vector<Launch*>& launches) REQUIRES(seq_);
  void GiveUpLate(const std::vector<Launch*>& launches, const Lifeline& lifeline) REQUIRES(seq_);
  void RetryWithoutCgroup(const std::vector<Launch*>& launches) REQUIRES(seq_);

  void OnChildSignal();
  /// Takes the orphans that we inherited and that have ended. May run exit callbacks.
  void ReapOrphans() REQUIRES(seq_);
  void Forget(RealProcess& process) REQUIRES(seq_);
  /// Looks after the pending KillAll()s at once, and then ever more rarely until none is left.
  void SweepSoon() REQUIRES(seq_);
  void Sweep();

  void DropTree();
  /// Read once for all callers of one turn of the loop.
  const OwnedProcesses& ScanTree() REQUIRES(seq_);
  /// Living members; strays too once nothing lives here that is not to be killed.
  std::vector<ProcStat> MarkedMembers(const RealProcess& process) REQUIRES(seq_);

  const Config config_;
  event::Loop& loop_;
  const std::unique_ptr<CgroupTree> cgroups_;  // null without cgroups
  const base::UniqueFd null_;                  // /dev/null, for what is not mapped
  base::Sequence seq_;

  OomCounter oom_ GUARDED_BY(seq_);
  // By serial, in the order of spawning.
  std::map<uint64_t, RealProcess*> processes_ GUARDED_BY(seq_);
  // The session's number is the leader's pid.
  std::unordered_map<pid_t, RealProcess*> by_session_ GUARDED_BY(seq_);
  uint64_t next_serial_ GUARDED_BY(seq_) = 0;
  bool cgroups_refused_ GUARDED_BY(seq_) = false;
  bool clone_into_cgroup_refused_ GUARDED_BY(seq_) = false;
  // Of children that not even KILL ends.
  std::vector<std::unique_ptr<StartingChild>> abandoned_ GUARDED_BY(seq_);
  std::optional<OwnedProcesses> tree_ GUARDED_BY(seq_);
  base::Duration sweep_delay_ GUARDED_BY(seq_){0};

  std::unique_ptr<event::SignalSource> child_signals_;
  event::Registration tree_expiry_;
  event::Registration sweep_timer_;
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_REAL_PROCESSES_H_
