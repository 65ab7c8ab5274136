// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_QUESTIONS_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_QUESTIONS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"
#include "runtime/net/network.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// Takes the one answer to a request, now or later.
using OnAnswer = std::function<void(proto::ControlReply)>;

/// An answer that says why there is none.
proto::ControlReply Refusal(const base::Status& why);

/// `answer`, or a refusal (ResourceExhausted) where sending that would close `connection`: it is
/// longer than a message may be, or so much waits to be sent already that one of its size might be
/// too much. Neither a great answer nor a slow reader of logs must cost a node its membership.
proto::ControlReply AnswerFor(const net::Connection& connection, proto::ControlReply answer);

/// Verbs' requests that one agent has passed on to another, until the replies come: a bounded
/// number, each with a deadline. One per connection, owned by whoever speaks on it. Confined to the
/// loop's thread.
class Questions {
 public:
  using OnReply = std::function<void(base::Result<proto::ControlReply>)>;

  /// `whom` is asked, as messages name it.
  Questions(size_t open_max, std::string whom, event::Loop& loop)
      : open_max_(open_max), whom_(std::move(whom)), loop_(loop) {}
  Questions(const Questions&) = delete;
  Questions& operator=(const Questions&) = delete;

  /// The number to send the request with; 0 = too many are open, and `on_reply` has been told
  /// (ResourceExhausted). Otherwise that gets the reply, or DeadlineExceeded after `timeout`, or
  /// what FailAll says; never after destruction.
  uint64_t Open(base::Duration timeout, OnReply on_reply);
  /// Does nothing when nobody waits for it (any more).
  void Close(uint64_t id, base::Result<proto::ControlReply> reply);
  /// None of them will be answered, because of `why`.
  void FailAll(const base::Status& why);

 private:
  struct Question {
    OnReply on_reply;
    event::Registration timeout;
  };

  const size_t open_max_;
  const std::string whom_;
  event::Loop& loop_;
  base::Sequence seq_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, Question> open_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_QUESTIONS_H_
