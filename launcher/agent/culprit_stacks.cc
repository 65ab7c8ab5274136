// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/culprit_stacks.h"

#include "launcher/diagnosis/stacks/stack_text.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kLinesMax = 32;  // of a verdict's evidence; the file has all

}  // namespace

void CulpritStacks::Take(base::Round round, std::vector<StackTaking::Target> ranks, Done done) {
  if (ranks.size() > kRanksMax) ranks.resize(kRanksMax);
  taking_ = std::make_unique<StackTaking>(
      StackTaking::Config{.tools = tools_},
      StackTaking::Deps{.loop = deps_.loop, .processes = deps_.processes}, ranks,
      [this, round, done = std::move(done)](const std::vector<proto::RankStacks>& taken) {
        std::vector<proto::Evidence> stacks = Keep(round, taken);
        const std::unique_ptr<StackTaking> ended = std::move(taking_);
        done(std::move(stacks));
      });
}

std::vector<proto::Evidence> CulpritStacks::Keep(base::Round round,
                                                 const std::vector<proto::RankStacks>& ranks) {
  std::vector<proto::Evidence> stacks;
  for (const proto::RankStacks& rank : ranks) {
    std::string text;
    for (const std::string& line : StackLines(rank.process())) text += line + "\n";
    proto::Evidence& stack = stacks.emplace_back();
    stack.set_kind(proto::Evidence::STACK);
    stack.set_rank(rank.rank());
    stack.set_path(deps_.record.SaveStacks(round, base::Rank(rank.rank()), text));
    for (std::string& line : MainStackLines(rank.process(), kLinesMax))
      stack.add_lines(std::move(line));
  }
  return stacks;
}

}  // namespace lockstep::launcher
