// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_EVIDENCE_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_EVIDENCE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "collectives/diagnosis/imports/flight_dump.h"
#include "collectives/diagnosis/imports/imported.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// Entries of a dump that are open, by their record_id.
using OpenEntries = std::map<base::Rank, std::set<int64_t>>;
OpenEntries OpenEntriesOf(const std::map<base::Rank, FlightDump>& dumps);

/// Of dumps that were asked for, on the machine that asked.
struct FlightQuestion {
  /// On the wall clock, in nanoseconds: before all of the dumps. What was open then, and still is,
  /// was waited in.
  int64_t asked_ns = 0;
  /// Of an earlier question, and only what was open at it too is waited in: dumps are not taken in
  /// one instant. nullopt: whatever is open.
  std::optional<OpenEntries> open_before;
};

/// What PyTorch flight recorders say of their ranks; ranks without a dump are there as ranks of
/// which nothing is known. An op that is open counts as one that its rank waits in, since a dump
/// does not say what the program does meanwhile. What a dump never says is not compared either:
/// roots and reductions. Without `question` the dumps are of any time, and the latest time in them
/// is now. Pure; any thread. Errors: InvalidArgument - a dump is not of the rank that it is said to
/// be of; FailedPrecondition - there is no entry in any of them; OutOfRange - more groups of
/// everybody than a job has.
base::Result<ImportedEvidence> FromFlightDumps(
    const std::map<base::Rank, FlightDump>& dumps,
    const std::optional<FlightQuestion>& question = std::nullopt);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_EVIDENCE_H_
