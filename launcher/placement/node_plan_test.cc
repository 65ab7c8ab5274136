// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/node_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::FieldsAre;
using ::testing::IsEmpty;

proto::JobSpec Simulated(int nodes, int ranks) {
  proto::JobSpec spec;
  spec.mutable_placement()->mutable_simulated();
  spec.mutable_gang()->set_max_nodes(nodes);
  spec.mutable_gang()->set_total_processes(ranks);
  return spec;
}

TEST(NodePlanTest, AJobOfOneNodeNeedsNoPlan) {
  EXPECT_THAT(PlanNodes(Simulated(1, 8), "pc"), IsEmpty());
}

TEST(NodePlanTest, SimulatedNodesShareTheRanksAsEvenlyAsCanBe) {
  EXPECT_THAT(PlanNodes(Simulated(3, 8), "pc"),
              ElementsAre(FieldsAre("pc", 3, true), FieldsAre("pc-n1", 3, false),
                          FieldsAre("pc-n2", 2, false)));
}

}  // namespace
}  // namespace lockstep::launcher
