// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/front/front_link.h"

#include <signal.h>
#include <sys/socket.h>

#include <cerrno>

#include "runtime/base/errno_status.h"

namespace lockstep::launcher {

base::Result<FrontLink> MakeFrontLink() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
    return base::ErrnoStatus(errno, "socketpair between lockstep and its agent");
  }
  return FrontLink{base::UniqueFd(fds[0]), base::UniqueFd(fds[1])};
}

bool AsksForEnd(int signal) {
  return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
}

void SendByte(int fd, uint8_t byte) { (void)!::send(fd, &byte, 1, MSG_NOSIGNAL); }

ReadOutcome ReadByte(int fd, uint8_t* byte) {
  const ssize_t count = ::recv(fd, byte, 1, 0);
  if (count == 1) return ReadOutcome::kByte;
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return ReadOutcome::kNothingYet;
  return ReadOutcome::kClosed;
}

}  // namespace lockstep::launcher
