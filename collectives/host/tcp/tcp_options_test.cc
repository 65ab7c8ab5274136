// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_options.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>
#include <string>
#include <utility>

#include "runtime/base/unique_fd.h"

namespace lockstep::collectives {
namespace {

/// Both ends of a connection on the loopback.
std::pair<base::UniqueFd, base::UniqueFd> Connect() {
  const base::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener.get(), generic, length), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_EQ(::getsockname(listener.get(), generic, &length), 0);
  base::UniqueFd one(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(one.get(), generic, length), 0);
  return {std::move(one),
          base::UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))};
}

std::string CongestionControl(int fd) {
  char name[16] = {};
  socklen_t length = sizeof name - 1;
  EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
  return name;
}

bool SetCongestionControl(int fd, const std::string& name) {
  return ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(),
                      static_cast<socklen_t>(name.size())) == 0;
}

TEST(TcpOptionsTest, BbrGivesWayOnAShortPath) {
  const auto [one, other] = Connect();
  if (!SetCongestionControl(one.get(), "bbr")) GTEST_SKIP() << "this kernel has no BBR for us";

  MakeReadyForData(one.get());

  EXPECT_EQ(CongestionControl(one.get()), "reno");
}

TEST(TcpOptionsTest, OtherCongestionControlStays) {
  const auto [one, other] = Connect();
  if (!SetCongestionControl(one.get(), "cubic")) GTEST_SKIP() << "this kernel has no cubic for us";

  MakeReadyForData(one.get());

  EXPECT_EQ(CongestionControl(one.get()), "cubic");
}

TEST(TcpOptionsTest, AFullWindowIsNoDeathAndALostMachineIsFound) {
  const auto [one, other] = Connect();
  const auto option = [fd = one.get()](int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    EXPECT_EQ(::getsockopt(fd, level, name, &value, &length), 0);
    return value;
  };

  MakeReadyForData(one.get());

  EXPECT_EQ(option(IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 10);
}

}  // namespace
}  // namespace lockstep::collectives
