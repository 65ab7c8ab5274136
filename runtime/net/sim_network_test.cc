// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/sim_network.h"

#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::Status;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using namespace std::chrono_literals;
using Strings = std::vector<std::string>;

google::protobuf::StringValue Text(std::string text) {
  google::protobuf::StringValue message;
  message.set_value(std::move(text));
  return message;
}

/// One end of a connection with what it has heard.
struct Talker {
  explicit Talker(std::unique_ptr<Connection> made) : connection(std::move(made)) {}

  Talker& Start() {
    connection->Start({.on_message =
                           [this](std::string_view payload) {
                             google::protobuf::StringValue message;
                             EXPECT_TRUE(message.ParseFromArray(payload.data(),
                                                                static_cast<int>(payload.size())));
                             heard.push_back(message.value());
                           },
                       .on_closed = [this](Status why) { closed = std::move(why); }});
    return *this;
  }
  Status Say(const std::string& text) { return connection->Send(Text(text)); }

  std::unique_ptr<Connection> connection;
  Strings heard;
  std::optional<Status> closed;
};

/// Hosts "a", which listens, and "b", which connects.
class SimNetworkTest : public ::testing::Test {
 protected:
  explicit SimNetworkTest(uint64_t seed = 7) : net_(loop_, seed) {}

  void Listen(Network::ListenOptions options = {}) {
    auto made = a_->Listen(options, [this](std::unique_ptr<Connection> connection) {
      accepted_.push_back(std::make_unique<Talker>(std::move(connection)));
      if (start_accepted_) accepted_.back()->Start();
    });
    ASSERT_OK(made);
    listener_ = std::move(made).value();
  }
  base::Result<std::unique_ptr<Connection>> Connect(Network& from, std::vector<Endpoint> to,
                                                    base::Duration timeout = 30s) {
    std::optional<base::Result<std::unique_ptr<Connection>>> result;
    const auto connecting =
        from.Connect(std::move(to), timeout, [&](auto made) { result = std::move(made); });
    EXPECT_FALSE(result.has_value()) << "called back from within";
    EXPECT_TRUE(loop_.RunUntil([&] { return result.has_value(); }, timeout + 1s));
    return std::move(*result);
  }
  /// b's end of a new connection, after a has its own.
  std::unique_ptr<Talker> Join() {
    auto made = Connect(*b_, {listener_->endpoint()});
    EXPECT_OK(made);
    const size_t before = accepted_.size();
    auto talker = std::make_unique<Talker>(std::move(made).value());
    talker->Start();
    EXPECT_TRUE(loop_.RunUntil([&] { return accepted_.size() > before; }, 1s));
    return talker;
  }

  event::SimLoop loop_;
  SimNetwork net_;
  std::unique_ptr<Network> a_ = net_.Join("a", {"job", "node-0"});
  std::unique_ptr<Network> b_ = net_.Join("b", {"job", "node-1"});
  bool start_accepted_ = true;
  std::vector<std::unique_ptr<Talker>> accepted_;
  std::unique_ptr<Listener> listener_;
};

