// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/testing/equals_proto.h"

#include <gtest/gtest.h>

#include "runtime/proto/job.pb.h"

namespace lockstep::proto::testing {
namespace {

using ::testing::Not;

TEST(EqualsProtoTest, ComparesMessagesAndText) {
  Gang gang;
  gang.set_nodes(2);
  Gang other = gang;

  EXPECT_THAT(gang, EqualsProto(other));
  EXPECT_THAT(gang, EqualsProto("nodes: 2"));
  other.set_role("x");
  EXPECT_THAT(gang, Not(EqualsProto(other)));
  EXPECT_THAT(gang, Not(EqualsProto("nodes: 3")));
  EXPECT_THAT(gang, Not(EqualsProto("no such field")));
}

TEST(EqualsProtoTest, NamesTheFieldThatDiffers) {
  Gang gang;
  gang.set_nodes(2);
  ::testing::StringMatchResultListener listener;

  EXPECT_FALSE(::testing::ExplainMatchResult(EqualsProto("nodes: 3"), gang, &listener));

  EXPECT_THAT(listener.str(), ::testing::HasSubstr("modified: nodes: 3 -> 2"));
}

}  // namespace
}  // namespace lockstep::proto::testing
