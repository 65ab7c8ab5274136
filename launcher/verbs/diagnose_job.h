// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_DIAGNOSE_JOB_H_
#define LOCKSTEP_LAUNCHER_VERBS_DIAGNOSE_JOB_H_

#include <string>
#include <vector>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

struct DiagnoseJobOptions {
  /// A folder of evidence, or a job: id, name, or the beginning of an id; of that the last round
  /// that has evidence, or else the last into which PyTorch has dumped. Or files that other tools
  /// left, and folders of such files: collectives::EvidenceFiles.
  std::vector<std::string> what;
  bool json = false;  // a Verdict, without what only the round knew
  /// A folder into which the rings go as dumps of PyTorch's flight recorder; "" = none.
  std::string export_to;
};

/// `lockstep diagnose`: why a gang stood still, from the evidence that was saved then, by us or by
/// another tool. Says on `err` which file is what.
/// Errors: NotFound - there is no such job or file, or no evidence; InvalidArgument - other tools'
/// files are to be exported; as LoadEvidence, JobStore::Find, collectives::EvidenceFiles and, of
/// the folder to export into, CannotWrite.
base::Status DiagnoseJob(const VerbContext& context, const DiagnoseJobOptions& options);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_DIAGNOSE_JOB_H_
