// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_RANK_WORLD_H_
#define LOCKSTEP_LAUNCHER_AGENT_RANK_WORLD_H_

#include <string>
#include <vector>

#include "runtime/proto/job.pb.h"
#include "runtime/topology/environment.h"
#include "runtime/topology/world.h"

/// From a job's spec to what its ranks are told of their world: what agents use, and what prints it
/// without starting any. The spec is complete and valid.
namespace lockstep::launcher {

/// Where ranks meet when the spec does not say it.
struct MeetingPoint {
  std::string address;
  int port = 0;
};

/// `nodes` in rank order. A pure function.
topology::WorldSpec WorldOf(const proto::Gang& gang, std::vector<topology::Node> nodes,
                            const MeetingPoint& meeting_point);

/// What ranks on this machine have in common, in round 0. Reads this process's affinity mask, and
/// the user database when no HOME is inherited.
topology::JobFacts JobFactsOf(const proto::JobSpec& spec, std::string job_id,
                              const topology::Environment& inherited);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_RANK_WORLD_H_
