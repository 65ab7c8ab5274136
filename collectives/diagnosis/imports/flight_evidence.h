// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_EVIDENCE_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_EVIDENCE_H_

#include <map>

#include "collectives/diagnosis/imports/flight_dump.h"
#include "collectives/diagnosis/imports/imported.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// What PyTorch flight recorders say of their ranks; ranks without a dump are there as ranks of
/// which nothing is known. An op that is open counts as one that its rank waits in, since a dump
/// does not say what the program does meanwhile. What a dump never says is not compared either:
/// roots and reductions. Pure; any thread. Errors: InvalidArgument - a dump is not of the rank that
/// it is said to be of; FailedPrecondition - there is no entry in any of them; OutOfRange - more
/// groups of everybody than a job has.
base::Result<ImportedEvidence> FromFlightDumps(const std::map<base::Rank, FlightDump>& dumps);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_EVIDENCE_H_
