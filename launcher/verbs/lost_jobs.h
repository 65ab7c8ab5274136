// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_LOST_JOBS_H_
#define LOCKSTEP_LAUNCHER_VERBS_LOST_JOBS_H_

#include <string>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/result.h"

/// What is left of jobs whose front and agent both died, so that nobody else cleans up after them.
///
/// A job is lost when its state was read and names a front or an agent, and each of those that it
/// names is dead on this host. An unanswered socket alone proves nothing: a socket that is bound
/// but does not listen yet, that of a job just starting, refuses in the same way. One that is
/// answered proves that the job lives.
namespace lockstep::launcher {

/// Ends the lost jobs of this jobs root, wherever their sockets are, and says so. Called at the
/// start of every `lockstep` command; what cannot be ended is told and left to the next one.
/// Costs one listing, and reading the state of each job that runs, when there is nothing to do.
/// Blocks: up to 10 s for each lost job. Any thread.
void SweepLostJobs(const VerbContext& context);

/// Removes what an agent of this host that is no more has left in folders that jobs share: its
/// sockets, and the sockets and records of hosts that it has simulated. `state` is its last one.
void RemoveWhatIsLeft(const VerbContext& context, const proto::JobState& state);

/// Ends one lost job: kills each process that carries its mark (none when another launcher has
/// started its ranks), writes down that it was lost, and removes its sockets. Returns how many
/// processes were killed; does nothing more to a job that another command has swept meanwhile.
/// Blocks: up to 10 s, and as long again while another command sweeps. Any thread.
/// Errors: FailedPrecondition - the job is not lost, and nothing was done; DeadlineExceeded - a
/// process did not die, or another command holds the lock; else errno's code.
base::Result<int> EndLostJob(const VerbContext& context, const std::string& job_id);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_LOST_JOBS_H_
