// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_OPEN_CLUSTER_H_
#define LOCKSTEP_LAUNCHER_AGENT_OPEN_CLUSTER_H_

#include <memory>

#include "launcher/agent/agent_config.h"
#include "launcher/agent/job_cluster.h"
#include "runtime/base/result.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// The cluster of a job that has agents beside that of `lockstep run`, with what brings those to
/// their nodes: ssh, this machine that plays several, or nothing where they come by themselves.
/// Takes the key of `config`'s meeting; `environment` is that of `lockstep run`. Call from the
/// agent's loop thread, once. Errors: as FindRemoteNeeds and JobCluster::Create; Unavailable - the
/// meeting's port is taken, with the cure.
base::Result<std::unique_ptr<JobCluster>> OpenCluster(AgentConfig& config,
                                                      topology::Environment environment,
                                                      const JobCluster::Deps& deps);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_OPEN_CLUSTER_H_
