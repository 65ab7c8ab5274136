// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What members tell each other of a call where backends do not compare calls themselves
// (check_calls of mpi and nccl), and what they all make of it.
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_CALL_CHECK_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_CALL_CHECK_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "collectives/engine/op.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// One member's call, as it tells it to the others: plain bytes.
struct CallCard {
  uint64_t fingerprint = 0;
  uint64_t count = 0;
  int32_t root = -1;
  uint8_t kind = 0;
  uint8_t dtype = 0;
  uint8_t reduction = 0;
  uint8_t refused = 0;
  char call_site[64] = "";
  char reason[168] = "";  // of a refused one
};
/// Members whose cards have room for the counts of an all_to_all_v, in place of a reason.
inline constexpr size_t kCountsOnCard = sizeof(CallCard::reason) / (2 * sizeof(uint64_t));

CallCard MakeCallCard(const Op& op, uint64_t fingerprint);

struct Disagreement {
  base::Status error;       // FailedPrecondition, class kUsage
  std::vector<int> blamed;  // members
};

/// The same on every member: `cards` by member, of which some differ or one was refused.
/// `describe` names members. A refusal goes first; else the minority is blamed, and all where there
/// is none.
Disagreement JudgeCalls(std::span<const CallCard> cards, const std::string& op_of_group,
                        const std::function<std::string(const std::vector<int>&)>& describe);

/// Where the cards are of one all_to_all_v of up to kCountsOnCard members: the first pair of which
/// one sends another number of elements than the other expects. An OK error: none, or more members.
Disagreement JudgeCounts(std::span<const CallCard> cards, const std::string& op_of_group,
                         const std::function<std::string(const std::vector<int>&)>& describe);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_CALL_CHECK_H_
