// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/node_stacks.h"

#include <sys/types.h>

#include <algorithm>
#include <string>

#include "runtime/base/status.h"

namespace lockstep::launcher {

void NodeStacks::Answer(const proto::StacksRequest& request, OnAnswer answer) {
  if (request.ranks_size() > kRanksMax) {
    return answer(
        Refusal(base::InvalidArgumentError("stacks of " + std::to_string(request.ranks_size()) +
                                           " ranks were asked for at once; at "
                                           "most " +
                                           std::to_string(kRanksMax) + " are told")));
  }
  if (takings_.size() >= kRequestsMax) {
    return answer(Refusal(base::ResourceExhaustedError(
        "this node reads stacks for " + std::to_string(kRequestsMax) + " others now; try again")));
  }
  std::vector<StackTaking::Target> targets;
  for (const WatchedRank& rank : deps_.ranks()) {
    const bool is_asked = std::find(request.ranks().begin(), request.ranks().end(),
                                    rank.rank.value()) != request.ranks().end();
    if (is_asked && rank.pid > 0 && !rank.ended)
      targets.push_back({rank.rank, static_cast<pid_t>(rank.pid)});
  }
  const uint64_t id = next_++;
  takings_[id] = std::make_unique<StackTaking>(
      StackTaking::Config{.tools = tools_},
      StackTaking::Deps{.loop = deps_.loop, .processes = deps_.processes}, targets,
      [this, id, answer = std::move(answer)](std::vector<proto::RankStacks> taken) {
        proto::ControlReply reply;
        proto::StacksReply& stacks = *reply.mutable_stacks();
        for (proto::RankStacks& rank : taken) {
          ShortenStacks(kBytesMax / taken.size(), *rank.mutable_process());
          *stacks.add_ranks() = std::move(rank);
        }
        const auto ended = takings_.extract(id);  // lives until this call returns
        answer(std::move(reply));
      });
}

void ShortenStacks(size_t bytes_max, proto::ProcessStacks& stacks) {
  const auto is_long = [&] { return stacks.ByteSizeLong() > bytes_max; };
  while (is_long() && stacks.threads_size() > 1) {
    stacks.mutable_threads()->RemoveLast();
    stacks.set_threads_left_out(stacks.threads_left_out() + 1);
  }
  while (is_long() && stacks.python_size() > 1) stacks.mutable_python()->RemoveLast();
  if (is_long()) stacks.clear_sockets();
  for (auto* threads : {stacks.mutable_threads(), stacks.mutable_python()}) {
    if (threads->empty()) continue;
    proto::ThreadStack& main = *threads->Mutable(0);
    while (is_long() && main.frames_size() > 0) {
      main.mutable_frames()->RemoveLast();
      main.set_problem("further frames were too long to be sent");
    }
  }
}

}  // namespace lockstep::launcher
