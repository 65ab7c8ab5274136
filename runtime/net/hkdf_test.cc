// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/hkdf.h"

#include <gtest/gtest.h>

#include <string>

namespace lockstep::net {
namespace {

TEST(HkdfTest, GivesTheFirstExampleOfRfc5869) {
  const std::string secret(22, '\x0b');
  const std::string salt("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c", 13);
  const std::string info("\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9", 10);

  const Secret key = HkdfSha256(secret, salt, info, 42);

  EXPECT_EQ(key.view(), std::string_view("\x3c\xb2\x5f\x25\xfa\xac\xd5\x7a\x90\x43\x4f\x64\xd0\x36"
                                         "\x2f\x2a\x2d\x2d\x0a\x90\xcf\x1a\x5a\x4c\x5d\xb0\x2d\x56"
                                         "\xec\xc4\xc5\xbf\x34\x00\x72\x08\xd5\xb8\x87\x18\x58\x65",
                                         42));
}

TEST(HkdfTest, AnotherSecretSaltOrLabelGivesAnotherKey) {
  const std::string key(HkdfSha256("secret", "salt", "label", 32).view());

  EXPECT_NE(key, HkdfSha256("secreT", "salt", "label", 32).view());
  EXPECT_NE(key, HkdfSha256("secret", "salT", "label", 32).view());
  EXPECT_NE(key, HkdfSha256("secret", "salt", "labeL", 32).view());
}

}  // namespace
}  // namespace lockstep::net
