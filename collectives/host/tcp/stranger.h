// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_STRANGER_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_STRANGER_H_

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "collectives/host/tcp/tcp_service.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/tcp_socket.h"

namespace lockstep::collectives::testing {

/// Reads give up after 20 s.
inline void BePatient(const base::UniqueFd& fd) {
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

/// The other end of a connection to a service, or from it, that says what the test wants. Blocks.
/// Confined to one thread.
class Stranger {
 public:
  explicit Stranger(const TcpService& service) {
    const auto address =
        net::NumericAddress({.host = service.card().addresses[0], .port = service.card().port});
    fd_ = base::UniqueFd(::socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    BePatient(fd_);
    EXPECT_EQ(::connect(fd_.get(), address->get(), address->size()), 0);
  }
  explicit Stranger(base::UniqueFd accepted) : fd_(std::move(accepted)) { BePatient(fd_); }
  template <class T>
  void Say(const T& value) {
    (void)!::send(fd_.get(), &value, sizeof value, MSG_NOSIGNAL);
  }
  void SayText(std::string_view text) { (void)Send(text); }
  /// False: the other end has closed.
  bool Send(std::string_view text) {
    return ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
  }
  template <class T>
  bool Hear(T& value) {
    return ::recv(fd_.get(), &value, sizeof value, MSG_WAITALL) == sizeof value;
  }
  /// The other end has closed, by now or within 20 s.
  bool IsCutOff() {
    char byte;
    const ssize_t got = ::recv(fd_.get(), &byte, 1, 0);
    return got == 0 || (got < 0 && errno != EAGAIN);
  }

 private:
  base::UniqueFd fd_;
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_STRANGER_H_
