// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/culprit_stacks.h"

#include <sys/types.h>

#include <algorithm>

#include "launcher/diagnosis/stacks/stack_text.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kLinesMax = 32;  // of a verdict's evidence; the file has all

bool HasProcessOn(const std::string& host, const collectives::SeenProcess& process) {
  return process.pid > 0 && process.state != collectives::ProcessState::kEnded &&
         (process.host.empty() || process.host == host);
}

}  // namespace

void CulpritStacks::Take(base::Round round, const std::string& host,
                         const collectives::Finding& finding, const collectives::Evidence& evidence,
                         Done done) {
  std::vector<StackTaking::Target> targets;
  for (const collectives::Finding::Culprit& culprit : finding.culprits) {
    const auto seen =
        std::find_if(evidence.ranks.begin(), evidence.ranks.end(),
                     [&](const collectives::SeenRank& rank) { return rank.rank == culprit.rank; });
    if (targets.size() == kRanksMax) break;
    if (seen != evidence.ranks.end() && HasProcessOn(host, seen->process))
      targets.push_back({culprit.rank, static_cast<pid_t>(seen->process.pid)});
  }
  taking_ = std::make_unique<StackTaking>(
      StackTaking::Config{.tools = tools_},
      StackTaking::Deps{.loop = deps_.loop, .processes = deps_.processes}, targets,
      [this, round, done = std::move(done)](const std::vector<proto::RankStacks>& ranks) {
        std::vector<proto::Evidence> stacks = Keep(round, ranks);
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
