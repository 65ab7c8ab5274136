// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// When a node speaks for its ranks. How ranks meet in whole: meeting_test.cc.
#include "launcher/attach/node_cards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A node of two ranks, in round 3.
class NodeCardsTest : public ::testing::Test {
 protected:
  void SetUp() override { cards_.BeginRound(base::Round(3), 2); }

  void Publish(int member) {
    EXPECT_THAT(cards_.Publish({.connection = 100u + static_cast<uint64_t>(member),
                                .group = 9,
                                .member_count = 3,
                                .member = member,
                                .content = "x"}),
                IsOk());
  }
  static proto::CardTable Table(std::vector<std::string> contents, uint32_t round = 3) {
    proto::CardTable table;
    table.set_round(round);
    table.set_group(9);
    for (std::string& content : contents) table.add_cards(std::move(content));
    return table;
  }

  event::SimLoop loop_;
  std::vector<proto::Cards> sent_;
  std::vector<uint64_t> answered_;
  std::vector<base::Code> codes_;
  NodeCards cards_{{loop_, [this](const proto::Cards& cards) { sent_.push_back(cards); },
                    [this](uint64_t connection, const base::Status& error, int, uint64_t) {
                      answered_.push_back(connection);
                      codes_.push_back(error.code());
                    }}};
};

TEST_F(NodeCardsTest, RanksThatComeTogetherAreOneMessage) {
  Publish(0);
  loop_.RunFor(4ms);
  EXPECT_THAT(sent_, IsEmpty()) << "the other may be near";
  Publish(1);
  loop_.RunFor(0ms);

  ASSERT_EQ(sent_.size(), 1u) << "nobody else can come";
  EXPECT_EQ(sent_[0].come_size(), 2);
  EXPECT_EQ(sent_[0].round(), 3u);
  EXPECT_EQ(sent_[0].member_count(), 3);
}

TEST_F(NodeCardsTest, OneThatComesLateDoesNotHoldUpTheOthers) {
  Publish(0);
  loop_.RunFor(5ms);
  EXPECT_EQ(sent_.size(), 1u);
  Publish(1);
  loop_.RunFor(0ms);

  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_EQ(sent_[1].come_size(), 1);
}

TEST_F(NodeCardsTest, AFullTableAnswersAllAndOneWithAGapThoseWhoGaveUp) {
  Publish(0);
  Publish(1);
  loop_.RunFor(0ms);
  cards_.GiveUp(100);
  cards_.GiveUp(100);
  loop_.RunFor(5ms);
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_THAT(sent_[1].given_up(), ElementsAre(0));

  cards_.OnTable(Table({"a", "b", ""}));
  EXPECT_THAT(answered_, ElementsAre(100));
  cards_.OnTable(Table({"a", "b", "c"}));
  cards_.OnTable(Table({"a", "b", "c"}));

  EXPECT_THAT(answered_, ElementsAre(100, 101)) << "and each once";
}

// Each of a node's ranks had the coordinator send the table of all members.
TEST_F(NodeCardsTest, ThoseWhoGiveUpTogetherAskForOneTable) {
  Publish(0);
  Publish(1);
  loop_.RunFor(0ms);

  cards_.GiveUp(100);
  loop_.RunFor(1ms);
  cards_.GiveUp(101);
  loop_.RunFor(0ms);

  ASSERT_EQ(sent_.size(), 2u) << "and nobody is left to wait for";
  EXPECT_THAT(sent_[1].given_up(), ElementsAre(0, 1));
  loop_.RunFor(10ms);
  EXPECT_EQ(sent_.size(), 2u);
}

TEST_F(NodeCardsTest, TablesOfOtherRoundsAreNotBelievedAndWrongOnesAreErrors) {
  Publish(0);
  loop_.RunFor(5ms);
  cards_.OnTable(Table({"a", "b", "c"}, 2));
  EXPECT_THAT(answered_, IsEmpty());

  cards_.OnTable(Table({"a", "b"}));

  EXPECT_THAT(codes_, ElementsAre(base::Code::kDataLoss));
}

// They stayed with the coordinator, and the ranks of other nodes met processes that had failed.
TEST_F(NodeCardsTest, MembersThatAreAnsweredWithAnErrorTakeTheirCardsBack) {
  Publish(0);
  Publish(1);
  loop_.RunFor(0ms);
  cards_.GiveUp(100);

  cards_.OnTable(Table({"a", "b"}));
  loop_.RunFor(5ms);

  EXPECT_THAT(answered_, ElementsAre(100, 101));
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_THAT(sent_[1].gone(), ElementsAre(0, 1));
  EXPECT_EQ(sent_[1].come_size(), 0);
  EXPECT_THAT(sent_[1].given_up(), IsEmpty());
}

TEST_F(NodeCardsTest, ACardThatAnErrorOvertakesIsNotSent) {
  Publish(0);
  loop_.RunFor(5ms);
  Publish(1);

  cards_.OnTable(Table({"a", "b"}));
  loop_.RunFor(5ms);

  EXPECT_THAT(answered_, ElementsAre(100, 101));
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_EQ(sent_[1].come_size(), 0);
  EXPECT_THAT(sent_[1].gone(), ElementsAre(0)) << "the other's never went out";
}

TEST_F(NodeCardsTest, AfterTheRoundNobodyIsAnswered) {
  Publish(0);
  cards_.EndRound();
  loop_.RunFor(1s);
  EXPECT_THAT(sent_, IsEmpty());
  cards_.OnTable(Table({"a", "b", "c"}));
  EXPECT_THAT(answered_, IsEmpty());
}

}  // namespace
}  // namespace lockstep::launcher
