// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_CGROUP_H_
#define LOCKSTEP_RUNTIME_PROCESS_CGROUP_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::process {

enum class CgroupKind : uint8_t {
  kV2,         // killed by cgroup.kill, in one go
  kV1Freezer,  // frozen, killed one by one, thawed
  kV1Pids,     // killed one by one
};

/// The folder, in the mounted file system, of the cgroup that a process is in. `cgroup_text` and
/// `mountinfo_text` are its files of /proc; `controller` is "" for version 2, else "freezer" and
/// the like. nullopt when that hierarchy is not mounted, or not in sight from this namespace.
std::optional<std::string> FindCgroupFolder(std::string_view cgroup_text,
                                            std::string_view mountinfo_text,
                                            std::string_view controller);

/// The same for this process.
std::optional<std::string> OwnCgroupFolder(std::string_view controller);

class CgroupTree;

/// A cgroup for one spawned process and all that it makes: nothing leaves it by forking. Removed
/// when destroyed (later, by its tree, when something in it is still dying). Owned by the spawned
/// process; confined to one thread.
class CgroupLeaf {
 public:
  ~CgroupLeaf();
  CgroupLeaf(const CgroupLeaf&) = delete;
  CgroupLeaf& operator=(const CgroupLeaf&) = delete;

  /// The file where the child, of one thread, writes "0" to move in before it runs a single foreign
  /// instruction; invalid, with errno, on failure. Of version 1 this is `tasks`, which takes the
  /// writing thread without waiting for all others to settle as cgroup.procs does: 0.02 against 12
  /// ms on an idle machine (Linux 6.18, 2 cores, 2026-11). Version 2 has no such file: see
  /// OpenFolder().
  base::UniqueFd OpenEntry() const;
  /// For a child to be born in it (CloneChild); invalid for version 1, which cannot do that, and
  /// when it is frozen: a child born frozen never gives our memory back.
  base::UniqueFd OpenFolder() const;
  /// Live processes, in cgroups below it too.
  std::vector<pid_t> Members() const;
  /// False also when nobody can tell, for want of a descriptor.
  bool Empty() const;
  /// Sends SIGKILL to all of them. For v1 it may miss one that is being forked: call again until
  /// Empty().
  void Kill();

 private:
  friend class CgroupTree;
  CgroupLeaf(CgroupTree& tree, std::string name) : tree_(tree), name_(std::move(name)) {}

  CgroupTree& tree_;
  const std::string name_;  // relative to the tree's folder
};

/// The cgroups of one agent: a folder named after it, below the cgroup it is itself in (so the
/// limits that Slurm or a pod put on it hold for its ranks too), and a leaf in it for each spawned
/// process. One per agent, owned by RealProcesses; leaves must not outlive it. Leaves of agents
/// that died without removing theirs are emptied and removed by the next tree.
///
/// Cost (Linux 6.18, 2 cores): making, joining and removing a leaf is 25 us together, against 350
/// us for a process.
class CgroupTree {
 public:
  /// Makes the agent's folder.
  /// Errors: Unavailable - this kind of cgroup is not mounted, may not be written, or lacks
  /// cgroup.kill (before 5.14).
  static base::Result<std::unique_ptr<CgroupTree>> Create(CgroupKind kind);
  ~CgroupTree();
  CgroupTree(const CgroupTree&) = delete;
  CgroupTree& operator=(const CgroupTree&) = delete;

  /// `name` is unique in this tree. Errors: those of mkdir.
  base::Result<std::unique_ptr<CgroupLeaf>> NewLeaf(const std::string& name);

  CgroupKind kind() const { return kind_; }
  /// "cgroup v2 at /sys/fs/cgroup/...".
  std::string Describe() const;

 private:
  friend class CgroupLeaf;
  CgroupTree(CgroupKind kind, std::string folder, base::UniqueFd fd)
      : kind_(kind), folder_(std::move(folder)), fd_(std::move(fd)) {}

  void Retire(const std::string& name);
  void RemoveRetired();

  const CgroupKind kind_;
  const std::string folder_;
  const base::UniqueFd fd_;           // of folder_: leaves are reached relative to it
  std::vector<std::string> retired_;  // leaves that could not be removed yet
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_CGROUP_H_
