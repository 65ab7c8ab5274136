// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_WORDS_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_WORDS_H_

#include <string>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/finding.h"
#include "runtime/base/ids.h"

/// A finding as people read it. Pure functions, for any thread.
namespace lockstep::collectives {

/// "rank 3", "ranks 0, 2, 5"; of many the first ones and how many more.
std::string RankList(const std::vector<base::Rank>& ranks);

/// As its members call it.
std::string GroupName(base::GroupId group, base::Round epoch, const Evidence& evidence);

/// "all_reduce(f32, sum, 4)".
std::string CallText(const SeenOp& op);
/// "all_reduce(f32, sum, 4), op 7 of group world".
std::string PlaceText(const SeenOp& op, const std::string& group_name);

/// What its process does, and in which phase it says it is: "runs, in the phase "checkpoint"".
std::string StandingText(const SeenRank& rank);

/// The op in which the rank has waited longest; null: it waits in none.
const SeenOp* LongestWait(const SeenRank& rank);

/// What a culprit did, as it follows "rank 3 ": "has not come to all_reduce(f32, sum, 4), op 7 of
/// group world: its process is stopped by a signal".
std::string WhatItDid(const Finding& finding, const Finding::Culprit& culprit,
                      const Evidence& evidence);

/// What the finding rests on, a line each: who waits where and how long, both calls of a mismatch,
/// the circle of a deadlock, what the culprits' processes do, of whom too little is known.
std::vector<std::string> WhatItRestsOn(const Finding& finding, const Evidence& evidence);

/// What somebody could do about it next; "" = nothing beyond what the verdict's action does.
std::string WhatToDo(const Finding& finding, const Evidence& evidence);

/// One line: "ranks 0, 2 wait for rank 1, which ...".
std::string Summary(const Finding& finding, const Evidence& evidence);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_WORDS_H_
