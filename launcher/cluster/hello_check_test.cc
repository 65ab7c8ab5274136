// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/hello_check.h"

#include <gtest/gtest.h>

#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;

proto::Hello Good() {
  proto::Hello hello;
  hello.set_host("node-7.example");
  hello.set_boot_id("0b1c");
  hello.set_job_id("train-1");
  hello.set_lockstep_version("1.0");
  hello.set_slots(4096);
  hello.set_master_port(65535);
  hello.add_addresses("fe80::1%eth0");
  return hello;
}

TEST(HelloCheckTest, WhatAgentsSayPasses) { EXPECT_THAT(CheckHello(Good()), IsOk()); }

TEST(HelloCheckTest, TextsThatDoNotBelongOnATerminalAreRefused) {
  for (const std::string text : {"", "\x1b[2J", "two words", "line\n", "\xff\xfe"}) {
    proto::Hello hello = Good();
    hello.set_host(text);
    EXPECT_THAT(CheckHello(hello), StatusIs(Code::kInvalidArgument)) << text;
    EXPECT_TRUE(text.empty() || CheckHello(hello).message().find(text) == std::string::npos);
  }
  proto::Hello hello = Good();
  hello.set_lockstep_version(std::string(254, 'v'));
  EXPECT_THAT(CheckHello(hello), StatusIs(Code::kInvalidArgument));
}

TEST(HelloCheckTest, NumbersThatCannotBeAreRefused) {
  for (const int slots : {-1, 4097, 2'000'000'000}) {
    proto::Hello hello = Good();
    hello.set_slots(slots);
    EXPECT_THAT(CheckHello(hello), StatusIs(Code::kInvalidArgument)) << slots;
  }
  for (const int port : {-1, 65536}) {
    proto::Hello hello = Good();
    hello.set_master_port(port);
    EXPECT_THAT(CheckHello(hello), StatusIs(Code::kInvalidArgument)) << port;
  }
}

TEST(HelloCheckTest, AnAgentHasAnAddressAndNotThousands) {
  proto::Hello none = Good();
  none.clear_addresses();
  EXPECT_THAT(CheckHello(none), StatusIs(Code::kInvalidArgument));

  proto::Hello many = Good();
  for (int i = 0; i < 64; ++i) many.add_addresses("10.0.0.1");
  EXPECT_THAT(CheckHello(many), StatusIs(Code::kInvalidArgument));
}

/// Every node is sent it: at its 1 MiB no World would have been short enough.
TEST(HelloCheckTest, AFolderIsNotLongerThanAPathCanBe) {
  proto::Hello hello = Good();
  hello.set_jobs_root("/" + std::string(4094, 'x'));
  EXPECT_THAT(CheckHello(hello), IsOk());

  hello.set_jobs_root("/" + std::string(4095, 'x'));
  EXPECT_THAT(CheckHello(hello), StatusIs(Code::kInvalidArgument));
  hello.set_jobs_root(std::string("/a\0b", 4));
  EXPECT_THAT(CheckHello(hello), StatusIs(Code::kInvalidArgument));
}

}  // namespace
}  // namespace lockstep::launcher
