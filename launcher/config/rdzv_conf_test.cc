// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/rdzv_conf.h"

#include <gmock/gmock.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

RdzvConf Parsed(std::string_view text) {
  auto conf = ParseRdzvConf(text);
  EXPECT_OK(conf.status()) << text;
  return conf.ok() ? *conf : RdzvConf();
}

TEST(RdzvConfTest, WhatWeUnderstandAndWhatTorchrunAloneDoes) {
  const RdzvConf conf =
      Parsed("join_timeout=600, is_host=1,last_call_timeout=30,read_timeout=60,read_timeout=1");

  EXPECT_EQ(conf.join_timeout, "600");
  EXPECT_EQ(conf.is_host, true);
  EXPECT_THAT(conf.others, ElementsAre("last_call_timeout", "read_timeout"));
}

TEST(RdzvConfTest, NothingSaysNothing) {
  for (const char* text : {"", ",", " , "}) {
    const RdzvConf conf = Parsed(text);
    EXPECT_EQ(conf.join_timeout, "");
    EXPECT_EQ(conf.is_host, std::nullopt);
    EXPECT_THAT(conf.others, IsEmpty());
  }
}

TEST(RdzvConfTest, TheLastOfAKeyCounts) {
  const RdzvConf conf = Parsed("join_timeout=1,join_timeout=2,is_host=yes,is_host=False");

  EXPECT_EQ(conf.join_timeout, "2");
  EXPECT_EQ(conf.is_host, false);
}

TEST(RdzvConfTest, WhatIsNoEntryIsNamed) {
  EXPECT_THAT(ParseRdzvConf("join_timeout"),
              StatusIs(Code::kInvalidArgument, HasSubstr("join_timeout is no KEY=VALUE")));
  EXPECT_THAT(ParseRdzvConf("a=1,=2"), StatusIs(Code::kInvalidArgument, HasSubstr("=2 is no")));
  EXPECT_THAT(ParseRdzvConf("is_host=perhaps"),
              StatusIs(Code::kInvalidArgument, HasSubstr("perhaps is neither 1 nor 0")));
}

}  // namespace
}  // namespace lockstep::launcher
