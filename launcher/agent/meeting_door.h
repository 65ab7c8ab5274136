// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_MEETING_DOOR_H_
#define LOCKSTEP_LAUNCHER_AGENT_MEETING_DOOR_H_

#include <string>

#include "launcher/agent/job_cluster.h"
#include "launcher/placement/meeting.h"
#include "runtime/base/status.h"

/// What a meeting of nodes that come by themselves makes of a job's cluster. Functions without
/// state.
namespace lockstep::launcher {

/// Moves the meeting's key into `cluster`.
void TakePartIn(Meeting& meeting, JobCluster::Config& cluster);

/// Why the cluster of such a job could not be opened on `host`: Unavailable, with the cure, when
/// its port is taken; else `why`.
base::Status ExplainNoMeeting(const base::Status& why, const Meeting& meeting,
                              const std::string& host);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_MEETING_DOOR_H_
