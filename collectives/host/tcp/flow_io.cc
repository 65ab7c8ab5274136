// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/flow_io.h"

#include <errno.h>
#include <sys/socket.h>

namespace lockstep::collectives {

ssize_t ReceiveSome(int fd, std::byte* to, size_t bytes) {
  const ssize_t got = ::recv(fd, to, bytes, MSG_DONTWAIT);
  if (got > 0) return got;
  return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : kFlowClosed;
}

ssize_t SendSome(int fd, std::span<const iovec> pieces) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  const ssize_t sent = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == EINTR ? 0 : kFlowClosed;
}

}  // namespace lockstep::collectives
