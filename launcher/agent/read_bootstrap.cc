// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/read_bootstrap.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string_view>

#include "runtime/base/errno_status.h"
#include "runtime/net/frame.h"

namespace lockstep::launcher {
namespace {

/// Waits until there is something to read. Errors: DeadlineExceeded; else errno's code.
base::Status AwaitInput(int fd, base::SteadyTime deadline, const base::Clock& clock) {
  while (true) {
    pollfd input{fd, POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        std::max(deadline - clock.Now(), base::Duration(0)));
    const int ready = ::poll(&input, 1, static_cast<int>(left.count()));
    if (ready > 0) return base::OkStatus();
    if (ready == 0) return base::DeadlineExceededError("no bootstrap came on standard input");
    if (errno != EINTR) return base::ErrnoStatus(errno, "wait for the bootstrap");
  }
}

}  // namespace

base::Result<proto::Bootstrap> ReadBootstrap(int fd, base::Duration timeout,
                                             const base::Clock& clock) {
  net::FrameDecoder decoder;
  proto::Bootstrap bootstrap;
  bool complete = false;
  bool readable = false;
  const base::SteadyTime deadline = clock.Now() + timeout;
  while (!complete) {
    RETURN_IF_ERROR(AwaitInput(fd, deadline, clock));
    char bytes[4096];
    const ssize_t size = ::read(fd, bytes, sizeof bytes);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return base::ErrnoStatus(errno, "read the bootstrap");
    if (size == 0) {
      return base::InvalidArgumentError(
          "`lockstep agent` is started by `lockstep run`, which hands it a bootstrap on its "
          "standard input");
    }
    const base::Status fed =
        decoder.Feed({bytes, static_cast<size_t>(size)}, [&](std::string_view frame) {
          complete = true;
          readable = bootstrap.ParseFromArray(frame.data(), static_cast<int>(frame.size()));
          return false;
        });
    ::explicit_bzero(bytes, sizeof bytes);  // the node's key is in it
    RETURN_IF_ERROR(fed.WithFrame("while reading the bootstrap on standard input"));
  }
  if (!readable) return base::InvalidArgumentError("standard input holds no bootstrap");
  return bootstrap;
}

}  // namespace lockstep::launcher
