// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_TOLD_JOB_H_
#define LOCKSTEP_LAUNCHER_AGENT_TOLD_JOB_H_

#include <string>
#include <vector>

#include "launcher/agent/member_config.h"
#include "runtime/proto/agent.pb.h"
#include "runtime/proto/job.pb.h"
#include "runtime/proto/job_state.pb.h"
#include "runtime/topology/world.h"

/// What the coordinator tells of a job, as a member agent's node takes it. `own_line` is that of an
/// agent that has come by itself, else null; `folder` is where its ranks start (NodeOffer). Pure
/// functions.
namespace lockstep::launcher {

/// What ranks execute and where their output goes is said by this node's own line, if it has one.
proto::JobSpec SpecOf(const proto::Welcome& welcome, const OwnLine* own_line,
                      const std::string& folder);

/// Of every rank; the file that was staged for them stands in its place.
std::vector<std::string> ArgumentsOf(const proto::Welcome& welcome,
                                     const proto::Bootstrap& bootstrap);

/// The first state of the job in this node's directory of it.
proto::JobState StateOf(const proto::Welcome& welcome, const OwnLine* own_line,
                        const std::string& folder);

topology::WorldSpec WorldOf(const proto::World& message);
/// A node's log folder is that of the node before it where none is said.
std::vector<proto::JobNodeFacts> NodesOf(const proto::World& message);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_TOLD_JOB_H_
