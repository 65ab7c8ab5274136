// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/socket_looks.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(SocketLooksTest, ARowOfAConnectionThatIsSentAgain) {
  const auto row = ParseTcpRow(
      "   3: 0100007F:0FA0 0200000A:C350 01 00003890:00000010 01:00000014 00000005  1000        0 "
      "48213 3 00000000f0a1b2c3 320 4 30 10 -1");

  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->inode, 48213u);
  EXPECT_EQ(SocketText(row->socket),
            "127.0.0.1:4000 to 10.0.0.2:50000, established: 14480 bytes unacknowledged, 16 unread, "
            "sent again 5 times in vain, rto 3200 ms");
  EXPECT_EQ(ResentInVain(row->socket), 6u);
  EXPECT_EQ(ResentInVain(proto::TcpSocket()), 0u);
}

TEST(SocketLooksTest, ARowOfVersion6) {
  const auto row = ParseTcpRow(
      "   0: 00000000000000000000000001000000:0016 00000000000000000000000001000000:C350 08 "
      "00000000:00000000 00:00000000 00000000     0        0 7 1 0 20 4 0 10 -1");

  ASSERT_TRUE(row.has_value());
  EXPECT_THAT(SocketText(row->socket), HasSubstr("[::1]:22 to [::1]:50000, close wait"));
}

TEST(SocketLooksTest, WhatIsNoConnectionIsNone) {
  EXPECT_FALSE(ParseTcpRow("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when"));
  EXPECT_FALSE(
      ParseTcpRow("   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 "
                  "00000000     0        0 1596 1 000000002d7f8d62 100 0 0 10 0"))
      << "it listens";
  EXPECT_FALSE(ParseTcpRow(""));
  EXPECT_FALSE(ParseTcpRow(std::string(5000, 'F')));
}

TEST(SocketLooksTest, AnAddressThatIsNoneIsShownAsSuch) {
  const auto row =
      ParseTcpRow("   0: FF:07E8 00000000 01 00000001:00000000 00:00000000 00000000 0 0 9");
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->socket.local(), "?");
  EXPECT_EQ(row->socket.remote(), "?");
}

/// The two ends of a connection over the loopback.
class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() {
    sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    const base::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    near_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(near_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    far_.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    port_ = std::to_string(ntohs(address.sin_port));
  }
  base::UniqueFd near_;
  base::UniqueFd far_;
  std::string port_;
};

TEST_F(ConnectionTest, BytesThatNobodyReadsAreSeenThere) {
  const std::string bytes(10000, 'x');
  ASSERT_EQ(::write(near_.get(), bytes.data(), bytes.size()), 10000);

  const auto sockets = LookAtSockets(::getpid(), 64);

  ASSERT_THAT(sockets, SizeIs(2));
  const bool far_is_first = sockets[0].local() == "127.0.0.1:" + port_;
  const proto::TcpSocket& far = sockets[far_is_first ? 0 : 1];
  const proto::TcpSocket& near = sockets[far_is_first ? 1 : 0];
  EXPECT_EQ(far.local(), "127.0.0.1:" + port_);
  EXPECT_EQ(far.unread_bytes(), 10000u);
  EXPECT_EQ(far.state(), "established");
  EXPECT_EQ(near.remote(), far.local());
  EXPECT_GT(near.rto_ms(), 0u);
  EXPECT_THAT(LookAtSockets(::getpid(), 1), SizeIs(1));
}

TEST_F(ConnectionTest, OfAPeerThatTakesNoMoreTheBytesAreCounted) {
  std::string bytes(65536, 'x');
  uint64_t written = 0;
  while (true) {
    const ssize_t size = ::send(near_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size < 0) break;
    written += static_cast<uint64_t>(size);
  }

  const auto sockets = LookAtSockets(::getpid(), 64);

  ASSERT_THAT(sockets, SizeIs(2));
  EXPECT_EQ(sockets[0].remote(), "127.0.0.1:" + port_);
  EXPECT_GT(sockets[0].unacked_bytes(), 0u);
  EXPECT_LE(sockets[0].unacked_bytes(), written);
  // What has arrived may not be acknowledged yet.
  EXPECT_GE(sockets[0].unacked_bytes() + sockets[1].unread_bytes(), written);
}

TEST_F(ConnectionTest, OfSeveralProcessesEachHasItsOwnAndWhatIsSharedIsBoths) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const auto seen = LookAtSocketsOf({::getpid(), child, 0x7fffffff}, {});
  const auto& sockets = seen.of;
  EXPECT_FALSE(seen.is_cut);
  EXPECT_FALSE(sockets.at(::getpid()).empty());
  EXPECT_EQ(sockets.at(child).size(), sockets.at(::getpid()).size());
  EXPECT_TRUE(sockets.at(0x7fffffff).empty());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_F(ConnectionTest, ThatTablesAreLongerThanTheBoundIsTold) {
  const auto seen = LookAtSocketsOf({::getpid()}, {.table_bytes = 200});
  EXPECT_TRUE(seen.is_cut);
  EXPECT_THAT(seen.of.at(::getpid()), SizeIs(::testing::Le(1u))) << "the title and a row at most";
  EXPECT_TRUE(LookAtSocketsOf({::getpid()}, {.table_bytes = 0}).is_cut);
}

TEST_F(ConnectionTest, WhereAllIsWellFewerAreTold) {
  const auto seen = LookAtSocketsOf({::getpid()}, {.of_each = 64, .of_each_in_peace = 1});
  EXPECT_THAT(seen.of.at(::getpid()), SizeIs(1));
  EXPECT_FALSE(seen.is_cut);
}

TEST(SocketLooksTest, InTroubleIsWhatIsSentAgainAndNotAnswered) {
  proto::TcpSocket socket;
  socket.set_unacked_bytes(1);
  socket.set_retransmits(1);
  EXPECT_FALSE(IsInTrouble(socket));
  socket.set_retransmits(2);
  EXPECT_TRUE(IsInTrouble(socket));
  socket.set_unacked_bytes(0);
  EXPECT_FALSE(IsInTrouble(socket));
}

TEST(SocketLooksTest, AProcessThatIsNotHasNone) {
  EXPECT_THAT(LookAtSockets(4194305, 64), IsEmpty());
}

}  // namespace
}  // namespace lockstep::launcher
