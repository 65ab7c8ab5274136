// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/meeting_door.h"

#include <optional>
#include <utility>

namespace lockstep::launcher {

void TakePartIn(Meeting& meeting, JobCluster::Config& cluster) {
  const uint16_t port = meeting.endpoint.port;
  cluster.door.plain = !meeting.key.has_value();
  cluster.door.key = std::exchange(meeting.key, std::nullopt);
  cluster.door.meeting_id = meeting.id;
  cluster.door.ports = {port, port};
  cluster.join_deadline = meeting.join_timeout;
}

base::Status ExplainNoMeeting(const base::Status& why, const Meeting& meeting,
                              const std::string& host) {
  if (why.code() != base::Code::kResourceExhausted) return why;
  return base::UnavailableError(
             "port " + std::to_string(meeting.endpoint.port) + " of host " + host +
             ", where the nodes are to meet, is taken: this line was started here before, and a "
             "host is one node; or another job meets there, and this one needs another port "
             "(--rdzv-endpoint, on every node)")
      .WithCause(why);
}

}  // namespace lockstep::launcher
