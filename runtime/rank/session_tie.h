// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_SESSION_TIE_H_
#define LOCKSTEP_RUNTIME_RANK_SESSION_TIE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "collectives/engine/attach_connection.h"
#include "collectives/host/shm/attach_segments.h"
#include "collectives/host/tcp/attach_exchange.h"
#include "collectives/host/tcp/tcp_service.h"
#include "collectives/recorder/recorder.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"
#include "runtime/rank/session_backend.h"

namespace lockstep::rank {

/// A rank's tie to an agent: connection and recorder ring. Shared by the session and its groups,
/// whichever ends last.
struct Tie {
  std::string socket_path;  // for connections beside this one
  std::string cookie;
  int32_t node_index = 0;
  collectives::AttachClient client;
  std::unique_ptr<collectives::Recorder> recorder;
};

/// The agent's segments, for as long as a group wants them.
class TiedSegments final : public collectives::SegmentSource {
 public:
  explicit TiedSegments(std::shared_ptr<Tie> tie)
      : tie_(std::move(tie)), segments_(*tie_->client) {}
  base::Result<std::shared_ptr<collectives::Segment>> Open(
      const collectives::SegmentRequest& request, base::Duration timeout) override {
    return segments_.Open(request, timeout);
  }

 private:
  const std::shared_ptr<Tie> tie_;
  collectives::AttachSegments segments_;
};

/// How this rank meets those of other machines. Blocks: at most `timeout`. Errors: those of
/// AskForNetwork.
base::Result<collectives::TcpService::Config> NetworkOf(const Tie& tie, const World& world,
                                                        const std::string& host,
                                                        const DataPath& data_path,
                                                        base::Duration timeout);

/// Of what members of a group have to tell each other before they meet, by way of the agents.
std::shared_ptr<collectives::AttachExchange> ExchangeOf(const Tie& tie);

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_SESSION_TIE_H_
