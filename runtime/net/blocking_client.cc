// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/blocking_client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "runtime/base/errno_status.h"
#include "runtime/net/unix_socket.h"

namespace lockstep::net {
namespace {

constexpr int kConnectPauseMilliseconds = 5;

}  // namespace

base::Result<BlockingClient> BlockingClient::Connect(const std::string& path,
                                                     base::SteadyTime deadline,
                                                     const base::Clock& clock) {
  while (true) {
    base::Result<base::UniqueFd> fd = ConnectUnix(path);
    if (fd.ok()) {
      ASSIGN_OR_RETURN(const PeerCredentials peer, PeerOf(fd->get()));
      RETURN_IF_ERROR(CheckPeerIsOurs(peer, ::geteuid()).WithFrame("connect to " + path));
      return BlockingClient(*std::move(fd), path, clock);
    }
    const base::Status failed = fd.status();
    // Only a full backlog gets better by itself, and nothing but time tells when.
    if (failed.code() != base::Code::kResourceExhausted || clock.Now() >= deadline) return failed;
    ::poll(nullptr, 0, kConnectPauseMilliseconds);
  }
}

base::Status BlockingClient::WaitFor(short poll_events, base::SteadyTime deadline) {
  while (true) {
    const base::Duration left = deadline - clock_->Now();
    pollfd wait{.fd = fd_.get(), .events = poll_events, .revents = 0};
    const auto milliseconds =
        std::chrono::ceil<std::chrono::milliseconds>(std::max(left, base::Duration(0)));
    const int ready =
        ::poll(&wait, 1, static_cast<int>(std::min<int64_t>(milliseconds.count(), 1'000'000)));
    if (ready > 0) return base::OkStatus();
    if (ready < 0 && errno != EINTR) return base::ErrnoStatus(errno, "wait for " + path_);
    if (left <= base::Duration(0))
      return base::DeadlineExceededError("no answer on " + path_ + " in time");
  }
}

base::Status BlockingClient::Send(const google::protobuf::MessageLite& message,
                                  base::SteadyTime deadline) {
  const size_t size = message.ByteSizeLong();
  if (size > kFramePayloadBytesMax) {
    return base::InvalidArgumentError("send " + std::to_string(size) + " bytes to " + path_ +
                                      ": the limit is " + std::to_string(kFramePayloadBytesMax));
  }
  std::string frame;
  AppendFrameHeader(size, &frame);
  message.AppendToString(&frame);
  for (std::string_view rest = frame; !rest.empty();) {
    const ssize_t count = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count >= 0) {
      rest.remove_prefix(static_cast<size_t>(count));
    } else if (errno == EAGAIN) {
      RETURN_IF_ERROR(WaitFor(POLLOUT, deadline));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return base::UnavailableError("send to " + path_ + ": the peer has closed the connection");
    } else if (errno != EINTR) {
      return base::ErrnoStatus(errno, "send to " + path_);
    }
  }
  return base::OkStatus();
}

base::Status BlockingClient::Receive(base::SteadyTime deadline,
                                     google::protobuf::MessageLite* message) {
  while (received_.empty()) {
    RETURN_IF_ERROR(WaitFor(POLLIN, deadline));
    char buffer[16384];
    const ssize_t count = ::recv(fd_.get(), buffer, sizeof(buffer), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count < 0 && errno != ECONNRESET) return base::ErrnoStatus(errno, "read from " + path_);
    if (count <= 0) {
      if (!decoder_.at_boundary())
        return base::DataLossError(path_ + ": the peer closed within a message");
      return base::UnavailableError(path_ + ": the peer has closed the connection");
    }
    RETURN_IF_ERROR(decoder_
                        .Feed(std::string_view(buffer, static_cast<size_t>(count)),
                              [this](std::string_view payload) {
                                received_.emplace_back(payload);
                                return true;
                              })
                        .WithFrame(path_));
  }
  const std::string payload = std::move(received_.front());
  received_.pop_front();
  if (!message->ParseFromString(payload)) {
    return base::DataLossError(path_ + ": the peer sent no " + message->GetTypeName());
  }
  return base::OkStatus();
}

base::Status BlockingCall(const std::string& path, const google::protobuf::MessageLite& request,
                          google::protobuf::MessageLite* reply, base::SteadyTime deadline,
                          const base::Clock& clock) {
  ASSIGN_OR_RETURN(BlockingClient client, BlockingClient::Connect(path, deadline, clock));
  RETURN_IF_ERROR(client.Send(request, deadline));
  return client.Receive(deadline, reply);
}

}  // namespace lockstep::net
