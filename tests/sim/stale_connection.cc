// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/sim/stale_connection.h"

#include "runtime/proto/agent.pb.h"

namespace lockstep::sim {
namespace {

constexpr size_t kKept = 32;

/// Of messages that belong to one.
std::optional<uint32_t> RoundOf(const google::protobuf::MessageLite& message) {
  if (const auto* said = dynamic_cast<const proto::FromAgent*>(&message)) {
    if (said->has_rank_news()) return said->rank_news().round();
  }
  if (const auto* said = dynamic_cast<const proto::ToAgent*>(&message)) {
    if (said->has_command()) return said->command().round();
  }
  return std::nullopt;
}

}  // namespace

base::Status StaleConnection::Send(const google::protobuf::MessageLite& message) {
  const std::optional<uint32_t> round = RoundOf(message);
  if (!round) return inner_->Send(message);
  if (!said_.empty() && random_.Below(3) == 0) {
    const Said& old = said_[random_.Below(said_.size())];
    if (old.round < *round) (void)inner_->Send(*old.message);
  }
  Said now{*round, std::unique_ptr<google::protobuf::MessageLite>(message.New())};
  now.message->CheckTypeAndMergeFrom(message);
  said_.push_back(std::move(now));
  if (said_.size() > kKept) said_.pop_front();
  return inner_->Send(message);
}

}  // namespace lockstep::sim
