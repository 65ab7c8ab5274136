// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(EndpointTest, NamesAndAddressesWithPorts) {
  EXPECT_THAT(ParseEndpoint("node7:29400"), IsOkAndHolds(Endpoint{"node7", 29400}));
  EXPECT_THAT(ParseEndpoint("a-1.b_2.example.:1"), IsOkAndHolds(Endpoint{"a-1.b_2.example.", 1}));
  EXPECT_THAT(ParseEndpoint("10.0.0.7:65535"), IsOkAndHolds(Endpoint{"10.0.0.7", 65535}));
  EXPECT_THAT(ParseEndpoint("[fe80::1%eth0]:4411"), IsOkAndHolds(Endpoint{"fe80::1%eth0", 4411}));
  EXPECT_THAT(ParseEndpoint("[::1]:80"), IsOkAndHolds(Endpoint{"::1", 80}));
}

TEST(EndpointTest, DefaultPortStandsInForAMissingOne) {
  EXPECT_THAT(ParseEndpoint("node7", 29400), IsOkAndHolds(Endpoint{"node7", 29400}));
  EXPECT_THAT(ParseEndpoint("fd00::7", 29400), IsOkAndHolds(Endpoint{"fd00::7", 29400}));
  EXPECT_THAT(ParseEndpoint("[fd00::7]", 29400), IsOkAndHolds(Endpoint{"fd00::7", 29400}));
  EXPECT_THAT(ParseEndpoint("node7:1", 29400), IsOkAndHolds(Endpoint{"node7", 1}));
  EXPECT_THAT(ParseEndpoint("node7", 0), IsOkAndHolds(Endpoint{"node7", 0}));
  for (const char* text : {"node7", "fd00::7", "[fd00::7]"}) {
    EXPECT_THAT(
        ParseEndpoint(text),
        StatusIs(Code::kInvalidArgument, AllOf(HasSubstr("port is missing"), HasSubstr(text))));
  }
}

TEST(EndpointTest, WhatIsWrongIsSaid) {
  const struct {
    const char* text;
    const char* why;
  } kCases[] = {
      {"", "host is missing"},         {":80", "host is missing"},
      {"node7:", "1 to 65535"},        {"node7:0", "1 to 65535"},
      {"node7:65536", "1 to 65535"},   {"node7:+80", "1 to 65535"},
      {"node7:80 ", "1 to 65535"},     {"node7:0x50", "1 to 65535"},
      {"no de:80", "letters, digits"}, {"http://node7", "1 to 65535"},
      {"10.0.0.256:80", "no IPv4"},    {"127.1:80", "no IPv4"},
      {"fd00::7:80:g", "no IPv6"},     {"[node7]:80", "no IPv6"},
      {"[fe80::1%]:80", "no IPv6"},    {"[fe80::1%a/b]:80", "no IPv6"},
      {"[::1", "']' is missing"},      {"[::1]80", "after ']'"},
  };
  for (const auto& one : kCases) {
    EXPECT_THAT(ParseEndpoint(one.text), StatusIs(Code::kInvalidArgument, HasSubstr(one.why)))
        << one.text;
  }
}

TEST(EndpointTest, LengthOfAHostNameHasALimit) {
  EXPECT_TRUE(ParseEndpoint(std::string(253, 'a') + ":80").ok());
  EXPECT_THAT(ParseEndpoint(std::string(254, 'a') + ":80"),
              StatusIs(Code::kInvalidArgument, HasSubstr("253")));
}

TEST(EndpointTest, ForeignTextIsShownShortAndPrintable) {
  const base::Status status = ParseEndpoint("\x1b[2J" + std::string(1000, 'x')).status();

  EXPECT_EQ(status.message().find('\x1b'), std::string::npos);
  EXPECT_LT(status.message().size(), 250u);
}

TEST(EndpointTest, TextIsWhatParsesToTheSame) {
  EXPECT_EQ((Endpoint{"node7", 29400}).ToString(), "node7:29400");
  EXPECT_EQ((Endpoint{"fe80::1%eth0", 4411}).ToString(), "[fe80::1%eth0]:4411");
}

TEST(EndpointTest, LoopbackIsThisMachineAlone) {
  for (const char* host : {"localhost", "LocalHost", "127.0.0.1", "127.255.0.3", "::1",
                           "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host :
       {"", "localhost2", "128.0.0.1", "::", "::2", "::ffff:10.0.0.1", "node7", "0.0.0.0"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

}  // namespace
}  // namespace lockstep::net
