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
#include "runtime/process/proc_scan.h"
#include "runtime/process/processes.h"

namespace lockstep::process {

/// How the processes that a rank makes are kept track of.
enum class Containment {
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
/// could find it, or a crash in between would leave a stray. Here no pipe is needed for that: the
/// child is cloned with CLONE_VFORK, so the thread that alone reaps children stands still until
/// exec; the pidfd comes from clone itself; the child is born in its cgroup, or joins it as one of
/// its first steps, arms its parent-death signal, and gives up when its parent is gone by then.
/// Failures come back through the shared memory (CLONE_VM). A pipe and a fork would say the same at
/// twice the cost: 32 x `true` take 10.9 ms cloned so, 18.9 ms forked from a process of 20 MB, 12.3
/// ms with posix_spawn (Linux 6.18, 2 cores, 2026-11).
class RealProcesses final : public Processes {
 public:
  struct Config {
    std::string mark;  // begins the environment mark of every child; names job and agent,
                       // [A-Za-z0-9._-] only
    Containment containment = Containment::kBest;
    bool use_pidfd = true;                                  // false as on kernels before 5.2
    base::Duration start_limit = std::chrono::seconds(10);  // from Spawn() to exec
    FaultPlan* faults = nullptr;                            // for tests; may be null
  };

  /// Errors: Unavailable - the demanded containment does not work here (kBest always does);
  /// ResourceExhausted - descriptor limit.
  static base::Result<std::unique_ptr<RealProcesses>> Create(Config config, event::Loop& loop);
  /// Every Process must be gone. Ends and reaps what is left below this process; blocks for 2 s at
  /// most.
  ~RealProcesses() override;

  base::Result<std::unique_ptr<Process>> Spawn(const SpawnSpec& spec,
                                               ExitCallback on_exit) override;
  std::string containment() const override;

 private:
  class RealProcess;
  struct Cloned {
    pid_t pid = -1;
    base::UniqueFd pidfd;
  };

  RealProcesses(Config config, event::Loop& loop, std::unique_ptr<CgroupTree> cgroups,
                base::UniqueFd null);

  base::Result<Cloned> Start(const SpawnSpec& spec, const std::vector<std::string>& paths,
                             const std::string& mark, const CgroupLeaf* leaf, bool* cgroup_refused)
      REQUIRES(seq_);
  base::Result<Cloned> Clone(const SpawnSpec& spec, const std::vector<std::string>& paths,
                             ExecPlan& plan, int cgroup_folder) REQUIRES(seq_);
  pid_t CloneSuspended(ExecPlan& plan, int cgroup_folder, int* pidfd) REQUIRES(seq_);
  base::Result<std::unique_ptr<CgroupLeaf>> NewLeaf(const SpawnSpec& spec, uint64_t serial)
      REQUIRES(seq_);

  void OnChildSignal();
  /// Takes the orphans that we inherited and that have ended. May run exit callbacks.
  void ReapOrphans() REQUIRES(seq_);
  void Forget(RealProcess& process) REQUIRES(seq_);
  /// Looks after the pending KillAll()s at once, and then ever more rarely until none is left.
  void SweepSoon() REQUIRES(seq_);
  void Sweep();

  /// The processes below this one, grouped by whose they are; read once for all callers of one turn
  /// of the loop.
  struct Tree {
    std::map<uint64_t, std::vector<ProcStat>> members;  // by serial
    std::vector<ProcStat> strays;                       // whose, nobody can tell
    bool settled;  // nobody but leaders died just now, and nobody's mark was out of sight
  };
  void DropTree();
  const Tree& ScanTree() REQUIRES(seq_);
  /// Null for a stray; `unknown` is set when it might be somebody's at the next look.
  RealProcess* OwnerOf(const ProcStat& orphan, bool* unknown) REQUIRES(seq_);
  /// Living members; strays too once nothing lives here that is not to be killed.
  std::vector<ProcStat> MarkedMembers(const RealProcess& process) REQUIRES(seq_);

  const Config config_;
  event::Loop& loop_;
  const std::unique_ptr<CgroupTree> cgroups_;  // null without cgroups
  const base::UniqueFd null_;                  // /dev/null, for what is not mapped
  const std::unique_ptr<char[]> child_stack_;
  base::Sequence seq_;

  OomCounter oom_ GUARDED_BY(seq_);
  std::map<uint64_t, RealProcess*> processes_
      GUARDED_BY(seq_);  // by serial, in the order of spawning
  std::unordered_map<pid_t, RealProcess*> by_session_
      GUARDED_BY(seq_);  // the session's number is the leader's pid
  uint64_t next_serial_ GUARDED_BY(seq_) = 0;
  bool cgroups_refused_ GUARDED_BY(seq_) = false;
  bool clone_into_cgroup_refused_ GUARDED_BY(seq_) = false;
  std::optional<Tree> tree_ GUARDED_BY(seq_);
  base::Duration sweep_delay_ GUARDED_BY(seq_){0};

  std::unique_ptr<event::SignalSource> child_signals_;
  event::Registration tree_expiry_;
  event::Registration sweep_timer_;
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_REAL_PROCESSES_H_
