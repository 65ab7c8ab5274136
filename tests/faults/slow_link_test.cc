// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Ranks on hosts with networks of their own, one of which is slow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "runtime/base/testing/status_matchers.h"
#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/e2e/ssh_fixture.h"
#include "tests/hosts/hosts.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using base::testing::IsOk;
using ::testing::AllOf;
using ::testing::HasSubstr;

using SlowLinkTest = SshFixture;

TEST_F(SlowLinkTest, TheRankBehindASlowNetworkIsNamed) {
  ASSERT_THAT(kit_->Slow(2, 300), IsOk());
  const auto job = Start({"--host", "h0,h1,h2,h3", "--pace-window", "1500ms"},
                         "exec " + Runfile("tests/faults/pace_rank") + " ring 8 1000000");
  const bool is_said = job->WaitForOutput(
      [](const std::string&, const std::string& err) { return Contains(err, " slow"); }, 60s);
  job->Signal(SIGTERM);
  (void)job->Wait(30s);
  ASSERT_THAT(kit_->Heal(), IsOk());

  ASSERT_TRUE(is_said) << job->err();
  EXPECT_THAT(job->err(), AllOf(HasSubstr("lockstep: all links of rank 2 are slow, most of all "),
                                HasSubstr("; rank 2 is (h2, pid ")));
}

}  // namespace
}  // namespace lockstep::e2e
