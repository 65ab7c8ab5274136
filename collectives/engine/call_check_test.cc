// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/call_check.h"

#include <gtest/gtest.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Numbers(const std::vector<int>& members) {
  std::string text = "members";
  for (const int member : members) text += " " + std::to_string(member);
  return text;
}

CallCard CardOf(Reduction reduction, size_t count, base::Status refusal = base::OkStatus()) {
  const Op op{.kind = OpKind::kAllReduce,
              .dtype = Dtype::kF32,
              .reduction = reduction,
              .count = count,
              .call_file = "a/train.cc",
              .call_line = 42,
              .refusal = std::move(refusal)};
  return MakeCallCard(op, op.refusal.ok()
                              ? FingerprintOf(op, base::GroupId(1), base::Round(0), base::OpSeq(7))
                              : kRefusedFingerprint);
}

TEST(CallCheckTest, TheMinorityIsBlamedAndBothCallsAreShown) {
  const std::vector<CallCard> cards = {CardOf(Reduction::kSum, 8), CardOf(Reduction::kMax, 8),
                                       CardOf(Reduction::kSum, 8)};
  const Disagreement found = JudgeCalls(cards, "op 7 of group world", &Numbers);
  EXPECT_THAT(found.error,
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("disagree on op 7 of group world: members 0 2 called "
                                       "all_reduce(f32, sum, 8) at train.cc:42; members 1 called "
                                       "all_reduce(f32, max, 8)"))));
  EXPECT_EQ(found.error.failure_class(), base::FailureClass::kUsage);
  EXPECT_EQ(found.blamed, std::vector<int>{1});
}

TEST(CallCheckTest, OfTwoThatDifferBothAreBlamed) {
  const std::vector<CallCard> cards = {CardOf(Reduction::kSum, 8), CardOf(Reduction::kSum, 9)};
  const Disagreement found = JudgeCalls(cards, "op 7 of group world", &Numbers);
  EXPECT_THAT(found.error, StatusIs(Code::kFailedPrecondition, HasSubstr("no side is a majority")));
  EXPECT_EQ(found.blamed, (std::vector<int>{0, 1}));
}

TEST(CallCheckTest, ARefusalGoesBeforeADifferenceAndItsReasonIsCutToItsPlace) {
  const std::vector<CallCard> cards = {
      CardOf(Reduction::kSum, 8), CardOf(Reduction::kMax, 8),
      CardOf(Reduction::kSum, 8,
             base::InvalidArgumentError("the output is null" + std::string(1000, '!')))};
  const Disagreement found = JudgeCalls(cards, "op 7 of group world", &Numbers);
  EXPECT_THAT(found.error, StatusIs(Code::kFailedPrecondition,
                                    HasSubstr("was refused on members 2: the output is null!!")));
  EXPECT_EQ(found.blamed, std::vector<int>{2});
}

}  // namespace
}  // namespace lockstep::collectives
