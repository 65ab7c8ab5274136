// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/meeting.h"

#include <algorithm>
#include <utility>

#include "runtime/proto/duration_text.h"

namespace lockstep::launcher {
namespace {

constexpr std::string_view kNoId = "none";  // as torchrun calls a job without an id
constexpr base::Duration kNamePause = std::chrono::seconds(1);
constexpr base::Duration kPatience = std::chrono::seconds(3);  // before a word is said

/// Every one of its errors means that what the command line names cannot be used.
base::Status AsUsage(const base::Status& why) { return base::InvalidArgumentError(why.message()); }

/// A pod's own full name may be unknown until the pod is ready; its first part is the host's name.
bool BeginsWithOwnName(std::string_view host, const std::string& own) {
  return host.size() > own.size() && host.starts_with(own) && host[own.size()] == '.';
}

base::Result<bool> IsHere(const net::Endpoint& endpoint, base::Duration patience,
                          const MeetingDeps& deps) {
  const base::SteadyTime begin = deps.clock.Now();
  bool said = false;
  for (;;) {
    const base::Result<bool> is_here = deps.is_this_machine(endpoint.host);
    if (is_here.ok()) return is_here;
    if (BeginsWithOwnName(endpoint.host, deps.host_name)) return true;
    const base::Duration waited = deps.clock.Now() - begin;
    if (waited >= patience) {
      return base::InvalidArgumentError(
          "where the nodes meet, " + endpoint.ToString() + ", is unknown on host " +
          deps.host_name + ": " + is_here.status().message() +
          "; name it by an address, or by a name that every node can look up (--rdzv-endpoint)");
    }
    if (waited >= kPatience && !std::exchange(said, true)) {
      deps.say("waiting for the name service to know " + endpoint.host + ": " +
               is_here.status().message());
    }
    deps.sleep(std::min(kNamePause, patience - waited));
  }
}

}  // namespace

base::Result<Meeting> ArrangeMeeting(const proto::JobSpec& spec, const MeetingOptions& options,
                                     const MeetingDeps& deps) {
  const proto::JoinPlacement& join = spec.placement().join();
  Meeting meeting;
  meeting.node_rank = options.node_rank;
  meeting.address = options.address;
  meeting.id = join.id().empty() ? std::string(kNoId) : join.id();
  if (spec.placement().has_join_timeout()) {
    meeting.join_timeout = proto::FromProto(spec.placement().join_timeout());
  }
  ASSIGN_OR_RETURN(meeting.endpoint, net::ParseEndpoint(join.endpoint(), kMeetingPort));
  if (!join.token_file().empty()) {
    const base::Result<net::Secret> token = net::ReadTokenFile(join.token_file());
    if (!token.ok()) return AsUsage(token.status());
    meeting.key = net::DeriveJobKey(*token, meeting.id);
  }
  if (options.is_here) {
    meeting.is_here = *options.is_here;
  } else {
    ASSIGN_OR_RETURN(meeting.is_here,
                     IsHere(meeting.endpoint, std::min(kNamePatience, meeting.join_timeout), deps));
  }
  const bool rank_0_is_here =
      meeting.is_here && meeting.endpoint.host == spec.gang().master_address();
  if (rank_0_is_here && meeting.node_rank > 0) {
    return base::InvalidArgumentError(
        "host " + deps.host_name + " is where ranks meet (--master-addr " +
        spec.gang().master_address() + "), and so is to be node 0, not " +
        std::to_string(meeting.node_rank) + " (--node-rank): rank 0 listens there");
  }
  return meeting;
}

void TakePlace(const Meeting& meeting, const std::string& here, std::vector<PlannedNode>* nodes) {
  PlannedNode& node = (*nodes)[static_cast<size_t>(std::max(0, meeting.node_rank))];
  node.host = here;
  node.address = meeting.address;
  node.start = AgentStart::kByLauncher;
}

}  // namespace lockstep::launcher
