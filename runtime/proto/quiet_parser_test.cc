// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/quiet_parser.h"

#include <gtest/gtest.h>

#include <string>

#include "runtime/proto/status.pb.h"

namespace lockstep::proto {
namespace {

TEST(QuietParserTest, ATextThatIsNoUtf8IsRefusedWithoutALine) {
  Status status;
  status.set_message("valid");
  std::string bytes = status.SerializeAsString();
  bytes[bytes.find('v')] = '\xff';

  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(status.ParseFromString(bytes));
  EXPECT_NE(::testing::internal::GetCapturedStderr(), "") << "protobuf is quiet by itself";

  SilenceParser();
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(status.ParseFromString(bytes));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace lockstep::proto
