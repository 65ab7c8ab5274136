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

/// Member `self` of three, which sends and expects these.
CallCard ExchangeOf(std::vector<size_t> sent, std::vector<size_t> expected) {
  const Op op{.kind = OpKind::kAllToAllV,
              .dtype = Dtype::kF32,
              .counts = std::move(sent),
              .out_counts = std::move(expected),
              .call_file = "a/train.cc",
              .call_line = 42};
  return MakeCallCard(op, 1);
}

TEST(CallCheckTest, WhoSendsOtherCountsThanAreExpectedIsNamedWithTheReceiver) {
  std::vector<CallCard> cards = {ExchangeOf({1, 2, 3}, {1, 4, 7}), ExchangeOf({4, 5, 6}, {2, 5, 8}),
                                 ExchangeOf({7, 8, 9}, {3, 6, 9})};
  EXPECT_OK(JudgeCounts(cards, "op 7 of group world", &Numbers).error);

  cards[1] = ExchangeOf({4, 5, 60}, {2, 5, 8});
  const Disagreement found = JudgeCounts(cards, "op 7 of group world", &Numbers);
  EXPECT_THAT(found.error,
              StatusIs(Code::kFailedPrecondition,
                       HasSubstr("train.cc:42, op 7 of group world: members 1 sends 60 elements to "
                                 "members 2, which expects 6")));
  EXPECT_EQ(found.error.failure_class(), base::FailureClass::kUsage);
  EXPECT_EQ(found.blamed, (std::vector<int>{1, 2}));
}

TEST(CallCheckTest, CountsOfMoreMembersThanACardHoldsAreNotCompared) {
  const std::vector<size_t> ones(kCountsOnCard + 1, 1), twos(kCountsOnCard + 1, 2);
  const std::vector<CallCard> cards(ones.size(), ExchangeOf(ones, twos));
  EXPECT_OK(JudgeCounts(cards, "op 7 of group world", &Numbers).error);
}

}  // namespace
}  // namespace lockstep::collectives
