// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_IDS_H_
#define LOCKSTEP_RUNTIME_BASE_IDS_H_

#include <cstdint>

#include "runtime/base/strong_int.h"

namespace lockstep::base {

/// The words of docs/glossary.md as types. Ranks and indices are 0-based, rounds and incarnations
/// start at 0.
using Rank = StrongInt<struct RankTag, int32_t>;  // place in the job's world
using GroupRank = StrongInt<struct GroupRankTag,
                            int32_t>;  // place in one group; its world rank is another number
using LocalRank = StrongInt<struct LocalRankTag, int32_t>;  // place among the ranks of one node
using NodeIndex = StrongInt<struct NodeIndexTag, int32_t>;  // place of a node in its round
using Round = StrongInt<struct RoundTag, uint32_t>;         // one agreed membership of a job
using Incarnation =
    StrongInt<struct IncarnationTag, uint32_t>;          // how many processes held this rank before
using GroupId = StrongInt<struct GroupIdTag, uint64_t>;  // hash of a group's name and members
using OpSeq = StrongInt<struct OpSeqTag, uint64_t>;      // number of a collective in its group

}  // namespace lockstep::base

#endif  // LOCKSTEP_RUNTIME_BASE_IDS_H_
