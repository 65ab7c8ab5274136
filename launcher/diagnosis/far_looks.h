// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_FAR_LOOKS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_FAR_LOOKS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "runtime/base/ids.h"

namespace lockstep::launcher {

/// What the agent of another machine has seen of a rank.
struct FarRank {
  base::Incarnation incarnation;
  /// As of the moment in which its answer came.
  collectives::SeenRank seen;
  /// The end of its ring, with times of this machine's monotonic clock; empty: there is none.
  std::vector<uint64_t> ring;
};
using FarRanks = std::map<base::Rank, FarRank>;

/// The ranks on other machines, as their agents see them: by messages in life, a script in tests.
/// Confined to the loop's thread.
class FarLooks {
 public:
  virtual ~FarLooks() = default;

  /// Some agent says that a rank of its machine waits and makes no progress.
  virtual bool AnyStandsStill() const = 0;
  /// Has all of them look, at the last `records_max` ops of each rank. `done` is called once, in
  /// half a second or so, with what those have seen that have answered by then; at once where
  /// another look is asked for; not after destruction.
  virtual void Look(size_t records_max, std::function<void(FarRanks)> done) = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_FAR_LOOKS_H_
