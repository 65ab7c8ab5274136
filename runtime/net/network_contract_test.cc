// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What network.h says, of every implementation: TCP plain, by certificates and by a token, and the
// simulated one.
#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"
#include "runtime/net/network.h"
#include "runtime/net/sim_network.h"
#include "runtime/net/testing/network_world.h"
#include "runtime/net/testing/tcp_world.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::NetworkKind;
using testing::NetworkWorld;
using namespace std::chrono_literals;

constexpr base::Duration kTimeout = 30s;

class SimWorld final : public NetworkWorld {
 public:
  event::Loop& loop() override { return loop_; }
  Network& network(int node) override { return node == 0 ? *node_0_ : *node_1_; }
  Network* stranger() override { return stranger_.get(); }
  std::string host_of_node_0() override { return "a"; }
  std::string name_of_node_1() override { return "node-1"; }
  bool RunUntil(const std::function<bool()>& done, base::Duration timeout) override {
    return loop_.RunUntil(done, timeout);
  }

 private:
  event::SimLoop loop_;
  SimNetwork net_{loop_, 1};
  std::unique_ptr<Network> node_0_ = net_.Join("a", {.job = "j", .name = "node-0"});
  std::unique_ptr<Network> node_1_ = net_.Join("b", {.job = "j", .name = "node-1"});
  std::unique_ptr<Network> stranger_ = net_.Join("b", {.job = "k", .name = "node-1"});
};

google::protobuf::StringValue Text(std::string text) {
  google::protobuf::StringValue message;
  message.set_value(std::move(text));
  return message;
}

/// One end, with what it has heard.
struct Talker {
  std::unique_ptr<Connection> connection;
  std::vector<std::string> heard;
  std::optional<base::Status> closed;

  void Start() {
    connection->Start({.on_message =
                           [this](std::string_view payload) {
                             google::protobuf::StringValue message;
                             ASSERT_TRUE(message.ParseFromArray(payload.data(),
                                                                static_cast<int>(payload.size())));
                             heard.push_back(message.value());
                           },
                       .on_closed =
                           [this](base::Status why) {
                             ASSERT_FALSE(closed.has_value()) << "closed twice";
                             closed = std::move(why);
                           }});
  }
};

class NetworkContractTest : public ::testing::TestWithParam<NetworkKind> {
 protected:
  using Attempt = std::optional<base::Result<std::unique_ptr<Connection>>>;

  /// At node 0; what it gets is in guests_, started.
  void Listen(Network::ListenOptions options = {}) {
    ASSERT_OK_AND_ASSIGN(listener_, world_->network(0).Listen(
                                        options, [this](std::unique_ptr<Connection> connection) {
                                          guests_.push_back(std::make_unique<Talker>());
                                          guests_.back()->connection = std::move(connection);
                                          if (start_guests_) guests_.back()->Start();
                                        }));
  }
  Endpoint Where() {
    return {.host = world_->host_of_node_0(), .port = listener_->endpoint().port};
  }

  /// As node 1.
  Attempt Connect(std::vector<Endpoint> to, base::Duration timeout = kTimeout,
                  Network* as = nullptr) {
    Attempt attempt;
    if (as == nullptr) as = &world_->network(1);
    const auto connecting =
        as->Connect(std::move(to), timeout, [&](auto result) { attempt = std::move(result); });
    EXPECT_FALSE(attempt.has_value()) << "never inside the call";
    EXPECT_TRUE(RunUntil([&] { return attempt.has_value(); }));
    return attempt;
  }
  /// Both ends started: client_ and guests_[0].
  void Meet(Network::ListenOptions options = {}) {
    Listen(options);
    Attempt attempt = Connect({Where()});
    ASSERT_TRUE(attempt.has_value());
    ASSERT_OK(attempt->status());
    client_.connection = *std::move(*attempt);
    client_.Start();
    ASSERT_TRUE(RunUntil([&] { return guests_.size() == 1; }));
  }
  Talker& guest() { return *guests_[0]; }
  bool RunUntil(const std::function<bool()>& done) { return world_->RunUntil(done, 2 * kTimeout); }
  void RunFor(base::Duration duration) {
    (void)world_->RunUntil([] { return false; }, duration);
  }
  /// A port of node 0 where nobody listens.
  Endpoint Nowhere() {
    auto listener = world_->network(0).Listen({}, [](auto) {});
    EXPECT_OK(listener.status());
    return {.host = world_->host_of_node_0(), .port = (*listener)->endpoint().port};
  }

