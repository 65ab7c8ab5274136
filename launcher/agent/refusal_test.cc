// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/refusal.h"

#include <gmock/gmock.h>

#include "launcher/exit_codes.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(RefusalTest, WhoIsNotOfOurJobMayHaveAnotherTokenOrJob) {
  EXPECT_THAT(
      ExplainRefusal(base::PermissionDeniedError("connect to a:1: it refuses our key")),
      StatusIs(Code::kPermissionDenied,
               AllOf(HasSubstr("connect to a:1: it refuses our key; "), HasSubstr("token file"),
                     HasSubstr("--rdzv-id"), HasSubstr("another job"))));
}

TEST(RefusalTest, WhatTheCoordinatorSaysNeedsNoMore) {
  const base::Status why = base::AlreadyExistsError("host a is node 1 already");

  EXPECT_EQ(ExplainRefusal(why).message(), why.message());
}

TEST(RefusalTest, TheStatusSaysWhetherAnotherTryHelps) {
  const auto usage = static_cast<int>(ExitCode::kUsage);
  const auto unavailable = static_cast<int>(ExitCode::kUnavailable);

  EXPECT_EQ(ExitStatusOfRefusal(base::FailedPreconditionError("another program")), usage);
  EXPECT_EQ(ExitStatusOfRefusal(base::AlreadyExistsError("the place is taken")), usage);
  EXPECT_EQ(ExitStatusOfRefusal(base::ResourceExhaustedError("all are there")), unavailable);
  EXPECT_EQ(ExitStatusOfRefusal(base::DeadlineExceededError("nobody listens")), unavailable);
}

}  // namespace
}  // namespace lockstep::launcher
