// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/tcp_counters.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/unique_fd.h"

namespace lockstep::process {
namespace {

constexpr const char* kSnmp =
    "Ip: Forwarding DefaultTTL\nIp: 1 64\n"
    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens InSegs OutSegs RetransSegs InErrs\n"
    "Tcp: 1 200 120000 -1 16 900 5000000000 12 0\n"
    "Udp: InDatagrams NoPorts\nUdp: 3 4\n";

TEST(TcpCountersTest, NamesTellWhichValuesTheyAre) {
  EXPECT_EQ(ParseTcpCounters(kSnmp, ""), (TcpCounters{.sent = 5'000'000'000, .resent = 12}));
}

TEST(TcpCountersTest, WhatNobodyHasAnsweredYetIsNotSentAgain) {
  const std::string extended =
      "TcpExt: SyncookiesSent TCPTimeouts TCPSynRetrans TCPOrigDataSent\nTcpExt: 0 9 5 70\n"
      "IpExt: InNoRoutes\nIpExt: 0\n";
  EXPECT_EQ(ParseTcpCounters(kSnmp, extended)->resent, 7u);
  EXPECT_EQ(ParseTcpCounters(kSnmp, "TcpExt: TCPSynRetrans\nTcpExt: 500\n")->resent, 0u);
}

TEST(TcpCountersTest, WhatHoldsNoneGivesNone) {
  for (const char* const text :
       {"", "Tcp:\nTcp:\n", "Tcp: OutSegs RetransSegs\n", "Tcp: OutSegs RetransSegs\nTcp: 1\n",
        "Tcp: OutSegs RetransSegs\nTcp: 1 x\n", "Tcp: OutSegs RetransSegs\nUdp: 1 2\n",
        "Tcp: OutSegs RetransSegs\nTcp: -1 2\n"}) {
    EXPECT_EQ(ParseTcpCounters(text, ""), std::nullopt) << text;
  }
}

TEST(TcpCountersTest, WhatIsSentIsCounted) {
  const uint64_t before = ReadTcpCounters().sent;
  const base::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const base::UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_GE(ReadTcpCounters().sent, before + 3) << "SYN, its answer, and that one's";
}

}  // namespace
}  // namespace lockstep::process