  const std::unique_ptr<NetworkWorld> world_ = GetParam().make();
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Talker>> guests_;
  bool start_guests_ = true;
  Talker client_;
};

TEST_P(NetworkContractTest, MessagesGoBothWaysInOrder) {
  Meet();

  for (int i = 0; i < 3; ++i)
    ASSERT_OK(client_.connection->Send(Text("to server " + std::to_string(i))));
  ASSERT_OK(guest().connection->Send(Text("to client")));
  ASSERT_TRUE(RunUntil([&] { return guest().heard.size() == 3 && client_.heard.size() == 1; }));

  EXPECT_THAT(guest().heard, ElementsAre("to server 0", "to server 1", "to server 2"));
  EXPECT_THAT(client_.heard, ElementsAre("to client"));
}

TEST_P(NetworkContractTest, EachKnowsThePeer) {
  Meet();

  EXPECT_EQ(guest().connection->peer().name, world_->name_of_node_1());
  EXPECT_NE(guest().connection->peer().address, "");
  EXPECT_NE(client_.connection->peer().address, "");
}

TEST_P(NetworkContractTest, EachKnowsByWhichAddressThePeerReachesIt) {
  Meet();

  const net::Connection& server = *guest().connection;
  const net::Connection& client = *client_.connection;
  EXPECT_THAT(client.peer().address, ::testing::HasSubstr(server.peer().own_host + ":"));
  EXPECT_THAT(server.peer().address, ::testing::HasSubstr(client.peer().own_host + ":"));
}

TEST_P(NetworkContractTest, NothingIsDeliveredBeforeTheStart) {
  start_guests_ = false;
  Meet();
  ASSERT_OK(client_.connection->Send(Text("early")));
  client_.connection.reset();
  RunFor(20ms);
  EXPECT_TRUE(guest().heard.empty());

  guest().Start();
  EXPECT_TRUE(guest().heard.empty()) << "never inside the call";
  ASSERT_TRUE(RunUntil([&] { return guest().closed.has_value(); }));

  EXPECT_THAT(guest().heard, ElementsAre("early"));
  EXPECT_OK(*guest().closed);
}

TEST_P(NetworkContractTest, MegabytesGoThroughAndTheQueueEmpties) {
  Meet();
  const std::string big(1'000'000, 'x');

  for (int i = 0; i < 3; ++i) ASSERT_OK(client_.connection->Send(Text(big)));
  ASSERT_TRUE(RunUntil([&] { return guest().heard.size() == 3; }));

  EXPECT_EQ(guest().heard[2], big);
  EXPECT_TRUE(RunUntil([&] { return client_.connection->queued_bytes() == 0; }));
}

TEST_P(NetworkContractTest, MessageOverTheLimitClosesTheConnectionOnBothSides) {
  Meet();

  EXPECT_THAT(client_.connection->Send(Text(std::string(size_t{1} << 20, 'x'))),
              StatusIs(Code::kInvalidArgument, HasSubstr("1048576")));
  EXPECT_TRUE(client_.connection->closed());
  ASSERT_TRUE(RunUntil([&] { return client_.closed && guest().closed; }));

  EXPECT_THAT(*client_.closed, StatusIs(Code::kInvalidArgument, HasSubstr("1048576")));
  EXPECT_TRUE(guest().heard.empty());
}

TEST_P(NetworkContractTest, PeerThatDoesNotReadFillsTheQueueAndIsCutOff) {
  start_guests_ = false;  // who has not started does not read
  Meet();
  const std::string big(1'000'000, 'x');

  base::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    status = client_.connection->Send(Text(big));
    RunFor(1ms);
  }

  EXPECT_THAT(status, StatusIs(Code::kResourceExhausted));
  ASSERT_TRUE(RunUntil([&] { return client_.closed.has_value(); }));
  EXPECT_THAT(*client_.closed, StatusIs(Code::kResourceExhausted));
}

