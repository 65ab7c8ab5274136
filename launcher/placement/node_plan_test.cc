// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/node_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::launcher {
namespace {

using ::testing::ElementsAre;

proto::JobSpec SpecOf(int nodes, int ranks) {
  proto::JobSpec spec;
  spec.mutable_gang()->set_max_nodes(nodes);
  spec.mutable_gang()->set_total_processes(ranks);
  return spec;
}

TEST(PlanNodesTest, OneNodeIsTheLaunchersOwnMachine) {
  EXPECT_THAT(PlanNodes(SpecOf(1, 4), "laptop"),
              ElementsAre(PlannedNode{"laptop", "127.0.0.1", 4, AgentStart::kByLauncher}));
}

TEST(PlanNodesTest, TheFirstNodesHaveWhatCannotBeSharedOut) {
  EXPECT_THAT(PlanNodes(SpecOf(3, 8), "laptop"),
              ElementsAre(PlannedNode{"laptop", "127.0.0.1", 3, AgentStart::kByLauncher},
                          PlannedNode{"laptop-n1", "127.0.0.1", 3, AgentStart::kAsSimulation},
                          PlannedNode{"laptop-n2", "127.0.0.1", 2, AgentStart::kAsSimulation}));
}

TEST(PlanNodesTest, EveryAgentsStartHasAText) {
  EXPECT_EQ(AgentStartText(AgentStart::kByLauncher), "lockstep run, here");
  EXPECT_EQ(AgentStartText(AgentStart::kAsSimulation), "lockstep agent, here: a simulated host");
}

}  // namespace
}  // namespace lockstep::launcher
