// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/sip_hash.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>

namespace lockstep::base {
namespace {

// Of the reference: the key is 00 01 ... 0f, the text 00 01 ...
TEST(SipHashTest, ItIsThatOfTheReference) {
  SipKey key;
  std::iota(key.begin(), key.end(), static_cast<unsigned char>(0));
  std::string text(15, '\0');
  std::iota(text.begin(), text.end(), '\0');

  EXPECT_EQ(SipHash(key, ""), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(SipHash(key, text.substr(0, 1)), 0x74f839c593dc67fdu);
  EXPECT_EQ(SipHash(key, text.substr(0, 8)), 0x93f5f5799a932462u);
  EXPECT_EQ(SipHash(key, text), 0xa129ca6149be45e5u);
}

TEST(SipHashTest, AnotherKeyIsAnotherHash) {
  EXPECT_NE(SipHash({1}, "slurm 121.0"), SipHash({2}, "slurm 121.0"));
}

}  // namespace
}  // namespace lockstep::base
