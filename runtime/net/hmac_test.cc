// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/hmac.h"

#include <gtest/gtest.h>

#include <string_view>

namespace lockstep::net {
namespace {

std::string HexOf(const Hmac& hmac) {
  std::string text;
  for (const uint8_t byte : hmac) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// By: printf '\x02\0\0\0Hi\x05\0\0\0There' | openssl dgst -sha256 -hmac key
TEST(HmacTest, IsThatOfTheStandardOverPartsWithTheirLengths) {
  const std::string_view parts[] = {"Hi", "There"};
  EXPECT_EQ(HexOf(HmacSha256("key", parts)),
            "7a7027139b5928de31e67f53b4e75c6829bb449bd6a1d9c1687edb44c93102a7");
}

TEST(HmacTest, PartsCannotBeCutElsewhere) {
  const std::string_view one[] = {"ab", "c"};
  const std::string_view other[] = {"a", "bc"};
  EXPECT_NE(HmacSha256("key", one), HmacSha256("key", other));
  EXPECT_NE(HmacSha256("key", one), HmacSha256("kez", one));
}

TEST(HmacTest, EqualMeansEveryByte) {
  const uint8_t a[] = {1, 2, 3}, same[] = {1, 2, 3}, last[] = {1, 2, 4}, shorter[] = {1, 2};
  EXPECT_TRUE(EqualInConstantTime(a, same));
  EXPECT_FALSE(EqualInConstantTime(a, last));
  EXPECT_FALSE(EqualInConstantTime(a, shorter));
}

TEST(HmacTest, RandomBytesDiffer) {
  Hmac a{}, b{};
  FillRandom(a);
  FillRandom(b);
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace lockstep::net
