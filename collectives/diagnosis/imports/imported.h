// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_IMPORTED_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_IMPORTED_H_

#include <string>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/finding.h"

namespace lockstep::collectives {

/// Evidence that another tool has gathered. Of when it did so nothing is known: the moment of the
/// question is the latest time that stands in it, and waits are at least as long as they seem.
struct ImportedEvidence {
  Evidence evidence;
  /// What a reader of the finding should know, a sentence each: what is missing, what was assumed.
  std::vector<std::string> notes;
  /// No finding from this is surer.
  Finding::Confidence confidence_max = Finding::Confidence::kHigh;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_IMPORTED_H_
