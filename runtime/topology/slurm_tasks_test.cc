// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/slurm_tasks.h"

#include <gtest/gtest.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::topology {
namespace {

using base::Code;
using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::HasSubstr;

TEST(SlurmTasksTest, EachNodesShareIsFound) {
  const struct {
    const char* text;
    int node_index;
    SlurmTasks tasks;
  } cases[] = {{"1", 0, {1, 1, 1}},        {"3,2(x2)", 0, {3, 7, 3}},
               {"3,2(x2)", 1, {2, 7, 3}},  {"3,2(x2)", 2, {2, 7, 3}},
               {"4(x2),3", 1, {4, 11, 3}}, {"4(x2),3", 2, {3, 11, 3}},
               {"5,1(x1)", 1, {1, 6, 2}},  {"8(x65536)", 65535, {8, 524288, 65536}}};
  for (const auto& [text, node_index, tasks] : cases) {
    EXPECT_THAT(ParseSlurmTasks(text, node_index), IsOkAndHolds(tasks)) << text;
  }
}

TEST(SlurmTasksTest, WhatIsNoSuchListIsRefused) {
  for (const char* text :
       {"", "x", "0", "-1", "+1", "1,", ",1", "1(x2", "1(2)", "1(x0)", "1(x)", "1)", "1(x2)3",
        "1 ,2", "4(x1073741824)", "2147483648", "1(x99999999999999999999)", "2147483647,1"}) {
    EXPECT_THAT(ParseSlurmTasks(text, 0), StatusIs(Code::kInvalidArgument)) << text;
  }
}

TEST(SlurmTasksTest, ANodeBeyondTheListIsNamed) {
  EXPECT_THAT(ParseSlurmTasks("3,2(x2)", 3),
              StatusIs(Code::kInvalidArgument, HasSubstr("has 3 nodes, and this is node 3")));
  EXPECT_THAT(ParseSlurmTasks("3", -1), StatusIs(Code::kInvalidArgument));
}

}  // namespace
}  // namespace lockstep::topology
