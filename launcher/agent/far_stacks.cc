// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/far_stacks.h"

#include <algorithm>
#include <map>
#include <utility>

#include "launcher/agent/control_server.h"

namespace lockstep::launcher {

void FarStacks::Take(const std::vector<base::Rank>& ranks, Done done) {
  std::map<base::NodeIndex, proto::ControlRequest> requests;
  for (const base::Rank rank : ranks) {
    if (rank.value() < 0 || rank.value() >= std::ssize(places_)) continue;
    const base::NodeIndex node = places_[static_cast<size_t>(rank.value())].node;
    proto::ControlRequest& request = requests[node];
    request.set_version(kControlVersion);
    request.mutable_stacks()->set_node(node.value());
    request.mutable_stacks()->add_ranks(rank.value());
  }
  const auto taking = taking_ = std::make_shared<Taking>();
  taking->awaited = requests.size();
  taking->done = std::move(done);
  deadline_ = loop_.After(kLimit, [this] { Finish(); });
  finish_.reset();
  const auto finish_soon = [this] {
    finish_ = loop_.After(base::Duration(0), [this] { Finish(); });
  };
  if (requests.empty()) finish_soon();
  for (const auto& [node, request] : requests) {
    ask_(node, request,
         [this, taking, finish_soon, asked = request.stacks()](const proto::ControlReply& reply) {
           if (taking != taking_) return;
           for (const proto::RankStacks& rank : reply.stacks().ranks()) {
             const auto is_rank = [&](const proto::RankStacks& one) {
               return one.rank() == rank.rank();
             };
             const bool is_asked = std::find(asked.ranks().begin(), asked.ranks().end(),
                                             rank.rank()) != asked.ranks().end();
             if (is_asked && std::none_of(taking->taken.begin(), taking->taken.end(), is_rank))
               taking->taken.push_back(rank);
           }
           // An answer may come from within the call.
           if (--taking->awaited == 0) finish_soon();
         });
  }
}

void FarStacks::Finish() {
  const auto taking = std::exchange(taking_, nullptr);
  deadline_.reset();
  finish_.reset();
  std::sort(taking->taken.begin(), taking->taken.end(),
            [](const auto& a, const auto& b) { return a.rank() < b.rank(); });
  taking->done(std::move(taking->taken));
}

}  // namespace lockstep::launcher
