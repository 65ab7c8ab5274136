// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/own_addresses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/net/endpoint.h"
#include "runtime/net/host_name.h"

namespace lockstep::net {
namespace {

using base::testing::IsOkAndHolds;

TEST(OwnAddressesTest, NoneIsLoopbackAndEachIsThisMachine) {
  ASSERT_OK_AND_ASSIGN(const std::vector<std::string> addresses, OwnAddresses());

  for (const std::string& address : addresses) {
    EXPECT_FALSE(IsLoopback(address)) << address;
    EXPECT_THAT(IsThisMachine(address), IsOkAndHolds(true)) << address;
  }
}

TEST(OwnAddressesTest, LoopbackAndTheOwnNameAreThisMachine) {
  EXPECT_THAT(IsThisMachine("127.0.0.1"), IsOkAndHolds(true));
  EXPECT_THAT(IsThisMachine("::1"), IsOkAndHolds(true));
  EXPECT_THAT(IsThisMachine("localhost"), IsOkAndHolds(true));
  EXPECT_THAT(IsThisMachine(HostName()), IsOkAndHolds(true));
}

TEST(OwnAddressesTest, AnAddressOfNobodyIsAnotherMachine) {
  // TEST-NET-1 (RFC 5737): nobody has it.
  EXPECT_THAT(IsThisMachine("192.0.2.1"), IsOkAndHolds(false));
}

}  // namespace
}  // namespace lockstep::net
