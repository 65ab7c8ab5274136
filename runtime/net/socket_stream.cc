// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/socket_stream.h"

#include <errno.h>
#include <sys/socket.h>

#include "runtime/base/errno_status.h"

namespace lockstep::net {

ByteStream::Outcome SocketStream::Read(char* buffer, size_t size) {
  const ssize_t count = ::recv(fd_.get(), buffer, size, 0);
  if (count > 0) return Outcome::Bytes(static_cast<size_t>(count));
  if (count == 0) return Outcome::End();
  if (errno == EAGAIN || errno == EINTR) return Outcome::NeedsReadable();
  return Outcome::Broken(base::ErrnoStatus(errno, "read from the peer"));
}

ByteStream::Outcome SocketStream::Write(std::string_view bytes) {
  while (true) {
    const ssize_t count =
        ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) return Outcome::Bytes(static_cast<size_t>(count));
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Outcome::NeedsWritable();
    return Outcome::Broken(base::ErrnoStatus(errno, "write to the peer"));
  }
}

}  // namespace lockstep::net
