// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_RESOLVE_JOB_H_
#define LOCKSTEP_LAUNCHER_CONFIG_RESOLVE_JOB_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "launcher/cli/command_line.h"
#include "launcher/config/job_draft.h"
#include "launcher/config/job_file.h"
#include "launcher/config/join_flags.h"
#include "runtime/base/result.h"
#include "runtime/proto/job.pb.h"
#include "runtime/topology/environment.h"

/// One complete, valid job from everything that may say something about it. Pure functions: files,
/// environment and machine come in as data.
namespace lockstep::launcher {

/// What `--nproc-per-node=auto|cpu|gpu` counts.
struct MachineFacts {
  int cpus = 1;  // topology::CpuCount
  int gpus = 0;  // GpuCount
};

struct JobInputs {
  Command command;                        // of the verb run; its problems are among those reported
  std::optional<JobFile> file;            // of --file
  topology::Environment environment;      // of `lockstep run`
  std::function<MachineFacts()> machine;  // asked once, and only when a count depends on it
  std::optional<JobFile> host_file = {};  // of --hostfile
};

struct ResolvedJob {
  /// ApplyDefaults and Validate are done; processesPerNode is a number, or unset where nodes have
  /// unequal ones.
  proto::TrainingJob job;
  /// For stderr: what was accepted and has no effect, or may surprise.
  std::vector<std::string> notes;
  FieldSources sources;
  /// What this line says of this node alone, when the same line is started on several.
  ThisNode this_node;
};

/// Each source wins over the one before: built-in, file, environment (PET_*, then LOCKSTEP_*),
/// --set, flags and the program on the command line. A torchrun line in the place of the program is
/// taken apart where it stands: it wins over what came before it. A source that sets one of
/// totalProcesses and processesPerNode replaces both of the sources before. Errors: InvalidArgument
/// - all problems, each with its source; Unimplemented - several nodes.
base::Result<ResolvedJob> ResolveJob(const JobInputs& inputs);

/// What ranks inherit of the environment of `lockstep run`: all but the variables of its flags
/// (PET_*, LOCKSTEP_*), which were meant for this run and not for one that a rank may start.
topology::Environment EnvironmentForRanks(topology::Environment environment);

/// What --print-config prints: the job as a file that `lockstep run -f` takes, each field with its
/// source in a comment, secrets redacted.
std::string PrintConfig(const ResolvedJob& resolved);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_RESOLVE_JOB_H_
