// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/job_draft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::launcher {
namespace {

using ::testing::ElementsAre;

TEST(JobDraftTest, AFieldIsOfWhoeverSetItOrTheNearestPartThatHoldsIt) {
  JobDraft draft;
  draft.Set("spec.program.args", "[a, b]", "job.yaml");
  draft.Set("spec.gang.nodes", "2", "flag --nnodes");

  EXPECT_EQ(draft.spec().gang().nodes(), 2);
  EXPECT_EQ(draft.SourceOf("spec.program.args[1]"), "job.yaml");
  EXPECT_EQ(draft.SourceOf("spec.gang.nodes"), "flag --nnodes");
  EXPECT_EQ(draft.SourceOf("spec.gang.minNodes"), "");
}

TEST(JobDraftTest, WhoChoosesThePlacementsKindIsKnown) {
  JobDraft draft;
  EXPECT_EQ(draft.placement_source(), "spec.placement");

  draft.Set("spec.placement.simulated", "{}", "flag --simulate-hosts");
  draft.Set("spec.placement.lease", "3s", "--set");

  EXPECT_EQ(draft.placement_source(), "flag --simulate-hosts");
}

TEST(JobDraftTest, WhatCouldNotBeReadIsReportedWhereItStandsAndNotAgain) {
  JobDraft draft;
  draft.Set("spec.gang.nodes", "many", "environment LOCKSTEP_NNODES");
  draft.Set("spec.name", "x", "flag --name");

  draft.AddFound({{.path = "spec.gang.nodes", .what = "must be at least 1"},
                  {.path = "spec.name", .what = "is too short"}});

  ASSERT_EQ(draft.problems().size(), 2U);
  EXPECT_EQ(draft.problems()[0].source, "environment LOCKSTEP_NNODES");
  EXPECT_EQ(draft.problems()[1].path, "spec.name");
  EXPECT_EQ(draft.problems()[1].source, "flag --name");
}

TEST(JobDraftTest, ANoteIsGivenOnce) {
  JobDraft draft;
  draft.AddNote("one");
  draft.AddNote("two");
  draft.AddNote("one");

  EXPECT_THAT(draft.notes(), ElementsAre("one", "two"));
}

}  // namespace
}  // namespace lockstep::launcher
