// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/node_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::testing::IsOk;
using base::testing::StatusIs;

NodeNetwork Node(std::string secret = std::string(32, 's')) {
  return {.secret = net::Secret(secret),
          .listen_address = "10.0.0.1",
          .address = "10.0.0.1",
          .send_cards = {}};
}

std::string KeyOf(const NodeNetwork& node, const std::string& job, uint32_t round) {
  const auto network = RankNetworkOf(node, job, base::Round(round), "boot", "");
  EXPECT_THAT(network, IsOk());
  return network.ok() ? std::string(network->key.view()) : "";
}

TEST(NodeNetworkTest, AKeyIsOfOneJobAndOneRound) {
  const std::string key = KeyOf(Node(), "job", 1);

  EXPECT_EQ(key.size(), 32u);
  EXPECT_EQ(KeyOf(Node(), "job", 1), key) << "all nodes come to the same";
  EXPECT_NE(KeyOf(Node(), "job", 2), key);
  EXPECT_NE(KeyOf(Node(), "job1", 1), key);
  EXPECT_NE(KeyOf(Node(std::string(32, 't')), "job", 1), key);
  EXPECT_NE(key, std::string(32, 's'));
}

// A job's id ends where the round begins.
TEST(NodeNetworkTest, JobAndRoundAreToldApart) {
  EXPECT_NE(KeyOf(Node(), "job1", 1), KeyOf(Node(), "job", 11));
}

TEST(NodeNetworkTest, RanksAreToldNumbersAndPorts) {
  NodeNetwork node = Node();
  node.address = "node-a.example.org";

  const auto network = RankNetworkOf(node, "job", base::Round(1), "boot", "29400-29409");

  ASSERT_THAT(network, IsOk());
  EXPECT_EQ(network->listen_address, "10.0.0.1");
  EXPECT_EQ(network->address, "") << "they look no names up";
  EXPECT_EQ(network->ports, (net::PortRange{29400, 29409}));
  EXPECT_EQ(network->host_id, "boot");
  node.address = "fd00::7";
  EXPECT_EQ(RankNetworkOf(node, "job", base::Round(1), "boot", "")->address, "fd00::7");
  EXPECT_THAT(RankNetworkOf(node, "job", base::Round(1), "boot", "x"),
              StatusIs(base::Code::kInvalidArgument));
}

}  // namespace
}  // namespace lockstep::launcher