Strings Numbers(int count) {
  Strings numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

TEST_F(SimNetworkTest, MessagesComeInOrderBothWays) {
  Listen();
  const auto b = Join();
  net_.SetAllPaths({.latency_min = 0ms, .latency_max = 50ms});
  for (const std::string& number : Numbers(100)) {
    EXPECT_OK(b->Say(number));
    EXPECT_OK(accepted_[0]->Say(number));
  }
  loop_.RunFor(1s);

  EXPECT_EQ(accepted_[0]->heard, Numbers(100));
  EXPECT_EQ(b->heard, Numbers(100));
  EXPECT_EQ(accepted_[0]->connection->peer().name, "node-1");
  EXPECT_EQ(b->connection->peer().name, "node-0");
  EXPECT_THAT(accepted_[0]->connection->peer().address, HasSubstr("b:"));
}

TEST_F(SimNetworkTest, PartitionIsSilentAndLosesNothingWhenItHealsInTime) {
  Listen();
  const auto b = Join();
  EXPECT_OK(b->Say("0"));
  net_.Partition("a", "b");  // takes what is under way too
  EXPECT_OK(b->Say("1"));
  loop_.RunFor(10s);
  EXPECT_TRUE(accepted_[0]->heard.empty());
  EXPECT_FALSE(b->closed.has_value());

  net_.Heal("a", "b");
  EXPECT_OK(b->Say("2"));
  loop_.RunFor(1s);
  EXPECT_EQ(accepted_[0]->heard, Numbers(3));
}

TEST_F(SimNetworkTest, SenderIntoAPartitionGivesUpAndItsPeerKnowsNothing) {
  Listen();
  const auto b = Join();
  net_.Partition("a", "b");
  EXPECT_OK(b->Say("0"));
  loop_.RunFor(21s);

  ASSERT_TRUE(b->closed.has_value());
  EXPECT_THAT(*b->closed, StatusIs(Code::kUnavailable, HasSubstr("timed out")));
  EXPECT_FALSE(accepted_[0]->closed.has_value());
  net_.Heal("a", "b");
  EXPECT_OK(accepted_[0]->Say("still there?"));
  loop_.RunFor(1s);
  ASSERT_TRUE(accepted_[0]->closed.has_value());
  EXPECT_THAT(*accepted_[0]->closed, StatusIs(Code::kUnavailable, HasSubstr("reset")));
}

TEST_F(SimNetworkTest, OneWayCutStopsOneDirectionAlone) {
  Listen();
  const auto b = Join();
  net_.Cut("a", "b");
  EXPECT_OK(b->Say("up"));
  EXPECT_OK(accepted_[0]->Say("down"));
  loop_.RunFor(5s);

  EXPECT_EQ(accepted_[0]->heard, Strings{"up"});
  EXPECT_TRUE(b->heard.empty());
  loop_.RunFor(20s);
  EXPECT_TRUE(b->closed.has_value()) << "its message came, the acknowledgement did not";
}

TEST_F(SimNetworkTest, WhatArrivedOnceIsNotDeliveredAgainAfterAHeal) {
  Listen();
  const auto b = Join();
  net_.Cut("a", "b");
  EXPECT_OK(b->Say("0"));
  loop_.RunFor(5s);
  net_.Heal("a", "b");
  EXPECT_OK(b->Say("1"));
  loop_.RunFor(60s);

  EXPECT_EQ(accepted_[0]->heard, Numbers(2));
  EXPECT_FALSE(b->closed.has_value());
}

TEST_F(SimNetworkTest, ResetTellsBoth) {
  Listen();
  const auto b = Join();
  net_.Reset("a", "b");
  EXPECT_FALSE(b->closed.has_value()) << "called back from within";
  loop_.RunFor(1s);

  EXPECT_THAT(b->closed.value_or(base::OkStatus()), StatusIs(Code::kUnavailable));
  EXPECT_THAT(accepted_[0]->closed.value_or(base::OkStatus()), StatusIs(Code::kUnavailable));
  EXPECT_TRUE(b->connection->closed());
  EXPECT_THAT(b->Say("x"), StatusIs(Code::kFailedPrecondition));
  EXPECT_EQ(net_.connection_count(), 0u);
}

TEST_F(SimNetworkTest, HalfOpenConnectionIsNoticedBySending) {
  Listen();
  const auto b = Join();
  net_.HalfOpen("b", "a");
  loop_.RunFor(1h);
  EXPECT_TRUE(b->closed.has_value());
  EXPECT_FALSE(accepted_[0]->closed.has_value());

  EXPECT_OK(accepted_[0]->Say("?"));
  loop_.RunFor(1s);
  EXPECT_THAT(accepted_[0]->closed.value_or(base::OkStatus()),
              StatusIs(Code::kUnavailable, HasSubstr("reset")));
}

TEST_F(SimNetworkTest, SilentDeathIsFoundByTimeout) {
  Listen();
  const auto b = Join();
  net_.Die("b", SimNetwork::Death::kSilent);
  loop_.RunFor(19s);
  EXPECT_FALSE(accepted_[0]->closed.has_value());
  EXPECT_OK(b->Say("from the dead"));
  loop_.RunFor(2s);

  ASSERT_TRUE(accepted_[0]->closed.has_value());
  EXPECT_THAT(*accepted_[0]->closed, StatusIs(Code::kUnavailable, HasSubstr("timed out")));
  EXPECT_TRUE(accepted_[0]->heard.empty());
  EXPECT_FALSE(b->closed.has_value()) << "the dead are not called";
}

TEST_F(SimNetworkTest, KilledProcessIsSeenAtOnce) {
  Listen();
  const auto b = Join();
  net_.Die("b", SimNetwork::Death::kReset);
  loop_.RunFor(1ms);

  ASSERT_TRUE(accepted_[0]->closed.has_value());
  EXPECT_THAT(*accepted_[0]->closed, StatusIs(Code::kUnavailable, HasSubstr("reset")));
  EXPECT_FALSE(b->closed.has_value());
}

TEST_F(SimNetworkTest, RebootedMachineResetsWhatItDoesNotKnow) {
  Listen();
  const auto b = Join();
  net_.Die("b", SimNetwork::Death::kSilent);
  EXPECT_OK(accepted_[0]->Say("?"));
  loop_.RunFor(1s);
  net_.Boot("b");
  loop_.RunFor(1s);
  EXPECT_TRUE(accepted_[0]->closed.has_value());

  const auto again = Join();
  EXPECT_OK(again->Say("0"));
  loop_.RunFor(1s);
  EXPECT_EQ(accepted_[1]->heard, Numbers(1));
}

TEST_F(SimNetworkTest, CloseDeliversWhatTheKernelHasAndThenEnds) {
  Listen();
  const auto b = Join();
  EXPECT_OK(b->Say("0"));
  b->connection->Close();
  EXPECT_FALSE(b->closed.has_value()) << "called back from within";
  EXPECT_TRUE(b->connection->closed());
  loop_.RunFor(1s);

  EXPECT_EQ(accepted_[0]->heard, Numbers(1));
  EXPECT_THAT(accepted_[0]->closed.value_or(base::InternalError("not")), IsOk());
  EXPECT_THAT(b->closed.value_or(base::OkStatus()), StatusIs(Code::kCancelled));
  EXPECT_EQ(net_.connection_count(), 0u);
}

TEST_F(SimNetworkTest, DestroyedConnectionEndsAtItsPeer) {
  Listen();
  auto b = Join();
  EXPECT_OK(accepted_[0]->Say("nobody reads this"));
  b.reset();
  loop_.RunFor(1s);

  EXPECT_THAT(accepted_[0]->closed.value_or(base::InternalError("not")), IsOk());
  EXPECT_EQ(net_.connection_count(), 0u);
}

TEST_F(SimNetworkTest, ReceiverThatDoesNotStartHoldsTheSenderBack) {
  start_accepted_ = false;
  Listen();
  const auto b = Join();
  const std::string big(100'000, 'x');
  Status status;
  size_t sent = 0;
  for (; status.ok() && sent < 100; ++sent) {
    status = b->Say(big);
    loop_.RunFor(1ms);
  }

  EXPECT_THAT(status, StatusIs(Code::kResourceExhausted, HasSubstr("does not read")));
  EXPECT_EQ(sent, 45u) << "256 KiB with the kernels, 4 MiB waiting";
  EXPECT_TRUE(b->connection->closed());
  loop_.RunFor(1s);
  EXPECT_THAT(b->closed.value_or(base::OkStatus()), StatusIs(Code::kResourceExhausted));
  accepted_[0]->Start();
  loop_.RunFor(1s);
  EXPECT_EQ(accepted_[0]->heard, Strings(3, big));
  EXPECT_THAT(accepted_[0]->closed.value_or(base::OkStatus()), StatusIs(Code::kDataLoss));
}

TEST_F(SimNetworkTest, QueueDrainsWhenTheReceiverStarts) {
  start_accepted_ = false;
  Listen();
  const auto b = Join();
  const std::string big(100'000, 'x');
  for (int i = 0; i < 20; ++i) EXPECT_OK(b->Say(big));
  loop_.RunFor(60s);
  EXPECT_GT(b->connection->queued_bytes(), 1'600'000u);
  EXPECT_FALSE(b->closed.has_value()) << "the kernel acknowledges what nobody reads";

  accepted_[0]->Start();
  loop_.RunFor(1s);
  EXPECT_EQ(b->connection->queued_bytes(), 0u);
  EXPECT_EQ(accepted_[0]->heard.size(), 20u);
}

TEST_F(SimNetworkTest, MessageOverTheLimitEndsTheConnectionBehindWhatWasSent) {
  Listen();
  const auto b = Join();
  EXPECT_OK(b->Say("0"));
  EXPECT_THAT(b->Say(std::string((1 << 20) + 1, 'x')), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(b->Say("1"), StatusIs(Code::kFailedPrecondition));
  loop_.RunFor(1s);

  EXPECT_EQ(accepted_[0]->heard, Numbers(1));
  ASSERT_TRUE(b->closed && accepted_[0]->closed);
  EXPECT_THAT(*b->closed, StatusIs(Code::kInvalidArgument));
}

TEST_F(SimNetworkTest, SlowPathTakesItsTime) {
  Listen();
  const auto b = Join();
  SimNetwork::Path slow;
  slow.bytes_per_second = 10'000;
  net_.SetPath("b", "a", slow);
  for (int i = 0; i < 10; ++i) EXPECT_OK(b->Say(std::string(1000, 'x')));
  loop_.RunFor(500ms);
  EXPECT_EQ(accepted_[0]->heard.size(), 4u);
  loop_.RunFor(600ms);
  EXPECT_EQ(accepted_[0]->heard.size(), 10u);
}

TEST_F(SimNetworkTest, LastWordsOfAnOldConnectionMayComeAfterTheFirstOfItsSuccessor) {
  Listen();
  const auto old_one = Join();
  SimNetwork::Path path;
  path.latency_min = path.latency_max = 500ms;
  net_.SetPath("b", "a", path);
  EXPECT_OK(old_one->Say("old"));
  net_.SetPath("b", "a", {});
  const auto new_one = Join();
  EXPECT_OK(new_one->Say("new"));
  loop_.RunFor(100ms);

  EXPECT_EQ(accepted_[1]->heard, Strings{"new"});
  EXPECT_TRUE(accepted_[0]->heard.empty());
  loop_.RunFor(1s);
  EXPECT_EQ(accepted_[0]->heard, Strings{"old"});
}

// ---------------------------------------- connecting

TEST_F(SimNetworkTest, ConnectWaitsForAListenerThatComesLater) {
  std::unique_ptr<Connection> made;
  const auto connecting = b_->Connect({{"a", 40000}}, 30s, [&](auto result) {
    ASSERT_OK(result);
    made = std::move(result).value();
  });
  loop_.RunFor(5s);
  EXPECT_EQ(made, nullptr);
  Listen();
  EXPECT_TRUE(loop_.RunUntil([&] { return made != nullptr; }, 1s));
}

TEST_F(SimNetworkTest, ConnectErrorsSayWhatEachEndpointSaid) {
  Listen();
  const Endpoint there = listener_->endpoint();
  EXPECT_THAT(Connect(*b_, {{"a", 1}, {"a", 2}}, 3s),
              StatusIs(Code::kUnavailable, HasSubstr("a:1: connection refused; a:2: connection")));
  EXPECT_THAT(Connect(*b_, {{"nowhere", 1}}, 3s),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("no such host")));
  EXPECT_THAT(Connect(*b_, {}, 3s), StatusIs(Code::kInvalidArgument));

  net_.RefuseConnects("a", true);
  EXPECT_THAT(Connect(*b_, {there}, 3s), StatusIs(Code::kUnavailable));
  net_.RefuseConnects("a", false);
  net_.Cut("a", "b");
  EXPECT_THAT(Connect(*b_, {there}, 10s),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("no answer")));
  net_.Heal("a", "b");
  EXPECT_OK(Connect(*b_, {{"nowhere", 1}, there}));
}

TEST_F(SimNetworkTest, StrangersAreTurnedAwayAtOnce) {
  Listen();
  const auto stranger = net_.Join("b", {"another job", "node-1"});
  const base::SteadyTime began = loop_.Now();

  EXPECT_THAT(Connect(*stranger, {listener_->endpoint()}), StatusIs(Code::kPermissionDenied));
  EXPECT_LT(loop_.Now() - began, 1s);
  EXPECT_EQ(listener_->refused_total(), 1u);
  EXPECT_TRUE(accepted_.empty());
}

TEST_F(SimNetworkTest, ListenerTakesNoMoreThanItsLimit) {
  Listen({.connections_max = 2});
  const auto one = Join();
  const auto two = Join();
  EXPECT_THAT(Connect(*b_, {listener_->endpoint()}, 1s), StatusIs(Code::kUnavailable));
  EXPECT_GT(listener_->refused_total(), 0u);

  accepted_.erase(accepted_.begin());
  EXPECT_OK(Connect(*b_, {listener_->endpoint()}));
}

TEST_F(SimNetworkTest, AttemptThatIsDestroyedNeverCallsBack) {
  Listen();
  bool called = false;
  auto connecting = b_->Connect({listener_->endpoint()}, 30s, [&](auto) { called = true; });
  loop_.RunFor(100us);
  connecting.reset();
  loop_.RunFor(1min);

  EXPECT_FALSE(called);
  EXPECT_TRUE(accepted_.empty());
}

TEST_F(SimNetworkTest, PortsAndNamesOfListenersAreChecked) {
  Listen({.ports = {500, 500}});
  EXPECT_EQ(listener_->endpoint(), (Endpoint{"a", 500}));
  const auto take = [](std::unique_ptr<Connection>) {};
  EXPECT_THAT(a_->Listen({.ports = {500, 500}}, take), StatusIs(Code::kResourceExhausted));
  EXPECT_THAT(a_->Listen({.host = "b"}, take), StatusIs(Code::kInvalidArgument));
  listener_.reset();
  EXPECT_OK(a_->Listen({.ports = {500, 500}}, take));

  Listen({.host = "localhost"});
  const uint16_t port = listener_->endpoint().port;
  EXPECT_THAT(Connect(*b_, {{"a", port}}, 1s), StatusIs(Code::kUnavailable));
  EXPECT_OK(Connect(*a_, {{"localhost", port}}));
}

// ---------------------------------------- faults within a connection, replays

TEST_F(SimNetworkTest, HostilePathsDropDuplicateAndReorderMessages) {
  Listen();
  const auto b = Join();
  SimNetwork::Path hostile;
  hostile.dropped_percent = hostile.duplicated_percent = hostile.reordered_percent = 20;
  net_.SetPath("b", "a", hostile);
  for (const std::string& number : Numbers(1000)) {
    EXPECT_OK(b->Say(number));
    loop_.RunFor(1ms);
  }
  loop_.RunFor(1s);

  const Strings& heard = accepted_[0]->heard;
  Strings sorted = heard;
  std::sort(sorted.begin(), sorted.end());
  const auto distinct = std::unique(sorted.begin(), sorted.end()) - sorted.begin();
  EXPECT_NEAR(static_cast<double>(distinct), 800, 60);
  EXPECT_GT(heard.size(), static_cast<size_t>(distinct) + 100);
  EXPECT_NE(std::find(heard.begin(), heard.end(), "999"), heard.end());
  int backwards = 0;
  for (size_t i = 1; i < heard.size(); ++i)
    backwards += std::stoi(heard[i]) < std::stoi(heard[i - 1]);
  EXPECT_GT(backwards, 50);
  EXPECT_FALSE(b->closed.has_value());
}

TEST_F(SimNetworkTest, HandlerMayDestroyItsConnection) {
  Listen();
  auto made = Connect(*b_, {listener_->endpoint()});
  ASSERT_OK(made);
  std::unique_ptr<Connection> connection = std::move(made).value();
  int messages = 0;
  connection->Start({.on_message =
                         [&](std::string_view) {
                           ++messages;
                           connection.reset();
                         },
                     .on_closed = [](Status) { FAIL() << "after its destruction"; }});
  loop_.RunFor(1ms);
  EXPECT_OK(accepted_[0]->Say("0"));
  EXPECT_OK(accepted_[0]->Say("1"));
  loop_.RunFor(1s);

  EXPECT_EQ(messages, 1);
  EXPECT_TRUE(accepted_[0]->closed.has_value());
}

/// A lively minute: what it comes to, as one number.
uint64_t Minute(uint64_t seed) {
  event::SimLoop loop;
  SimNetwork net(loop, seed);
  std::vector<std::unique_ptr<Talker>> talkers;
  const auto a = net.Join("a", {"job", "a"});
  const auto b = net.Join("b", {"job", "b"});
  auto listener = a->Listen({}, [&](std::unique_ptr<Connection> made) {
    talkers.push_back(std::make_unique<Talker>(std::move(made)));
    talkers.back()->Start();
  });
  std::unique_ptr<Connecting> connecting;
  for (int second = 0; second < 60; ++second) {
    connecting = b->Connect({listener.value()->endpoint()}, 5s, [&](auto made) {
      if (!made.ok()) return;
      talkers.push_back(std::make_unique<Talker>(std::move(made).value()));
      talkers.back()->Start();
    });
    for (const auto& talker : talkers) (void)talker->Say("second " + std::to_string(second));
    if (second % 7 == 3) net.Partition("a", "b");
    if (second % 7 == 5) net.Heal("a", "b");
    if (second % 20 == 11) net.Reset("a", "b");
    loop.RunFor(1s);
  }
  return net.fingerprint();
}

TEST(SimNetworkReplayTest, OneSeedIsOneRun) {
  EXPECT_EQ(Minute(1), Minute(1));
  EXPECT_NE(Minute(1), Minute(2));
}

}  // namespace
}  // namespace lockstep::net
