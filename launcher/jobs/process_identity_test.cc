// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/process_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

TEST(ProcessIdentityTest, LivingProcessIsAlive) {
  const HostIdentity here = ThisHost();
  ASSERT_OK_AND_ASSIGN(const proto::ProcessIdentity self, IdentifyProcess(here, ::getpid()));

  EXPECT_EQ(self.pid(), ::getpid());
  EXPECT_GT(self.start_ticks(), 0u);
  EXPECT_EQ(CheckLiveness(here, self), Liveness::kAlive);
}

TEST(ProcessIdentityTest, PidAloneProvesNothing) {
  const HostIdentity here = ThisHost();
  ASSERT_OK_AND_ASSIGN(const proto::ProcessIdentity self, IdentifyProcess(here, ::getpid()));

  proto::ProcessIdentity used_again = self;
  used_again.set_start_ticks(self.start_ticks() - 1);
  EXPECT_EQ(CheckLiveness(here, used_again), Liveness::kDead);

  proto::ProcessIdentity before_reboot = self;
  before_reboot.set_boot_id("another-boot");
  EXPECT_EQ(CheckLiveness(here, before_reboot), Liveness::kDead);

  proto::ProcessIdentity elsewhere = self;
  elsewhere.set_host("another-host");
  EXPECT_EQ(CheckLiveness(here, elsewhere), Liveness::kUnknown);

  proto::ProcessIdentity in_a_container = self;
  in_a_container.set_pid_namespace(self.pid_namespace() + 1);
  in_a_container.set_pid(1 << 30);
  EXPECT_EQ(CheckLiveness(here, in_a_container), Liveness::kUnknown);
  in_a_container.set_pid_namespace(0);  // that cannot be told from one of ours
  EXPECT_EQ(CheckLiveness(here, in_a_container), Liveness::kDead);

  EXPECT_EQ(CheckLiveness({.host = here.host, .boot_id = ""}, self), Liveness::kUnknown);
  proto::ProcessIdentity of_unknown_boot = self;
  of_unknown_boot.set_boot_id("");
  EXPECT_EQ(CheckLiveness(here, of_unknown_boot), Liveness::kAlive);
}

// A live job's processes were ended as a dead one's, by a command that had no descriptor left.
TEST(ProcessIdentityTest, ProcessThatCannotBeLookedAtIsNotDead) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer looks at memory through a pipe, and takes a failed one for a bug";
#endif
  const HostIdentity here = ThisHost();
  ASSERT_OK_AND_ASSIGN(const proto::ProcessIdentity self, IdentifyProcess(here, ::getpid()));
  proto::ProcessIdentity missing = self;
  missing.set_pid(1 << 30);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);

  const Liveness unseen = CheckLiveness(here, self);
  const Liveness not_there = CheckLiveness(here, missing);

  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(unseen, Liveness::kUnknown);
  EXPECT_EQ(not_there, Liveness::kDead);
}

TEST(ProcessIdentityTest, MissingProcessIsNotFound) {
  EXPECT_THAT(IdentifyProcess(ThisHost(), 1 << 30), StatusIs(Code::kNotFound));
}

TEST(ProcessStatTest, CommandMayHoldAnything) {
  const std::string tail = " Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20 21\n";

  ASSERT_OK_AND_ASSIGN(const ProcessStat stat, ParseProcessStat("77 (a) R (b c)" + tail));

  EXPECT_EQ(stat.state, 'Z');
  EXPECT_EQ(stat.start_ticks, 987654u);
}

TEST(ProcessStatTest, OtherTextsAreRefused) {
  EXPECT_THAT(ParseProcessStat(""), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ParseProcessStat("77 (x)"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ParseProcessStat("77 (x) R 1 2"),
              StatusIs(Code::kInvalidArgument, HasSubstr("short")));
  EXPECT_THAT(ParseProcessStat("7 (x) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x"),
              StatusIs(Code::kInvalidArgument, HasSubstr("22")));
}

}  // namespace
}  // namespace lockstep::launcher
