// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_DIAGNOSE_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_DIAGNOSE_H_

#include <chrono>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/finding.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {

struct DiagnoseOptions {
  /// Waits shorter than this are none, since rings are not read in one instant.
  base::Duration least_wait = std::chrono::milliseconds(500);
  /// A rank that does not come because it is busy elsewhere is named once it has been waited for
  /// that long.
  base::Duration grace = std::chrono::seconds(2);
  /// A connection of which nothing was answered for so long is broken, by how often its kernel has
  /// sent the same again and how long it waits now: where round trips are short that is 0.2, 0.6
  /// and 1.4 s after the first time, so that it is the third time in vain. Whoever acts asks
  /// again a second later. Of a network that loses packets it is kSilenceOfLosses at least.
  base::Duration broken_after = std::chrono::milliseconds(1200);
  /// Whether ops that ended with an error say why a job stands still. Of one that is over they do;
  /// while it lives they are its program's to handle, which was told and may go on without.
  bool errors_count = true;
};

/// Why the job stands still, by the first of these that holds: a rank's process died; a node is
/// silent; members called one op differently; a process is held; ranks wait for each other in a
/// circle; all came and a connection between two of them is broken; a rank does not come; all came
/// and no byte moves. A culprit's own cause counts, not who waits for it last:
/// waits are followed through all groups to those who wait for nobody. Minority is guilty. Where
/// what is missing could change the answer, that is less than kHigh, or kUnknown with `unheard`.
///
/// Pure: no clock, no I/O; any thread; any evidence, whatever nonsense is in it.
Finding Diagnose(const Evidence& evidence, const DiagnoseOptions& options = {});

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_DIAGNOSE_H_
