// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/hosts/delay_proxy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <chrono>
#include <string>

#include "runtime/base/testing/status_matchers.h"
#include "tests/e2e/command.h"

namespace lockstep::hosts {
namespace {

using base::Code;
using base::UniqueFd;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// No receive of a test waits longer than this.
UniqueFd WithDeadline(UniqueFd socket) {
  const timeval limit{10, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return socket;
}

/// The target of a proxy, on loopback.
class Target {
 public:
  Target() : listener_(WithDeadline(UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)))) {
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }

  uint16_t port() const { return port_; }
  UniqueFd Accept() const {
    UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(socket.valid()) << errno;
    return WithDeadline(std::move(socket));
  }

 private:
  UniqueFd listener_;
  uint16_t port_ = 0;
};

UniqueFd Connect(uint16_t port) {
  UniqueFd socket = WithDeadline(UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  const sockaddr_in address = Loopback(port);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            0);
  return socket;
}

DelayProxy::Options To(const Target& target, base::Duration delay) {
  DelayProxy::Options options;
  options.target_address = "127.0.0.1";
  options.target_port = target.port();
  options.delay = delay;
  return options;
}

void Send(const UniqueFd& socket, const std::string& text) {
  ASSERT_EQ(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
}

/// So many bytes, or what came before the end.
std::string Receive(const UniqueFd& socket, size_t bytes) {
  std::string text(bytes, '\0');
  const ssize_t count = ::recv(socket.get(), text.data(), bytes, MSG_WAITALL);
  text.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return text;
}

TEST(DelayProxyTest, BytesComeLateInOrderBothWays) {
  const Target target;
  DelayProxy::Options options = To(target, 30ms);
  options.jitter = 10ms;
  auto proxy = DelayProxy::Start(std::move(options));
  ASSERT_THAT(proxy, IsOk());
  const UniqueFd client = Connect((*proxy)->port());
  const UniqueFd server = target.Accept();

  const auto start = SteadyClock::now();
  std::string sent;
  for (int i = 0; i < 200; ++i) {
    const std::string line = std::to_string(i) + "\n";
    Send(client, line);
    sent += line;
  }
  EXPECT_EQ(Receive(server, 1), "0");
  const auto there = SteadyClock::now();
  EXPECT_GE(there - start, 30ms);
  EXPECT_EQ("0" + Receive(server, sent.size() - 1), sent);

  const auto answered = SteadyClock::now();
  Send(server, "answer");
  EXPECT_EQ(Receive(client, 6), "answer");
  EXPECT_GE(SteadyClock::now() - answered, 30ms);
}

TEST(DelayProxyTest, NewDelayIsForBytesThatComeFromThenOn) {
  const Target target;
  auto proxy = DelayProxy::Start(To(target, 0ms));
  ASSERT_THAT(proxy, IsOk());
  const UniqueFd client = Connect((*proxy)->port());
  const UniqueFd server = target.Accept();

  (*proxy)->SetDelay(50ms);
  const auto start = SteadyClock::now();
  Send(client, "x");

  EXPECT_EQ(Receive(server, 1), "x");
  EXPECT_GE(SteadyClock::now() - start, 50ms);
}

TEST(DelayProxyTest, EndOfOneWayLeavesTheOtherOpen) {
  const Target target;
  auto proxy = DelayProxy::Start(To(target, 20ms));
  ASSERT_THAT(proxy, IsOk());
  const UniqueFd client = Connect((*proxy)->port());
  UniqueFd server = target.Accept();

  const auto start = SteadyClock::now();
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(Receive(server, 1), "");
  EXPECT_GE(SteadyClock::now() - start, 20ms);
  Send(server, "still here");
  EXPECT_EQ(Receive(client, 10), "still here");

  server.reset();
  EXPECT_EQ(Receive(client, 1), "");
  EXPECT_TRUE(e2e::Eventually([&] { return (*proxy)->connections() == 0; }, 10s));
}

TEST(DelayProxyTest, FullBufferStopsTheSender) {
  const Target target;
  DelayProxy::Options options = To(target, std::chrono::hours(1));
  options.buffer_bytes_max = 65536;
  auto proxy = DelayProxy::Start(std::move(options));
  ASSERT_THAT(proxy, IsOk());
  const UniqueFd client = Connect((*proxy)->port());

  const std::string block(65536, 'x');
  size_t accepted = 0;
  pollfd writable{client.get(), POLLOUT, 0};
  while (::poll(&writable, 1, 500) > 0 && accepted < (size_t{256} << 20)) {
    const ssize_t count = ::send(client.get(), block.data(), block.size(), MSG_DONTWAIT);
    if (count > 0) accepted += static_cast<size_t>(count);
  }

  EXPECT_LT(accepted, size_t{64} << 20) << "the kernel's buffers alone stop it";
  EXPECT_GE((*proxy)->bytes_waiting(), 65536u);
  EXPECT_LT((*proxy)->bytes_waiting(), 65536u + 256u);
}

TEST(DelayProxyTest, ConnectionAboveTheLimitIsClosed) {
  const Target target;
  DelayProxy::Options options = To(target, 0ms);
  options.connections_max = 1;
  auto proxy = DelayProxy::Start(std::move(options));
  ASSERT_THAT(proxy, IsOk());

  const UniqueFd first = Connect((*proxy)->port());
  const UniqueFd server = target.Accept();
  const UniqueFd second = Connect((*proxy)->port());

  EXPECT_EQ(Receive(second, 1), "");
  Send(first, "x");
  EXPECT_EQ(Receive(server, 1), "x");
}

TEST(DelayProxyTest, RefusedByTheTargetTheClientIsReset) {
  uint16_t port = 0;
  {
    const Target gone;
    port = gone.port();
  }
  DelayProxy::Options options;
  options.target_address = "127.0.0.1";
  options.target_port = port;
  auto proxy = DelayProxy::Start(std::move(options));
  ASSERT_THAT(proxy, IsOk());

  const UniqueFd client = Connect((*proxy)->port());
  char byte = 0;
  const ssize_t count = ::recv(client.get(), &byte, 1, 0);
  const int error = errno;

  EXPECT_EQ(count, -1);
  EXPECT_EQ(error, ECONNRESET);
}

TEST(DelayProxyTest, NameInPlaceOfAnAddressIsRefused) {
  DelayProxy::Options options;
  options.target_address = "h3";
  options.target_port = 1;

  EXPECT_THAT(DelayProxy::Start(std::move(options)),
              StatusIs(Code::kInvalidArgument, HasSubstr("'h3'")));
}

}  // namespace
}  // namespace lockstep::hosts
