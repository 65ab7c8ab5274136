// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_JOB_CHECKS_H_
#define LOCKSTEP_RUNTIME_PROTO_JOB_CHECKS_H_

#include <string_view>
#include <vector>

#include "runtime/proto/job.pb.h"
#include "runtime/proto/problem.h"

namespace lockstep::proto {

/// Of Gang.nodes.
inline constexpr int kNodesMax = 10000;

/// Sets what is unset and has a default, so that whoever reads the job never guesses: the defaults
/// written in job.proto; minNodes and maxNodes from nodes; the one of processesPerNode and
/// totalProcesses from the other (both unset: 1 a node), as long as that is a whole number;
/// placement local. Changes nothing that is set, right or wrong.
void ApplyDefaults(TrainingJob* job);

/// Everything that is wrong with a job to which ApplyDefaults was applied, each with its limit: the
/// rules written in job.proto, and what fields say together (counts that contradict each other).
/// Empty: every part may rely on it.
std::vector<Problem> Validate(const TrainingJob& job);

/// Whether Validate() would take it for metadata.name.
bool IsJobName(std::string_view text);

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_JOB_CHECKS_H_
