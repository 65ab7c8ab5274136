// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/find_this_machine.h"

#include <gtest/gtest.h>

#include "runtime/net/host_name.h"

namespace lockstep::net {
namespace {

using namespace std::chrono_literals;

TEST(FindThisMachineTest, NamesAndAddressesOfThisMachineAreFoundWithoutTheNameService) {
  EXPECT_EQ(FindThisMachine({"no-such-host.invalid", HostName()}, 0s), 1U);
  EXPECT_EQ(FindThisMachine({"no-such-host.invalid", HostName() + ".example"}, 0s), 1U);
  EXPECT_EQ(FindThisMachine({"192.0.2.1", "127.0.0.1"}, 0s), 1U);
  EXPECT_EQ(FindThisMachine({"192.0.2.1", "::1", "localhost"}, 0s), 1U);
}

TEST(FindThisMachineTest, OthersAreNotTakenForIt) {
  EXPECT_EQ(FindThisMachine({"192.0.2.1", "2001:db8::1"}, 10s), std::nullopt);
  EXPECT_EQ(FindThisMachine({HostName() + "x"}, 0s), std::nullopt);
  EXPECT_EQ(FindThisMachine({}, 10s), std::nullopt);
}

TEST(FindThisMachineTest, TheNameServiceKnowsOtherNamesOfIt) {
  // Of /etc/hosts on every system that has one; not known by its text.
  const auto found = FindThisMachine({"192.0.2.1", "ip6-localhost"}, 10s);
  if (!found) GTEST_SKIP() << "this machine's /etc/hosts does not name ip6-localhost";

  EXPECT_EQ(found, 1U);
}

}  // namespace
}  // namespace lockstep::net
