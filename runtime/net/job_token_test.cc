// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/job_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

class JobTokenTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes, mode_t mode = 0600) {
    const std::string path = std::string(::getenv("TEST_TMPDIR")) + "/" + name;
    std::ofstream(path) << bytes;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
};

TEST_F(JobTokenTest, TokenIsTheContentWithoutLineEnds) {
  for (const char* end : {"", "\n", "\r\n"}) {
    ASSERT_OK_AND_ASSIGN(const Secret token,
                         ReadTokenFile(Write("good", std::string("0123456789abcdef") + end)));
    EXPECT_EQ(token.view(), "0123456789abcdef");
  }
  EXPECT_OK(ReadTokenFile(Write("stricter", "0123456789abcdef", 0400)).status());
}

TEST_F(JobTokenTest, LengthHasBounds) {
  EXPECT_OK(ReadTokenFile(Write("longest", std::string(4096, 'x'))).status());
  EXPECT_THAT(ReadTokenFile(Write("too_long", std::string(4097, 'x'))).status(),
              StatusIs(Code::kInvalidArgument, AllOf(HasSubstr("4096"), HasSubstr("too_long"))));
  for (const char* text : {"", "0123456789abcde", "0123456789abcde\n"}) {
    EXPECT_THAT(ReadTokenFile(Write("short", text)).status(),
                StatusIs(Code::kInvalidArgument, AllOf(HasSubstr("16"), HasSubstr("/urandom"))));
  }
}

TEST_F(JobTokenTest, FileThatOthersCanReachIsRefusedWithTheCure) {
  for (const mode_t mode : {0640, 0604, 0620, 0601}) {
    const std::string path = Write("open", "0123456789abcdef", mode);
    EXPECT_THAT(ReadTokenFile(path).status(),
                StatusIs(Code::kPermissionDenied, HasSubstr("chmod 600 " + path)));
  }
}

TEST_F(JobTokenTest, FileOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  const std::string path = Write("foreign", "0123456789abcdef");
  if (::chown(path.c_str(), 65534, 65534) != 0) GTEST_SKIP() << "this root may not chown";

  EXPECT_THAT(ReadTokenFile(path).status(),
              StatusIs(Code::kPermissionDenied, HasSubstr("belongs to user 65534")));
}

TEST_F(JobTokenTest, WhatIsNoFileIsRefusedAtOnce) {
  const std::string folder = ::getenv("TEST_TMPDIR");
  const std::string pipe = folder + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);

  EXPECT_THAT(ReadTokenFile(pipe).status(),
              StatusIs(Code::kInvalidArgument, HasSubstr("no regular file")));
  EXPECT_THAT(ReadTokenFile(folder).status(), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ReadTokenFile(folder + "/none").status(),
              StatusIs(Code::kNotFound, AllOf(HasSubstr("/none"), HasSubstr("umask 077"))));
}

TEST_F(JobTokenTest, KeysAreBoundToTokenAndJob) {
  const Secret token("0123456789abcdef");
  const Secret other("0123456789abcdeF");
  const JobKey key = DeriveJobKey(token, "job");

  EXPECT_EQ(key.key.view().size(), 32u);
  EXPECT_EQ(DeriveJobKey(token, "job").key.view(), key.key.view());
  EXPECT_NE(DeriveJobKey(other, "job").key.view(), key.key.view());
  EXPECT_NE(DeriveJobKey(token, "bob").key.view(), key.key.view());
  EXPECT_EQ(DeriveJobKey(other, "job").identity, key.identity);
  EXPECT_NE(DeriveJobKey(token, "bob").identity, key.identity);
}

/// Computed by RFC 5869's two steps with another implementation of HMAC.
TEST_F(JobTokenTest, KeyIsHkdfSha256) {
  const JobKey key = DeriveJobKey(Secret("0123456789abcdef"), "job");
  std::string hex;
  for (const char c : key.key.view()) {
    char digits[3];
    (void)::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned char>(c));
    hex += digits;
  }

  EXPECT_EQ(hex, "aaa2037f4e5c81f2fa9e7538fa3e8329566f764cb4821646734b764a12450c6c");
}

}  // namespace
}  // namespace lockstep::net
