// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/error_record.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

TEST(ErrorRecordTest, AnErrorIsReadAsItWasWrittenUpToItsLimits) {
  ErrorRecord error;
  error.code = Code::kDeadlineExceeded;
  error.failure_class = base::FailureClass::kPeerStalled;
  error.op_seq = 9;
  error.from_seq = 8;
  error.op.kind = OpKind::kAllReduce;
  error.op.count = 1000;
  error.message = std::string(kErrorMessageBytesMax + 1, 'm');
  for (int member = 0; member < 10; ++member) error.blamed.push_back({member, "train.cc:42"});

  ASSERT_OK_AND_ASSIGN(const ErrorRecord read, ParseError(EncodeError(error), 10));

  EXPECT_EQ(read.code, Code::kDeadlineExceeded);
  EXPECT_EQ(read.failure_class, base::FailureClass::kPeerStalled);
  EXPECT_EQ(read.op_seq, 9u);
  EXPECT_EQ(read.from_seq, 8u);
  EXPECT_EQ(read.op.count, 1000u);
  EXPECT_EQ(read.message.size(), kErrorMessageBytesMax);
  ASSERT_EQ(read.blamed.size(), kNamedMembersMax);
  EXPECT_EQ(read.blamed[7].member, 7);
  EXPECT_EQ(read.blamed[7].call_site, "train.cc:42");
}

TEST(ErrorRecordTest, AnErrorThatCannotBeIsDataLoss) {
  ErrorRecord error;
  error.code = Code::kAborted;
  error.blamed.push_back({3, ""});
  auto bytes = EncodeError(error);

  EXPECT_THAT(ParseError(bytes, 3), StatusIs(Code::kDataLoss, HasSubstr("does not have")));
  bytes.pop_back();
  EXPECT_THAT(ParseError(bytes, 4), StatusIs(Code::kDataLoss));
  EXPECT_THAT(ParseError({}, 4), StatusIs(Code::kDataLoss));
}

base::Subject RankOf(int member) {
  base::Subject subject;
  subject.rank = base::Rank(member);
  return subject;
}

TEST(ErrorRecordTest, AnErrorBlamesMembersWithTheirPlacesAndIsAboutAnOp) {
  ErrorRecord error{.code = Code::kDeadlineExceeded, .message = "two never came"};
  error.SetOp({.kind = OpKind::kBarrier}, 3);
  error.blamed = {{4, "a.cc:1"}, {2, ""}};

  const base::Status status = StatusOf(error, base::GroupId(7), base::Round(1), RankOf);

  EXPECT_THAT(status, StatusIs(Code::kDeadlineExceeded, HasSubstr("two never came")));
  ASSERT_EQ(status.subjects().size(), 2u);
  EXPECT_EQ(status.subjects()[0].rank, base::Rank(4));
  EXPECT_EQ(status.subjects()[0].call_site, "a.cc:1");
  EXPECT_EQ(status.subjects()[1].rank, base::Rank(2));
  ASSERT_TRUE(status.op().has_value());
  EXPECT_EQ(status.op()->seq, base::OpSeq(3));
  EXPECT_EQ(status.op()->epoch, base::Round(1));
}

}  // namespace
}  // namespace lockstep::collectives
