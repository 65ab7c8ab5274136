// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_MERGE_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_MERGE_H_

#include <map>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/finding.h"
#include "collectives/diagnosis/imports/flight_dump.h"
#include "collectives/diagnosis/imports/flight_evidence.h"
#include "runtime/base/ids.h"

namespace lockstep::launcher {

/// What torch's recorders say becomes that of ranks which have no ring of ours; the ops of those
/// who have said nothing are unknown then. Where a ring tells of an op rings are right, for all
/// ranks: groups have other names in dumps, and whoever has a ring seems to be missing in them.
/// What a reader should know goes into the evidence's notes. Returns of what confidence a finding
/// from it may be at most. Pure; any thread.
collectives::Finding::Confidence AddFlightDumps(
    const std::map<base::Rank, collectives::FlightDump>& dumps,
    const collectives::FlightQuestion& question, collectives::Evidence& evidence);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_MERGE_H_