TEST_P(NetworkContractTest, CloseIsCancelledHereAndNoErrorThere) {
  Meet();

  client_.connection->Close();
  EXPECT_TRUE(client_.connection->closed());
  EXPECT_FALSE(client_.closed.has_value()) << "never inside the call";
  EXPECT_THAT(client_.connection->Send(Text("late")), StatusIs(Code::kFailedPrecondition));
  ASSERT_TRUE(RunUntil([&] { return client_.closed && guest().closed; }));

  EXPECT_THAT(*client_.closed, StatusIs(Code::kCancelled));
  EXPECT_OK(*guest().closed);
}

TEST_P(NetworkContractTest, DestroyedConnectionIsNoErrorThereAndSilentHere) {
  Meet();

  guest().connection.reset();
  ASSERT_TRUE(RunUntil([&] { return client_.closed.has_value(); }));

  EXPECT_OK(*client_.closed);
  EXPECT_FALSE(guest().closed.has_value());
}

TEST_P(NetworkContractTest, HandlerMayDestroyItsConnection) {
  start_guests_ = false;
  Meet();
  int messages = 0;
  guest().connection->Start({.on_message =
                                 [&](std::string_view) {
                                   ++messages;
                                   guest().connection.reset();
                                 },
                             .on_closed = [](base::Status) { ADD_FAILURE(); }});
  for (int i = 0; i < 3; ++i) ASSERT_OK(client_.connection->Send(Text("one is enough")));

  ASSERT_TRUE(RunUntil([&] { return client_.closed.has_value(); }));
  EXPECT_EQ(messages, 1);
}

TEST_P(NetworkContractTest, ListenerThatComesLaterIsFound) {
  const Endpoint later = Nowhere();
  Attempt attempt;
  const auto connecting = world_->network(1).Connect(
      {later}, kTimeout, [&](auto result) { attempt = std::move(result); });
  RunFor(50ms);
  EXPECT_FALSE(attempt.has_value());

  Listen({.ports = {later.port, later.port}});
  ASSERT_TRUE(RunUntil([&] { return attempt.has_value(); }));

  EXPECT_OK(attempt->status());
}

TEST_P(NetworkContractTest, NobodyListensIsUnavailableAfterTheTimeout) {
  const Endpoint nowhere = Nowhere();
  const base::SteadyTime begun = world_->loop().Now();

  const Attempt attempt = Connect({nowhere}, 200ms);

  EXPECT_THAT(attempt->status(), StatusIs(Code::kUnavailable, HasSubstr(nowhere.ToString())));
  EXPECT_GE(world_->loop().Now() - begun, 200ms);
}

TEST_P(NetworkContractTest, HostWithoutAddressIsNotReachedInTime) {
  const Attempt attempt = Connect({{.host = "no-such-host.invalid", .port = 1}}, 200ms);

  EXPECT_THAT(attempt->status(),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("no-such-host.invalid")));
}

TEST_P(NetworkContractTest, NoEndpointIsAnError) {
  EXPECT_THAT(Connect({})->status(), StatusIs(Code::kInvalidArgument));
}

TEST_P(NetworkContractTest, NextEndpointServesWhenTheFirstDoesNot) {
  const Endpoint nowhere = Nowhere();
  Listen();

  EXPECT_OK(Connect({nowhere, Where()})->status());
}

TEST_P(NetworkContractTest, StrangerIsRefusedAtOnceAndTheJobGoesOn) {
  if (world_->stranger() == nullptr) GTEST_SKIP() << "this kind lets everybody in";
  Meet();

  const Attempt attempt = Connect({Where()}, kTimeout, world_->stranger());
  ASSERT_OK(client_.connection->Send(Text("still here")));

  EXPECT_THAT(attempt->status(), StatusIs(Code::kPermissionDenied));
  ASSERT_TRUE(RunUntil([&] { return guest().heard.size() == 1; }));
  EXPECT_EQ(guests_.size(), 1u);
  EXPECT_TRUE(RunUntil([&] { return listener_->refused_total() == 1; }));
}

TEST_P(NetworkContractTest, AttemptThatIsGivenUpNeverCallsBack) {
  Listen();

  auto connecting = world_->network(1).Connect({Where()}, kTimeout, [](auto) { ADD_FAILURE(); });
  connecting.reset();
  auto begun = world_->network(1).Connect({Where()}, kTimeout, [](auto) { ADD_FAILURE(); });
  world_->loop().Post([&] { begun.reset(); });
  RunFor(50ms);
}

