// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/welcome_check.h"

#include <gmock/gmock.h>

#include <string>

#include "launcher/cluster/fake_welcome.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::HasSubstr;

TEST(WelcomeCheckTest, WhatCoordinatorsSayPasses) {
  EXPECT_THAT(CheckWelcome(FakeWelcome()), IsOk());
  EXPECT_THAT(CheckWelcome(FakeWelcome(std::string(63, 'x') + "-3f9k0z")), IsOk());
}

/// "../../../victim/evil" made files outside the folder of jobs.
TEST(WelcomeCheckTest, AnIdThatIsNoPlainNameIsRefused) {
  for (const std::string id : {"", "..", "../../victim/evil", "a/b", "/etc", ".hidden", "-f", "a b",
                               "Train-1", "line\n", "\x1b[2J", "a=b", "a;b"}) {
    EXPECT_THAT(CheckWelcome(FakeWelcome(id)), StatusIs(Code::kInvalidArgument, HasSubstr("id")))
        << id;
  }
  EXPECT_THAT(CheckWelcome(FakeWelcome(std::string(71, 'x'))), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(CheckWelcome(FakeWelcome(std::string("a\0b", 3))), StatusIs(Code::kInvalidArgument));
}

TEST(WelcomeCheckTest, ANameForListsIsOneToo) {
  proto::Welcome welcome = FakeWelcome();
  welcome.set_job_name("\x1b[2J");
  EXPECT_THAT(CheckWelcome(welcome), StatusIs(Code::kInvalidArgument, HasSubstr("name")));
}

TEST(WelcomeCheckTest, AJobThatNobodyCouldHaveStartedIsRefused) {
  proto::Welcome welcome = FakeWelcome();
  welcome.mutable_job()->mutable_spec()->mutable_gang()->set_total_processes(-1);
  EXPECT_THAT(CheckWelcome(welcome),
              StatusIs(Code::kInvalidArgument, HasSubstr("spec.gang.totalProcesses")));
}

TEST(WelcomeCheckTest, WordsThatNoProcessCanHaveAreRefused) {
  proto::Welcome none = FakeWelcome();
  none.clear_arguments();
  EXPECT_THAT(CheckWelcome(none), StatusIs(Code::kInvalidArgument));

  proto::Welcome longer = FakeWelcome();
  longer.add_arguments(std::string((128 << 10) - 1, 'x'));
  EXPECT_THAT(CheckWelcome(longer), IsOk());
  longer.add_arguments(std::string(128 << 10, 'x'));
  EXPECT_THAT(CheckWelcome(longer), StatusIs(Code::kInvalidArgument));

  proto::Welcome folder = FakeWelcome();
  folder.set_working_directory(std::string(4096, '/'));
  EXPECT_THAT(CheckWelcome(folder), StatusIs(Code::kInvalidArgument));
}

TEST(WelcomeCheckTest, TimesOutsideTheLimitsOfAJobAreRefused) {
  for (const int64_t nanoseconds : {int64_t{-1}, int64_t{0}, INT64_MAX}) {
    proto::Welcome lease = FakeWelcome();
    lease.set_lease_ns(nanoseconds);
    EXPECT_THAT(CheckWelcome(lease), StatusIs(Code::kInvalidArgument, HasSubstr("lease")));
    proto::Welcome heartbeat = FakeWelcome();
    heartbeat.set_heartbeat_ns(nanoseconds);
    EXPECT_THAT(CheckWelcome(heartbeat), StatusIs(Code::kInvalidArgument, HasSubstr("heartbeat")));
  }
}

}  // namespace
}  // namespace lockstep::launcher
