// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_RAS_EVIDENCE_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_RAS_EVIDENCE_H_

#include <vector>

#include "collectives/diagnosis/imports/imported.h"
#include "collectives/diagnosis/imports/ras_report.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// What RAS says of a job's ranks, by its last report; earlier ones tell whether counts still grow.
/// Ranks are numbered as in the largest communicator. RAS counts launches, not ends, and knows
/// neither sizes nor call sites: of each rank there is one op, the last of a communicator, and
/// whoever has launched more than another waits for him. No finding from one report is sure, since
/// counts of a job that runs differ as well. Pure; any thread. Errors: FailedPrecondition - no
/// report has a communicator with a count.
base::Result<ImportedEvidence> FromRasReports(std::vector<RasReport> reports);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_RAS_EVIDENCE_H_
