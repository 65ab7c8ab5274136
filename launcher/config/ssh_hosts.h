// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_SSH_HOSTS_H_
#define LOCKSTEP_LAUNCHER_CONFIG_SSH_HOSTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "runtime/proto/job.pb.h"
#include "runtime/proto/problem.h"

/// A job's hosts and how many ranks each of them gets, as mpirun counts. Pure functions.
namespace lockstep::launcher {

struct SshHostsReading {
  std::vector<proto::Problem> problems;  // without their sources
  std::vector<std::string> notes;
};

/// "a:4,user@b:2", or with `is_file` a file of one host a line (placement/host_list.h), becomes the
/// hosts of the ssh placement; what else that says stays.
SshHostsReading ReadSshHosts(std::string_view text, bool is_file, proto::Placement* placement);

/// Of a job with ssh placement, before proto::ApplyDefaults: gives every host its ranks, drops
/// those that get none (with a note), and makes gang.nodes, totalProcesses and processesPerNode
/// agree with them. A host without a number of its own has processesPerNode ranks, or one;
/// totalProcesses fills the hosts in their order, and may be less than there is room for.
SshHostsReading CompleteSshHosts(proto::JobSpec* spec);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_SSH_HOSTS_H_
