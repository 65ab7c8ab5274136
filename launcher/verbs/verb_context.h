// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_VERB_CONTEXT_H_
#define LOCKSTEP_LAUNCHER_VERBS_VERB_CONTEXT_H_

#include <cstdio>
#include <string>

#include "launcher/exit_codes.h"
#include "launcher/jobs/job_store.h"
#include "launcher/jobs/process_identity.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {

/// What every verb works with: where the jobs are, the time, and where to print. Made by main; a
/// test points it at folders of its own. What it borrows must outlive it. Confined to one thread.
///
/// A verb is a function of a context and its options. It prints to `out` what it was asked for and
/// to `err` what it has to say meanwhile, and returns an error instead of printing it.
struct VerbContext {
  std::string jobs_root;
  std::string socket_directory;  // net::SocketDirectory
  HostIdentity here;
  const base::Clock& clock;
  storage::FileSystem& files;
  std::FILE* out;
  std::FILE* err;
};

inline JobStore OpenStore(const VerbContext& context) {
  return JobStore(context.jobs_root, context.here, context.files);
}

/// The job is not live, and no agent writes into its directory any more.
bool IsOver(const VerbContext& context, const JobEntry& job);

/// The exit status of `lockstep VERB` after this outcome.
ExitCode ExitCodeOf(const base::Status& outcome);

/// `why`, a folder of ours that cannot be made or written, as a status whose exit code is
/// kCannotWrite: errno's own codes would send the user to look for a wrong command line or a
/// missing job.
base::Status CannotWrite(const base::Status& why);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_VERB_CONTEXT_H_
