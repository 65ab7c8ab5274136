// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/call_check.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "collectives/engine/sides.h"
#include "collectives/recorder/recorder.h"

namespace lockstep::collectives {
namespace {

std::string DescribeCard(const CallCard& card) {
  return DescribeOp(static_cast<OpKind>(card.kind), static_cast<Dtype>(card.dtype),
                    static_cast<Reduction>(card.reduction), card.root, card.count) +
         " at " + std::string(card.call_site, strnlen(card.call_site, sizeof card.call_site));
}

base::Status UsageError(std::string message) {
  return base::FailedPreconditionError(std::move(message)).WithClass(base::FailureClass::kUsage);
}

}  // namespace

CallCard MakeCallCard(const Op& op, uint64_t fingerprint) {
  CallCard card;
  card.fingerprint = fingerprint;
  card.count = op.count;
  card.root = op.peer;
  card.kind = static_cast<uint8_t>(op.kind);
  card.dtype = static_cast<uint8_t>(op.dtype);
  card.reduction = static_cast<uint8_t>(op.reduction);
  card.refused = op.refusal.ok() ? 0 : 1;
  FormatCallSite(op.call_file, op.call_line, card.call_site, sizeof card.call_site);
  if (!op.refusal.ok()) {
    const std::string& reason = op.refusal.message();
    std::memcpy(card.reason, reason.data(), std::min(reason.size(), sizeof card.reason - 1));
  } else if (op.kind == OpKind::kAllToAllV && op.counts.size() <= kCountsOnCard) {
    std::vector<uint64_t> counts(op.counts.begin(), op.counts.end());
    counts.insert(counts.end(), op.out_counts.begin(), op.out_counts.end());
    std::memcpy(card.reason, counts.data(), counts.size() * sizeof counts[0]);
  }
  return card;
}

Disagreement JudgeCalls(std::span<const CallCard> cards, const std::string& op_of_group,
                        const std::function<std::string(const std::vector<int>&)>& describe) {
  std::vector<uint64_t> fingerprints;
  for (size_t member = 0; member < cards.size(); ++member) {
    const CallCard& card = cards[member];
    fingerprints.push_back(card.fingerprint);
    if (card.refused == 0) continue;
    const int self = static_cast<int>(member);
    const std::string reason(card.reason, strnlen(card.reason, sizeof card.reason));
    return {UsageError(DescribeCard(card) + ", " + op_of_group + ", was refused on " +
                       describe({self}) + ": " + reason),
            {self}};
  }
  const Sides sides(fingerprints);
  const auto call_of = [&cards](int member) {
    return DescribeCard(cards[static_cast<size_t>(member)]);
  };
  return {UsageError("the members disagree on " + op_of_group + ": " +
                     sides.DescribeCalls(describe, call_of)),
          sides.Blamed()};
}

Disagreement JudgeCounts(std::span<const CallCard> cards, const std::string& op_of_group,
                         const std::function<std::string(const std::vector<int>&)>& describe) {
  const size_t n = cards.size();
  if (n > kCountsOnCard || cards[0].kind != static_cast<uint8_t>(OpKind::kAllToAllV)) return {};
  const auto count_at = [&cards](size_t member, size_t index) {
    uint64_t count;
    std::memcpy(&count, cards[member].reason + index * sizeof count, sizeof count);
    return count;
  };
  for (size_t from = 0; from < n; ++from) {
    for (size_t to = 0; to < n; ++to) {
      const uint64_t sent = count_at(from, to), expected = count_at(to, n + from);
      if (sent == expected) continue;
      const std::vector<int> pair = {static_cast<int>(from), static_cast<int>(to)};
      return {UsageError(DescribeCard(cards[from]) + ", " + op_of_group + ": " +
                         describe({pair[0]}) + " sends " + std::to_string(sent) + " elements to " +
                         describe({pair[1]}) + ", which expects " + std::to_string(expected)),
              pair};
    }
  }
  return {};
}

}  // namespace lockstep::collectives
