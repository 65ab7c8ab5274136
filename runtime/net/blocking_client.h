// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_BLOCKING_CLIENT_H_
#define LOCKSTEP_RUNTIME_NET_BLOCKING_CLIENT_H_

#include <google/protobuf/message_lite.h>

#include <deque>
#include <string>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/frame.h"

namespace lockstep::net {

/// A channel without a loop, for verbs that ask one thing and end. Every call blocks until its
/// deadline at most. Confined to one thread.
///
///   ASSIGN_OR_RETURN(auto client, BlockingClient::Connect(path, deadline, clock));
///   RETURN_IF_ERROR(client.Send(request, deadline));
///   RETURN_IF_ERROR(client.Receive(deadline, &reply));
class BlockingClient {
 public:
  /// Errors: as ConnectUnix; PermissionDenied - the listener is neither our own user's nor root's;
  /// DeadlineExceeded.
  static base::Result<BlockingClient> Connect(const std::string& path, base::SteadyTime deadline,
                                              const base::Clock& clock);

  /// Errors: InvalidArgument - message over the frame limit; DeadlineExceeded; Unavailable - the
  /// peer has closed.
  base::Status Send(const google::protobuf::MessageLite& message, base::SteadyTime deadline);
  /// Errors: DeadlineExceeded; Unavailable - the peer has closed; DataLoss - it closed within a
  /// frame, or the payload is no message of this type; ResourceExhausted - frame over the limit.
  base::Status Receive(base::SteadyTime deadline, google::protobuf::MessageLite* message);

 private:
  BlockingClient(base::UniqueFd fd, std::string path, const base::Clock& clock)
      : clock_(&clock), path_(std::move(path)), fd_(std::move(fd)) {}
  base::Status WaitFor(short poll_events, base::SteadyTime deadline);

  const base::Clock* clock_;
  std::string path_;
  base::UniqueFd fd_;
  FrameDecoder decoder_;
  std::deque<std::string> received_;  // payloads that came together with an earlier one
};

/// Connect, Send, Receive. Errors: as theirs, with the path.
base::Status BlockingCall(const std::string& path, const google::protobuf::MessageLite& request,
                          google::protobuf::MessageLite* reply, base::SteadyTime deadline,
                          const base::Clock& clock);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_BLOCKING_CLIENT_H_
