// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_PLACEMENT_MEETING_H_
#define LOCKSTEP_LAUNCHER_PLACEMENT_MEETING_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/placement/node_plan.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/net/endpoint.h"
#include "runtime/net/job_token.h"
#include "runtime/proto/job.pb.h"

namespace lockstep::launcher {

/// Of an endpoint that names none: torchrun's for c10d.
inline constexpr uint16_t kMeetingPort = 29400;

/// Where and as whom the agents of a job meet when they come by themselves, as one node sees it.
struct Meeting {
  net::Endpoint endpoint;
  bool is_here = false;            // this node's agent holds the coordinator, and listens there
  std::string id;                  // what tells the job from others that meet there; never ""
  std::optional<net::JobKey> key;  // of the token; none: everybody is let in
  int node_rank = -1;              // this node's place; -1 = any
  std::string address;             // by which the others reach this node; "" = found out
  base::Duration join_timeout = std::chrono::minutes(10);
};

/// What this node's own line adds to the job's spec.
struct MeetingOptions {
  int node_rank = -1;
  std::string address;
  std::optional<bool> is_here;  // unset: when the endpoint's host is this machine
};

struct MeetingDeps {
  const base::Clock& clock;
  std::function<base::Result<bool>(std::string_view host)> is_this_machine;
  std::string host_name;
  std::function<void(base::Duration)> sleep;
  /// A line for whoever waits.
  std::function<void(const std::string&)> say;
};

/// How long a name may be unknown to the name service: a cluster knows that of a pod only once it
/// exists.
inline constexpr base::Duration kNamePatience = std::chrono::seconds(30);

/// Reads the token and finds out who holds the coordinator. `spec` is complete and valid, and has a
/// JoinPlacement. Blocks: while the name service does not know the endpoint's host, up to
/// kNamePatience or the join timeout. Errors: InvalidArgument - the token file cannot be used, the
/// host is unknown, or rank 0 would not be where --master-addr says; each with the cure.
base::Result<Meeting> ArrangeMeeting(const proto::JobSpec& spec, const MeetingOptions& options,
                                     const MeetingDeps& deps);

/// The coordinator's node among those that come, whose first place it has unless it was given
/// another.
void TakePlace(const Meeting& meeting, const std::string& here, std::vector<PlannedNode>* nodes);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_PLACEMENT_MEETING_H_
