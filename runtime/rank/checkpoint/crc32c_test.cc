// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/checkpoint/crc32c.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "runtime/base/random.h"

namespace lockstep::rank {
namespace {

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// Source: RFC 3720, B.4, and the customary check value.
TEST(Crc32cTest, PublishedValuesComeOut) {
  const std::vector<std::byte> zeros(32, std::byte{0});
  const std::vector<std::byte> ones(32, std::byte{0xff});

  EXPECT_EQ(Crc32c(Bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(Crc32c(zeros), 0x8a9136aau);
  EXPECT_EQ(Crc32c(ones), 0x62a8ab43u);
  EXPECT_EQ(Crc32c({}), 0u);
}

TEST(Crc32cTest, PiecesGiveTheCrcOfTheWhole) {
  EXPECT_EQ(Crc32c(Bytes("456789"), Crc32c(Bytes("123"))), 0xe3069283u);
}

TEST(Crc32cTest, PortablePathAgreesAtEveryLengthAndAlignment) {
  base::Random random(7);
  std::vector<std::byte> bytes(80);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.Next());

  for (size_t begin = 0; begin < 8; ++begin) {
    for (size_t size = 0; size <= 64; ++size) {
      const auto piece = std::span(bytes).subspan(begin, size);
      ASSERT_EQ(Crc32c(piece, 5), PortableCrc32c(piece, 5)) << begin << "+" << size;
    }
  }
}

}  // namespace
}  // namespace lockstep::rank
