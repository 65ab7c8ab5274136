// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_DIAGNOSE_JOB_H_
#define LOCKSTEP_LAUNCHER_VERBS_DIAGNOSE_JOB_H_

#include <string>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

struct DiagnoseJobOptions {
  /// A folder of evidence, or a job: id, name, or the beginning of an id; of that the last round
  /// that has evidence.
  std::string what;
  bool json = false;  // a Verdict, without what only the round knew
};

/// `lockstep diagnose`: why a gang stood still, from the evidence that was saved then.
/// Errors: NotFound - there is no such job, or no evidence; as LoadEvidence and JobStore::Find.
base::Status DiagnoseJob(const VerbContext& context, const DiagnoseJobOptions& options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_DIAGNOSE_JOB_H_
