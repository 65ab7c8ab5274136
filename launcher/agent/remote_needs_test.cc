// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/remote_needs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/net/host_name.h"

namespace lockstep::launcher {
namespace {

using base::testing::IsOk;
using base::testing::StatusIs;

const std::vector<PlannedNode> kElsewhere = {{.host = "a", .start = AgentStart::kBySsh}};
const std::vector<PlannedNode> kHereToo = {{.host = "a", .start = AgentStart::kBySsh},
                                           {.host = "b", .start = AgentStart::kByLauncher}};

base::Result<RemoteNeeds> Needs(proto::JobSpec* spec, const std::vector<PlannedNode>& nodes,
                                const std::string& program, std::optional<int> word = 0) {
  return FindRemoteNeeds(spec, {program, "-u", program}, word, nodes, {.host = "b", .boot_id = "1"},
                         "/data", {{"PATH", "/bin"}});
}

TEST(FindOwnNodeTest, AnotherNameOfThisMachineIsFound) {
  std::vector<PlannedNode> nodes = {
      {.host = "192.0.2.1", .start = AgentStart::kBySsh},
      {.host = net::HostName() + ".example", .start = AgentStart::kBySsh}};

  FindOwnNode(&nodes);

  EXPECT_FALSE(nodes[0].is_here());
  EXPECT_TRUE(nodes[1].is_here());
}

TEST(FindOwnNodeTest, AtMostOneIsThisMachine) {
  std::vector<PlannedNode> nodes = {{.host = "localhost", .start = AgentStart::kBySsh},
                                    {.host = "known", .start = AgentStart::kByLauncher}};

  FindOwnNode(&nodes);

  EXPECT_FALSE(nodes[0].is_here());
}

TEST(RemoteNeedsTest, TheLaunchersFolderIsAWishAndTheUsersADemand) {
  proto::JobSpec spec;
  const auto needs = Needs(&spec, kElsewhere, "./train");

  ASSERT_THAT(needs, IsOk());
  EXPECT_EQ(needs->bootstrap.working_directory(), "/data");
  EXPECT_FALSE(needs->bootstrap.working_directory_is_wanted());
  EXPECT_EQ(needs->bootstrap.launcher_host(), "b");

  spec.mutable_program()->set_working_directory("deep/../er");
  const auto wanted = Needs(&spec, kElsewhere, "./train");

  ASSERT_THAT(wanted, IsOk());
  EXPECT_EQ(wanted->bootstrap.working_directory(), "/data/er");
  EXPECT_TRUE(wanted->bootstrap.working_directory_is_wanted());
  EXPECT_EQ(spec.program().working_directory(), "/data/er");
}

TEST(RemoteNeedsTest, AProgramThatRunsElsewhereAloneNeedNotBeHere) {
  proto::JobSpec spec;
  const auto needs = Needs(&spec, kElsewhere, "/no/such/program");

  ASSERT_THAT(needs, IsOk());
  EXPECT_EQ(needs->bootstrap.program(), "/no/such/program");
  EXPECT_THAT(Needs(&spec, kHereToo, "/no/such/program"), StatusIs(base::Code::kNotFound));
  spec.mutable_placement()->mutable_ssh()->set_stage(true);
  EXPECT_THAT(Needs(&spec, kElsewhere, "/no/such/program"), StatusIs(base::Code::kNotFound));
}

TEST(RemoteNeedsTest, AScriptIsToldByItsPlaceAmongTheArguments) {
  proto::JobSpec spec;
  const auto needs = Needs(&spec, kElsewhere, "train.py", 2);

  ASSERT_THAT(needs, IsOk());
  EXPECT_EQ(needs->bootstrap.program_word(), 2);
}

TEST(RemoteNeedsTest, AProgramOnAPathOfTheJobsOwnIsNotLookedFor) {
  proto::JobSpec spec;
  auto& variable = *spec.mutable_program()->add_env();
  variable.set_name("PATH");
  variable.set_value("/elsewhere");

  const auto needs = Needs(&spec, kHereToo, "train");

  ASSERT_THAT(needs, IsOk());
  EXPECT_EQ(needs->bootstrap.program(), "");
}

}  // namespace
}  // namespace lockstep::launcher
