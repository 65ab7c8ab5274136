// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_FINDING_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_FINDING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// Why a rank did not come to an op where others wait for it.
enum class Absence : uint8_t {
  kNone,
  kStopped,
  kFrozen,
  kTraced,
  kRunsElsewhere,    // in its own code: it computes, or loops
  kSleepsElsewhere,  // waits for something that is no op
  kBlockedInIo,
  kInOtherGroup,      // in an op of another group
  kEndedEarly,        // with exit status 0
  kNeverInitialised,  // its process has made no group yet
  kInDeclaredPhase,
};

/// What the evidence says. The words of a verdict are made from it elsewhere.
struct Finding {
  enum class Class : uint8_t {
    kNone,  // nobody waits for anybody
    kDeadRank,
    kNodeLost,
    kPartition,
    kMismatch,
    kMissingRank,
    kCrossGroupDeadlock,
    kNetworkStall,
    kLibraryStall,
    kUnknown,
  };
  enum class Confidence : uint8_t { kLow, kMedium, kHigh };
  /// What of the calls differs.
  enum class Field : uint8_t { kNone, kOp, kDtype, kReduction, kRoot, kCount, kOrder };

  struct Culprit {
    base::Rank rank;
    Absence absence = Absence::kNone;
    bool operator==(const Culprit&) const = default;
  };
  /// In a deadlock: `waiter` waits in an op of `group` for `awaited`, which is in the next one.
  struct Edge {
    base::Rank waiter;
    base::Rank awaited;
    base::GroupId group;
    base::OpSeq seq;
    bool operator==(const Edge&) const = default;
  };
  /// What `from` sends does not reach `to`: nothing answers `socket`, which is `from`'s.
  struct BrokenLink {
    base::Rank from;
    base::Rank to;
    SeenSocket socket;
  };

  Class verdict_class = Class::kNone;
  /// Nothing that the job does by itself can mend it: policy need not wait.
  bool is_provable = false;
  Confidence confidence = Confidence::kHigh;
  std::vector<Culprit> culprits;    // by rank; empty: nobody is named
  std::vector<base::Rank> victims;  // who waits, by rank
  /// The op in which it stands, of one who waits, or of the majority.
  std::optional<SeenOp> op;
  /// Of a mismatch: the culprit's op.
  std::optional<SeenOp> other_op;
  Field field = Field::kNone;
  bool is_tie = false;            // of two sides neither is the larger
  std::vector<Edge> cycle;        // of a deadlock, edge by edge
  std::vector<BrokenLink> links;  // of a network stall or partition, by rank
  /// Of a partition: who reaches each other, the smaller part first.
  std::vector<std::vector<base::Rank>> parts;
  base::Duration waited{0};         // by the one who has waited longest
  std::vector<base::Rank> unheard;  // ranks that matter and of which too little is known
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_FINDING_H_
