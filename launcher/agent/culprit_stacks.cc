// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/culprit_stacks.h"

#include <algorithm>
#include <utility>

namespace lockstep::launcher {

void CulpritStacks::Take(base::Round round, Culprits culprits, Done done) {
  if (culprits.here.size() > kRanksMax) culprits.here.resize(kRanksMax);
  if (culprits.far.size() > kRanksMax) culprits.far.resize(kRanksMax);
  round_ = round;
  const uint64_t call = ++call_;
  taken_.clear();
  done_ = std::move(done);
  const bool asks = far_ != nullptr && !culprits.far.empty();
  awaited_ = asks ? 2 : 1;
  taking_ = std::make_unique<StackTaking>(
      StackTaking::Config{.tools = tools_},
      StackTaking::Deps{.loop = deps_.loop, .processes = deps_.processes}, culprits.here,
      [this, call](std::vector<proto::RankStacks> taken) {
        const std::unique_ptr<StackTaking> ended = std::move(taking_);
        Add(call, std::move(taken));
      });
  if (!asks) return;
  far_->Take(culprits.far,
             [this, call](std::vector<proto::RankStacks> taken) { Add(call, std::move(taken)); });
}

void CulpritStacks::Add(uint64_t call, std::vector<proto::RankStacks> taken) {
  if (call != call_) return;  // another one has taken its place
  for (proto::RankStacks& rank : taken) taken_.push_back(std::move(rank));
  if (--awaited_ > 0) return;
  std::sort(taken_.begin(), taken_.end(),
            [](const auto& a, const auto& b) { return a.rank() < b.rank(); });
  const std::vector<proto::RankStacks> all = std::exchange(taken_, {});
  const Done done = std::move(done_);
  done(Keep(all));
}

std::vector<proto::Evidence> CulpritStacks::Keep(const std::vector<proto::RankStacks>& ranks) {
  std::vector<proto::Evidence> stacks;
  for (const proto::RankStacks& rank : ranks)
    for (proto::Evidence& one : deps_.record.SaveStacks(round_, rank))
      stacks.push_back(std::move(one));
  return stacks;
}

}  // namespace lockstep::launcher
