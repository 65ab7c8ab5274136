// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_NODE_STACKS_H_
#define LOCKSTEP_LAUNCHER_AGENT_NODE_STACKS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "launcher/cluster/questions.h"
#include "launcher/diagnosis/rank_looks.h"
#include "launcher/diagnosis/stacks/stack_taking.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"
#include "runtime/process/processes.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// Answers StacksRequests: where ranks of this node stand, for whoever cannot look at them from
/// where he is. One per agent, owned by it; gone before `deps.processes` is. Confined to the loop's
/// thread.
class NodeStacks {
 public:
  static constexpr int kRanksMax = 8;  // of one request
  static constexpr size_t kRequestsMax = 4;
  static constexpr size_t kBytesMax = size_t{512} << 10;  // of one answer

  struct Deps {
    event::Loop& loop;
    process::Processes& processes;
    std::function<std::vector<WatchedRank>()> ranks;  // of this node, of the round that runs
  };

  NodeStacks(StackTools tools, Deps deps) : tools_(std::move(tools)), deps_(std::move(deps)) {}
  NodeStacks(const NodeStacks&) = delete;
  NodeStacks& operator=(const NodeStacks&) = delete;

  /// Calls `answer` once: later, a little after the limit of StackTaking at the latest. Of ranks
  /// that have no process here it says nothing. Errors: InvalidArgument - more than kRanksMax;
  /// ResourceExhausted - kRequestsMax are being answered already; these at once.
  void Answer(const proto::StacksRequest& request, OnAnswer answer);

  const StackTools& tools() const { return tools_; }

 private:
  const StackTools tools_;
  const Deps deps_;
  uint64_t next_ = 0;
  std::map<uint64_t, std::unique_ptr<StackTaking>> takings_;
};

/// Leaves out of `stacks` what has it be longer than `bytes_max`: threads first, from the end, then
/// connections, then the outermost frames. Pure.
void ShortenStacks(size_t bytes_max, proto::ProcessStacks& stacks);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_NODE_STACKS_H_
