// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What TcpNetwork does beyond the contract of network_contract_test.cc.
#include "runtime/net/tcp_network.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/net/resolver.h"
#include "runtime/net/tcp_connecting.h"
#include "runtime/net/tcp_socket.h"
#include "runtime/net/transport.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::chrono_literals;

constexpr base::Duration kTimeout = 30s;

class TcpNetworkTest : public ::testing::Test {
 protected:
  using Attempt = std::optional<base::Result<std::unique_ptr<Connection>>>;

  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(loop_, event::EpollLoop::Create(clock_));
    network_ = std::make_unique<TcpNetwork>(std::make_unique<PlainTransport>(), Channel::Options(),
                                            *loop_);
  }
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, kTimeout);
  }
  void Listen(Network::ListenOptions options) {
    ASSERT_OK_AND_ASSIGN(listener_, network_->Listen(options, [this](auto connection) {
      guests_.push_back(std::move(connection));
    }));
  }
  uint16_t port() { return listener_->endpoint().port; }
  Attempt Connect(const std::string& host) {
    Attempt attempt;
    const auto connecting =
        network_->Connect({{host, port()}}, 10s, [&](auto result) { attempt = std::move(result); });
    EXPECT_TRUE(RunUntil([&] { return attempt.has_value(); }));
    return attempt;
  }
  /// A connection that says nothing.
  base::UniqueFd ConnectSilently() {
    return BeginConnectTcp(*NumericAddress({"127.0.0.1", port()})).value();
  }
  static bool HasV6() { return ListenTcp("::1", {0, 0}).ok(); }
  /// Whether the other side has closed it.
  static bool IsClosed(const base::UniqueFd& fd) {
    char bytes[64];
    ssize_t count;
    while ((count = ::recv(fd.get(), bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
    }
    return count == 0 || errno == ECONNRESET;
  }

  const base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  std::unique_ptr<TcpNetwork> network_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Connection>> guests_;
};

TEST_F(TcpNetworkTest, BothFamiliesReachWhoListensOnEveryAddress) {
  Listen({});

  ASSERT_OK(Connect("127.0.0.1")->status());
  ASSERT_EQ(guests_.size(), 1u);
  EXPECT_THAT(guests_[0]->peer().address, StartsWith("127.0.0.1:"));
  if (!HasV6()) GTEST_SKIP() << "no IPv6 here";
  ASSERT_OK(Connect("::1")->status());
  ASSERT_TRUE(RunUntil([&] { return guests_.size() == 2; }));
  EXPECT_THAT(guests_[1]->peer().address, StartsWith("[::1]:"));
}

TEST_F(TcpNetworkTest, NamesServeForBothSides) {
  Listen({.host = "localhost"});

  EXPECT_OK(Connect("localhost")->status());
}

TEST_F(TcpNetworkTest, OneAddressIsNotTheOthers) {
  Listen({.host = "127.0.0.1"});

  const base::UniqueFd other = BeginConnectTcp(*NumericAddress({"127.0.0.2", port()})).value();
  base::Status outcome;
  ASSERT_TRUE(RunUntil([&] {
    if (outcome.ok()) outcome = TcpConnectOutcome(other.get());  // tells an error once
    return !outcome.ok();
  }));
  EXPECT_THAT(outcome, StatusIs(Code::kUnavailable, HasSubstr("ECONNREFUSED")));
}

TEST_F(TcpNetworkTest, SilentAddressCostsAHeadStart) {
  Listen({});
  ASSERT_OK_AND_ASSIGN(const TcpListenSockets silent, ListenTcp("127.0.0.1", {0, 0}));
  const std::vector<SocketAddress> addresses = {*NumericAddress({"127.0.0.1", silent.port}),
                                                *NumericAddress({"127.0.0.1", port()})};
  Resolver resolver(*loop_, [addresses](const Endpoint&) {
    return base::Result<std::vector<SocketAddress>>(addresses);
  });
  const PlainTransport transport;
  Attempt attempt;
  const base::SteadyTime begun = clock_.Now();

  TcpConnecting connecting(
      {{"node7", port()}}, kTimeout, [&](auto result) { attempt = std::move(result); },
      Channel::Options(), transport, resolver, *loop_);
  ASSERT_TRUE(RunUntil([&] { return attempt.has_value(); }));

  ASSERT_OK(attempt->status());
  EXPECT_GE(clock_.Now() - begun, TcpConnecting::kHeadStart);
  EXPECT_LT(clock_.Now() - begun, TcpConnecting::kTurnMax / 2);
}

TEST_F(TcpNetworkTest, WhoGivesNoAnswerIsNamed) {
  ASSERT_OK_AND_ASSIGN(const TcpListenSockets silent, ListenTcp("127.0.0.1", {0, 0}));
  Attempt attempt;
  const Endpoint where{"127.0.0.1", silent.port};
  const auto connecting =
      network_->Connect({where}, 100ms, [&](auto result) { attempt = std::move(result); });

  ASSERT_TRUE(RunUntil([&] { return attempt.has_value(); }));

  EXPECT_THAT(attempt->status(), StatusIs(Code::kDeadlineExceeded, HasSubstr(where.ToString())));
}

TEST_F(TcpNetworkTest, SilentPeerIsClosedAtTheHandshakesDeadline) {
  Listen({.handshake_timeout = 20ms});
  const base::UniqueFd silent = ConnectSilently();

  ASSERT_TRUE(RunUntil([&] { return listener_->refused_total() == 1; }));
  EXPECT_TRUE(RunUntil([&] { return IsClosed(silent); }));
}

TEST_F(TcpNetworkTest, OldestHandshakeMakesRoomForOneMore) {
  Listen({.handshakes_max = 2, .handshake_timeout = kTimeout});
  std::vector<base::UniqueFd> silent;
  for (int i = 0; i < 3; ++i) silent.push_back(ConnectSilently());

  ASSERT_TRUE(RunUntil([&] { return IsClosed(silent[0]); }));
  EXPECT_FALSE(IsClosed(silent[1]));
  EXPECT_FALSE(IsClosed(silent[2]));
  EXPECT_EQ(listener_->refused_total(), 1u);
  EXPECT_OK(Connect("127.0.0.1")->status());
}

TEST_F(TcpNetworkTest, NoFreeDescriptorIsOvercome) {
  Listen({});
  const base::UniqueFd client = ConnectSilently();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::clock_t cpu_before = std::clock();
  event::testing::RunUntil(*loop_, [] { return false; }, 80ms);
  EXPECT_LT(std::clock() - cpu_before, CLOCKS_PER_SEC * 40 / 1000)
      << "the loop must rest meanwhile";

  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_EQ(::send(client.get(), "lockstep/1\n", 11, 0), 11);

  EXPECT_TRUE(RunUntil([&] { return guests_.size() == 1; }));
}

TEST_F(TcpNetworkTest, SocketThatReachedItselfIsNoConnection) {
  base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress any_port = *NumericAddress({"127.0.0.1", 0});
  ASSERT_EQ(::bind(fd.get(), any_port.get(), any_port.size()), 0);
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  ASSERT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size), 0);
  ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&bound), size), 0);

  EXPECT_THAT(TcpConnectOutcome(fd.get()), StatusIs(Code::kUnavailable, HasSubstr("nobody")));
}

TEST_F(TcpNetworkTest, ConnectionsAreSetUp) {
  Listen({});
  const base::UniqueFd fd = ConnectSilently();
  const auto option = [&](int level, int name) {
    int value = -1;
    socklen_t size = sizeof(value);
    EXPECT_EQ(::getsockopt(fd.get(), level, name, &value, &size), 0);
    return value;
  };

  EXPECT_EQ(option(IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_USER_TIMEOUT), 10'000);
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 0);
  EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
}

}  // namespace
}  // namespace lockstep::net
