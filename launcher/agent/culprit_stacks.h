// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_CULPRIT_STACKS_H_
#define LOCKSTEP_LAUNCHER_AGENT_CULPRIT_STACKS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "launcher/agent/job_record.h"
#include "launcher/diagnosis/stacks/stack_taking.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"
#include "runtime/process/processes.h"
#include "runtime/proto/stacks.pb.h"
#include "runtime/proto/verdict.pb.h"

namespace lockstep::launcher {

/// Where those stand who are to blame for a gang that stands still: taken before anything is
/// ended, kept as evidence/stacks-rank-<r>.txt in the round's folder, and told to the verdict. One
/// for each agent of `lockstep run`, owned by it; gone before `deps.processes` is. Confined to the
/// loop's thread.
class CulpritStacks {
 public:
  struct Deps {
    event::Loop& loop;
    process::Processes& processes;
    JobRecord& record;
  };
  /// Of kind STACK, each of a rank.
  using Done = std::function<void(std::vector<proto::Evidence>)>;

  CulpritStacks(StackTools tools, Deps deps) : tools_(std::move(tools)), deps_(deps) {}
  CulpritStacks(const CulpritStacks&) = delete;
  CulpritStacks& operator=(const CulpritStacks&) = delete;

  /// Of the first kRanksMax of them, which are on this machine. `done` is called once, never inside
  /// this call, a little after the limit of StackTaking at the latest; not when this is called
  /// again before.
  void Take(base::Round round, std::vector<StackTaking::Target> ranks, Done done);

  static constexpr size_t kRanksMax = 8;

 private:
  std::vector<proto::Evidence> Keep(base::Round round, const std::vector<proto::RankStacks>& ranks);

  const StackTools tools_;
  const Deps deps_;
  std::unique_ptr<StackTaking> taking_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_CULPRIT_STACKS_H_