TEST_P(NetworkContractTest, CallbackMayDestroyItsAttempt) {
  Listen();
  bool called = false;
  std::unique_ptr<Connecting> connecting;
  connecting = world_->network(1).Connect({Where()}, kTimeout, [&](auto result) {
    EXPECT_OK(result.status());
    connecting.reset();
    called = true;
  });

  EXPECT_TRUE(RunUntil([&] { return called; }));
}

TEST_P(NetworkContractTest, CallbackMayDestroyItsListener) {
  ASSERT_OK_AND_ASSIGN(listener_, world_->network(0).Listen({}, [&](auto connection) {
    guests_.push_back(std::make_unique<Talker>());
    guests_.back()->connection = std::move(connection);
    guests_.back()->Start();
    listener_.reset();
  }));

  Attempt attempt = Connect({Where()});
  ASSERT_OK(attempt->status());
  client_.connection = *std::move(*attempt);
  client_.Start();
  ASSERT_OK(client_.connection->Send(Text("still here")));

  EXPECT_TRUE(RunUntil([&] { return guests_.size() == 1 && guest().heard.size() == 1; }));
}

TEST_P(NetworkContractTest, DestroyedListenerLetsNobodyInAndLeavesItsConnections) {
  Meet();
  const Endpoint where = Where();
  listener_.reset();

  EXPECT_THAT(Connect({where}, 100ms)->status(), StatusIs(Code::kUnavailable));
  ASSERT_OK(client_.connection->Send(Text("still here")));
  EXPECT_TRUE(RunUntil([&] { return guest().heard.size() == 1; }));
}

TEST_P(NetworkContractTest, OneConnectionTooManyWaitsForAPlace) {
  Meet({.connections_max = 1});
  Attempt attempt;
  const auto connecting = world_->network(1).Connect(
      {Where()}, kTimeout, [&](auto result) { attempt = std::move(result); });

  ASSERT_TRUE(RunUntil([&] { return listener_->refused_total() > 0; }));
  EXPECT_EQ(guests_.size(), 1u);
  guest().connection.reset();
  ASSERT_TRUE(RunUntil([&] { return guests_.size() == 2; }));

  ASSERT_TRUE(RunUntil([&] { return attempt.has_value(); }));
  EXPECT_OK(attempt->status());
}

TEST_P(NetworkContractTest, FirstFreePortOfTheRangeIsTaken) {
  // Two neighbours that are free now, where the kernel puts no outgoing connections; somebody else
  // may take one before us.
  std::unique_ptr<Listener> first, second;
  int port = 0;
  for (int i = 0; i < 100 && second == nullptr; ++i) {
    port = 20000 + (::getpid() * 7 + 2 * i) % 10000;
    auto made = world_->network(0).Listen({.ports = {port, port}}, [](auto) {});
    if (!made.ok()) continue;
    first = *std::move(made);
    made = world_->network(0).Listen({.ports = {port, port + 1}}, [](auto) {});
    if (made.ok()) second = *std::move(made);
  }
  ASSERT_NE(second, nullptr);

  EXPECT_EQ(first->endpoint().port, port);
  EXPECT_EQ(second->endpoint().port, port + 1);
  EXPECT_THAT(world_->network(0).Listen({.ports = {port, port + 1}}, [](auto) {}).status(),
              StatusIs(Code::kResourceExhausted, HasSubstr(std::to_string(port))));
}

TEST_P(NetworkContractTest, ForeignAddressCannotBeListenedOn) {
  EXPECT_THAT(world_->network(0).Listen({.host = "203.0.113.7"}, [](auto) {}).status(),
              StatusIs(Code::kInvalidArgument, HasSubstr("203.0.113.7")));
}

INSTANTIATE_TEST_SUITE_P(
    All, NetworkContractTest,
    ::testing::Values(
        NetworkKind{"Plain", [] { return testing::MakeTcpWorld(testing::TcpSecurity::kPlain); }},
        NetworkKind{"Certificates",
                    [] { return testing::MakeTcpWorld(testing::TcpSecurity::kCertificates); }},
        NetworkKind{"Token", [] { return testing::MakeTcpWorld(testing::TcpSecurity::kToken); }},
        NetworkKind{
            "Simulated",
            []() -> std::unique_ptr<NetworkWorld> { return std::make_unique<SimWorld>(); }}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace lockstep::net
