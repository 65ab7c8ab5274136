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

TEST(PlanNodesTest, HostsOfAListAreReachedBySshButForThisOne) {
  proto::JobSpec spec = SpecOf(3, 7);
  for (const char* name : {"a", "laptop", "b"}) {
    proto::SshHost& host = *spec.mutable_placement()->mutable_ssh()->add_hosts();
    host.set_host(name);
    host.set_slots(*name == 'a' ? 4 : 2);
  }

  EXPECT_THAT(PlanNodes(spec, "laptop"),
              ElementsAre(PlannedNode{"a", "", 4, AgentStart::kBySsh},
                          PlannedNode{"laptop", "", 2, AgentStart::kByLauncher},
                          PlannedNode{"b", "", 2, AgentStart::kBySsh}));
}

TEST(PlanNodesTest, EveryAgentsStartHasAText) {
  EXPECT_EQ(AgentStartText(AgentStart::kByLauncher), "lockstep run, here");
  EXPECT_EQ(AgentStartText(AgentStart::kBySsh), "lockstep agent, by ssh");
  EXPECT_EQ(AgentStartText(AgentStart::kAsSimulation), "lockstep agent, here: a simulated host");
}

TEST(NodePlanTest, NodesThatComeByThemselvesAreCountedAndNoMore) {
  proto::JobSpec spec;
  spec.mutable_placement()->mutable_join();
  spec.mutable_gang()->set_max_nodes(2);
  spec.mutable_gang()->mutable_processes_per_node()->set_count(4);

  EXPECT_THAT(PlanNodes(spec, "pc"),
              ::testing::ElementsAre(
                  PlannedNode{.host = "node-0", .slots = 4, .start = AgentStart::kByItself},
                  PlannedNode{.host = "node-1", .slots = 4, .start = AgentStart::kByItself}));
}

}  // namespace
}  // namespace lockstep::launcher
