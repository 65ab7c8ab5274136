// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_MISMATCH_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_MISMATCH_H_

#include <optional>
#include <vector>

#include "collectives/diagnosis/finding.h"
#include "collectives/diagnosis/group_views.h"

namespace lockstep::collectives {

/// The first op of a group whose members called it differently, also when it ended well, as MPI's
/// do; of several groups' the one that was called first. What it is about and who is with the
/// minority is filled in; who waits is not. Without `errors_count` those are left out that all
/// callers were told of by an error. Pure; any thread.
std::optional<Finding> FindMismatch(const GroupViews& groups, bool errors_count);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_MISMATCH_H_
