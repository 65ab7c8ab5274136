// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/questions.h"

#include <utility>

#include "runtime/net/frame.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

/// Of a channel's queue of 4 MiB: news, orders and lines for the console have their room. Not less
/// than the lines that a node may have on their way (JobCluster's credit): they alone refuse
/// nobody.
constexpr size_t kQueuedBytesMax = size_t{3} << 19;
/// What is no longer than this costs nobody anything.
constexpr size_t kSmallBytes = size_t{64} << 10;
/// The message that carries an answer has its number too, and the lengths of what is around it.
constexpr size_t kAnswerBytesMax = net::kFramePayloadBytesMax - 64;

}  // namespace

proto::ControlReply Refusal(const base::Status& why) {
  proto::ControlReply refusal;
  *refusal.mutable_error() = proto::ToProto(why);
  return refusal;
}

proto::ControlReply AnswerFor(const net::Connection& connection, proto::ControlReply answer) {
  const size_t bytes = answer.ByteSizeLong();
  if (bytes > kAnswerBytesMax) {
    return Refusal(base::ResourceExhaustedError("the answer is " + std::to_string(bytes) +
                                                " bytes long; the limit is " +
                                                std::to_string(kAnswerBytesMax)));
  }
  if (connection.queued_bytes() <= kQueuedBytesMax || bytes <= kSmallBytes) return answer;
  return Refusal(base::ResourceExhaustedError("the connection to " + connection.peer().address +
                                              " has " + std::to_string(connection.queued_bytes()) +
                                              " bytes to send before this; try again"));
}

uint64_t Questions::Open(base::Duration timeout, OnReply on_reply) {
  seq_.AssertHeld();
  if (open_.size() >= open_max_) {
    on_reply(base::ResourceExhaustedError(std::to_string(open_.size()) + " requests wait for " +
                                          whom_ + " already; try again"));
    return 0;
  }
  const uint64_t id = next_id_++;
  open_[id] = {std::move(on_reply), loop_.After(timeout, [this, id, timeout] {
                 Close(id, base::DeadlineExceededError(whom_ + " has not answered for " +
                                                       base::FormatDuration(timeout)));
               })};
  return id;
}

void Questions::Close(uint64_t id, base::Result<proto::ControlReply> reply) {
  seq_.AssertHeld();
  const auto found = open_.find(id);
  if (found == open_.end()) return;
  const Question question = std::move(found->second);
  open_.erase(found);
  question.on_reply(std::move(reply));
}

void Questions::FailAll(const base::Status& why) {
  seq_.AssertHeld();
  for (auto& [id, question] : std::exchange(open_, {})) question.on_reply(why);
}

}  // namespace lockstep::launcher
