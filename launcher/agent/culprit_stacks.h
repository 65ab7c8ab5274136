// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_CULPRIT_STACKS_H_
#define LOCKSTEP_LAUNCHER_AGENT_CULPRIT_STACKS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "launcher/agent/far_stacks.h"
#include "launcher/agent/job_record.h"
#include "launcher/diagnosis/stacks/stack_taking.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"
#include "runtime/process/processes.h"
#include "runtime/proto/stacks.pb.h"
#include "runtime/proto/verdict.pb.h"

namespace lockstep::launcher {

/// Where those stand who are to blame for a gang that stands still: taken before anything is
/// ended, kept in the evidence of the round (saved_stacks.h), and told to the verdict. One
/// for each agent, owned by it; gone before `deps.processes` is. Confined to the
/// loop's thread.
class CulpritStacks {
 public:
  struct Deps {
    event::Loop& loop;
    process::Processes& processes;
    JobRecord& record;
  };
  struct Culprits {
    std::vector<StackTaking::Target> here;  // on this machine
    std::vector<base::Rank> far;            // on other nodes
  };
  /// Of kind STACK and GPU, each of a rank.
  using Done = std::function<void(std::vector<proto::Evidence>)>;

  CulpritStacks(StackTools tools, Deps deps) : tools_(std::move(tools)), deps_(deps) {}
  CulpritStacks(const CulpritStacks&) = delete;
  CulpritStacks& operator=(const CulpritStacks&) = delete;

  /// Of a job of several nodes, before its first round: it outlives the rounds. Without, nothing is
  /// known of `far` ranks.
  void SetFar(FarStacks& far) { far_ = &far; }

  /// Of the first kRanksMax here, and as many elsewhere. `done` is called once, never inside this
  /// call, after FarStacks::kLimit or a little after the limit of StackTaking at the latest; not
  /// when this is called again before.
  void Take(base::Round round, Culprits culprits, Done done);

  static constexpr size_t kRanksMax = 8;

 private:
  void Add(uint64_t call, std::vector<proto::RankStacks> taken);
  std::vector<proto::Evidence> Keep(const std::vector<proto::RankStacks>& ranks);

  const StackTools tools_;
  const Deps deps_;
  FarStacks* far_ = nullptr;
  std::unique_ptr<StackTaking> taking_;
  // Of the call in progress.
  uint64_t call_ = 0;
  base::Round round_;
  int awaited_ = 0;
  std::vector<proto::RankStacks> taken_;
  Done done_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_CULPRIT_STACKS_H_
