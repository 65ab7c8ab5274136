// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verdict/hang_verdict.h"

#include <algorithm>
#include <string_view>

#include "collectives/diagnosis/words.h"
#include "collectives/engine/op.h"
#include "launcher/verdict/clean_text.h"

namespace lockstep::launcher {
namespace {

using collectives::Finding;
using proto::Verdict;

constexpr size_t kEvidenceLines = 64;
constexpr size_t kLineColumns = 1000;

// Call sites, group names and phases come from a rank's memory.
std::string Clean(std::string_view text) { return ClipLine(CleanText(text), kLineColumns); }

Verdict::Class ClassOf(Finding::Class found) {
  switch (found) {
    case Finding::Class::kNone: return Verdict::CLASS_UNSPECIFIED;
    case Finding::Class::kDeadRank: return Verdict::DEAD_RANK;
    case Finding::Class::kNodeLost: return Verdict::NODE_LOST;
    case Finding::Class::kPartition: return Verdict::PARTITION;
    case Finding::Class::kMismatch: return Verdict::MISMATCH;
    case Finding::Class::kMissingRank: return Verdict::MISSING_RANK;
    case Finding::Class::kCrossGroupDeadlock: return Verdict::CROSS_GROUP_DEADLOCK;
    case Finding::Class::kNetworkStall: return Verdict::NETWORK_STALL;
    case Finding::Class::kLibraryStall: return Verdict::LIBRARY_STALL;
    case Finding::Class::kUnknown: return Verdict::UNKNOWN;
  }
  return Verdict::UNKNOWN;
}

Verdict::Confidence ConfidenceOf(Finding::Confidence found) {
  switch (found) {
    case Finding::Confidence::kLow: return Verdict::LOW;
    case Finding::Confidence::kMedium: return Verdict::MEDIUM;
    case Finding::Confidence::kHigh: return Verdict::HIGH;
  }
  return Verdict::LOW;
}

}  // namespace

Verdict HangVerdict(const Finding& finding, const collectives::Evidence& evidence,
                    const std::string& host) {
  Verdict verdict;
  verdict.set_class_(ClassOf(finding.verdict_class));
  verdict.set_confidence(ConfidenceOf(finding.confidence));
  for (const Finding::Culprit& culprit : finding.culprits) {
    proto::Culprit* const named = verdict.add_culprits();
    named->set_rank(culprit.rank.value());
    named->set_host(host);
    named->set_why(Clean(collectives::WhatItDid(finding, culprit, evidence)));
    const auto seen =
        std::find_if(evidence.ranks.begin(), evidence.ranks.end(),
                     [&](const collectives::SeenRank& rank) { return rank.rank == culprit.rank; });
    if (seen == evidence.ranks.end()) continue;
    named->set_pid(static_cast<int32_t>(seen->process.pid));
    if (!seen->process.host.empty()) named->set_host(Clean(seen->process.host));
  }
  for (const base::Rank victim : finding.victims) verdict.add_victims(victim.value());
  if (finding.op.has_value()) {
    const collectives::SeenOp& op = *finding.op;
    verdict.set_seq(op.seq.value());
    verdict.set_op(
        collectives::DescribeOp(op.kind, op.dtype, op.reduction, op.root_or_peer, op.count));
    verdict.set_group(Clean(collectives::GroupName(op.group, op.epoch, evidence)));
  }
  proto::Evidence* const waits = verdict.add_evidence();
  waits->set_kind(proto::Evidence::WAITS);
  for (const std::string& line : collectives::WhatItRestsOn(finding, evidence)) {
    if (static_cast<size_t>(waits->lines_size()) == kEvidenceLines) break;
    waits->add_lines(Clean(line));
  }
  for (const std::string& note : evidence.notes) {
    if (static_cast<size_t>(waits->lines_size()) == kEvidenceLines) break;
    waits->add_lines(Clean(note));
  }
  verdict.set_advice(Clean(collectives::WhatToDo(finding, evidence)));
  return verdict;
}

}  // namespace lockstep::launcher
