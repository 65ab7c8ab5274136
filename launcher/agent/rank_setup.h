// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_RANK_SETUP_H_
#define LOCKSTEP_LAUNCHER_AGENT_RANK_SETUP_H_

#include <cstdint>
#include <optional>
#include <string>

#include "elastic/gang.h"
#include "launcher/jobs/job_directory.h"
#include "runtime/base/ids.h"
#include "runtime/process/file_limits.h"
#include "runtime/process/output_pump.h"
#include "runtime/proto/job.pb.h"
#include "runtime/topology/environment.h"

/// From the job's spec to what the parts of an agent are configured with. Pure functions, for any
/// thread; the spec is complete and valid (proto::ApplyDefaults, proto::Validate).
namespace lockstep::launcher {

elastic::GangConfig GangConfigOf(const proto::JobSpec& spec, int rank_count, uint64_t seed);

/// Where the files of a job's ranks go when the spec names a folder for them: into one of the job's
/// own below it, since jobs that name the same one, before or beside this one, would write into
/// each other's files. "" = into the job directory. `working_directory`: of `lockstep run`.
std::string LogFolderOf(const proto::Logs& logs, const std::string& working_directory,
                        const std::string& job_id);

/// The files of one rank in one round: in the job directory, or below the folder that the spec
/// names for logs ("<folder>/round-0/rank-3.stdout").
struct RankFiles {
  std::string standard_output;
  std::string standard_error;
  std::string error;  // what a Python program leaves in TORCHELASTIC_ERROR_FILE
};
RankFiles RankFilesOf(const std::string& round_folder, base::Rank rank);

process::FileLimits FileLimitsOf(const proto::Logs& logs);

/// `node` is unset in a job of one node: its lines begin with "[3] ", others' with "[1.3] ".
process::RankOutputPlan OutputPlanOf(const proto::Logs& logs, base::Rank rank,
                                     base::LocalRank local_rank,
                                     std::optional<base::NodeIndex> node, int rank_count,
                                     const RankFiles& files);

/// The job's own variables, by name.
topology::Environment VariablesOf(const proto::Program& program);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_RANK_SETUP_H_
