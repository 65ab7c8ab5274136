// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/sealed_stream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "collectives/host/tcp/flow_io.h"
#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

constexpr std::string_view kForth = "0123456789abcdef0123456789abcdef";
constexpr std::string_view kBack = "fedcba9876543210fedcba9876543210";

std::pair<base::UniqueFd, base::UniqueFd> Pair() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {base::UniqueFd(fds[0]), base::UniqueFd(fds[1])};
}

std::string SomeBytes(size_t count) {
  base::Random random(count);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.Next());
  return bytes;
}

/// Two ends and the wire between them, which the test can read and write.
class SealedStreamTest : public ::testing::Test {
 protected:
  SealedStreamTest() {
    std::tie(sender_fd_, wire_out_) = Pair();
    std::tie(wire_in_, receiver_fd_) = Pair();
  }

  /// What `text` is on the wire. It must fit into a socket.
  std::string Seal(std::string_view text) {
    const iovec piece{const_cast<char*>(text.data()), text.size()};
    EXPECT_EQ(sender_.Send(sender_fd_.get(), {&piece, 1}), static_cast<ssize_t>(text.size()));
    return FromWire();
  }
  std::string FromWire() {
    std::string bytes(size_t{1} << 20, '\0');
    const ssize_t got = ReceiveSome(wire_out_.get(), BytesOf(bytes), bytes.size());
    bytes.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
    return bytes;
  }
  void ToWire(std::string_view bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    ASSERT_EQ(SendSome(wire_in_.get(), {&piece, 1}), static_cast<ssize_t>(bytes.size()));
  }
  /// As much as there is, in pieces of `at_once`.
  std::string Receive(size_t at_once = 1000) {
    std::string text;
    while (true) {
      std::string piece(at_once, '\0');
      const ssize_t got = receiver_.Receive(receiver_fd_.get(), BytesOf(piece), piece.size());
      if (got <= 0) return text;
      text += piece.substr(0, static_cast<size_t>(got));
    }
  }
  bool IsClosed() {
    std::byte byte;
    return receiver_.Receive(receiver_fd_.get(), &byte, 1) == kFlowClosed;
  }
  static std::byte* BytesOf(std::string& text) { return reinterpret_cast<std::byte*>(text.data()); }

  base::UniqueFd sender_fd_, wire_out_, wire_in_, receiver_fd_;
  SealedStream sender_{{.out = net::Secret(kForth), .in = net::Secret(kBack)}};
  SealedStream receiver_{{.out = net::Secret(kBack), .in = net::Secret(kForth)}};
};

TEST_F(SealedStreamTest, BytesComeAsTheyWereSentWhateverThePieces) {
  for (const size_t at_once : {1, 7, 1000, 100'000}) {
    const std::string text = SomeBytes(3000);
    for (const auto& [from, count] : {std::pair{0, 1}, {1, 2000}, {2001, 999}})
      ToWire(Seal(text.substr(static_cast<size_t>(from), static_cast<size_t>(count))));
    EXPECT_TRUE(Receive(at_once) == text) << at_once;
  }
}

TEST_F(SealedStreamTest, TheWireShowsLengthsAndNothingElse) {
  const std::string text(500, 'a');
  const std::string first = Seal(text), second = Seal(text);

  EXPECT_EQ(first.size(), text.size() + kSealedOverheadBytes);
  EXPECT_EQ(first.substr(0, 4), std::string("\xf4\x01\x00\x00", 4));
  EXPECT_EQ(first.find("aaa"), std::string::npos);
  EXPECT_NE(first, second);
}

// A socket that is full takes part of a record; bytes count when all of it is out.
TEST_F(SealedStreamTest, MoreThanTheKernelTakesGoesOnWhereItStopped) {
  const std::string text = SomeBytes(5'000'000);
  size_t sent = 0;
  std::string came;
  bool was_full = false;
  while (came.size() < text.size()) {
    // As callers do: what is left, in several pieces.
    const size_t left = text.size() - sent;
    char* const from = const_cast<char*>(text.data()) + sent;
    const iovec pieces[] = {{from, left / 3}, {from + left / 3, left - left / 3}};
    const ssize_t went = left == 0 ? 0 : sender_.Send(sender_fd_.get(), pieces);
    ASSERT_GE(went, 0);
    was_full |= sent + static_cast<size_t>(went) < text.size();
    sent += static_cast<size_t>(went);
    const std::string wire = FromWire();
    for (size_t at = 0; at < wire.size(); at += 10'000) {
      ToWire(wire.substr(at, 10'000));
      came += Receive(70'000);
    }
  }

  EXPECT_TRUE(was_full);
  EXPECT_TRUE(came == text);
}

TEST_F(SealedStreamTest, OfARecordThatWasChangedNoByteIsDelivered) {
  const std::string before = Seal("before");
  std::string changed = Seal("changed");
  changed[10] ^= 1;
  const std::string behind = Seal("behind");

  ToWire(before + changed + behind);

  EXPECT_EQ(Receive(), "before");
  EXPECT_TRUE(IsClosed());
  EXPECT_THAT(receiver_.fault(), StatusIs(Code::kDataLoss, HasSubstr("record 2 of the encrypted")));
  EXPECT_EQ(Receive(), "");
}

TEST_F(SealedStreamTest, RepeatedLeftOutAndSwappedRecordsAreFound) {
  const std::string first = Seal("first"), second = Seal("second"), third = Seal("third");
  const std::string wires[] = {first + first, first + third, first + third + second};
  for (const std::string& wire : wires) {
    SealedStream receiver({.out = net::Secret(kBack), .in = net::Secret(kForth)});
    ToWire(wire);
    std::string text(100, '\0');
    EXPECT_EQ(receiver.Receive(receiver_fd_.get(), BytesOf(text), text.size()), 5);
    EXPECT_EQ(receiver.Receive(receiver_fd_.get(), BytesOf(text), text.size()), kFlowClosed);
    EXPECT_THAT(receiver.fault(), StatusIs(Code::kDataLoss, HasSubstr("record 2")));
  }
}

TEST_F(SealedStreamTest, OfARecordThatIsCutNothingIsDelivered) {
  ToWire(Seal("whole"));
  ToWire(Seal("cut").substr(0, 15));
  wire_in_.reset();

  EXPECT_EQ(Receive(), "whole");
  EXPECT_TRUE(IsClosed());
}

TEST_F(SealedStreamTest, ALengthThatNoRecordHasIsFoundBeforeItsBytesCome) {
  const std::string lengths[] = {std::string(4, '\0'), std::string("\x01\x00\x01\x00", 4)};
  for (const std::string& length : lengths) {
    SealedStream receiver({.out = net::Secret(kBack), .in = net::Secret(kForth)});
    ToWire(length);
    std::byte byte;
    EXPECT_EQ(receiver.Receive(receiver_fd_.get(), &byte, 1), kFlowClosed);
    EXPECT_THAT(receiver.fault(), StatusIs(Code::kDataLoss, HasSubstr("has 1 to 65536")));
  }
}

TEST_F(SealedStreamTest, WhatComesBackAsItWasSentDoesNotOpen) {
  ToWire(Seal("mirror"));
  std::byte bytes[10];

  EXPECT_EQ(sender_.Receive(receiver_fd_.get(), bytes, sizeof bytes), kFlowClosed);
  EXPECT_THAT(sender_.fault(), StatusIs(Code::kDataLoss));
}

}  // namespace
}  // namespace lockstep::collectives
