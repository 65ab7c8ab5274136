// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/job_cards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr base::NodeIndex kA(0), kB(1);

/// Round 4 of a job.
class JobCardsTest : public ::testing::Test {
 protected:
  void SetUp() override { cards_.BeginRound(base::Round(4)); }

  static proto::Cards News(int member_count, std::initializer_list<int> come,
                           std::initializer_list<int> given_up = {},
                           std::initializer_list<int> gone = {}) {
    proto::Cards news;
    news.set_round(4);
    news.set_group(77);
    news.set_member_count(member_count);
    for (const int member : come) {
      news.add_come()->set_member(member);
      news.mutable_come(news.come_size() - 1)->set_content("card " + std::to_string(member));
    }
    for (const int member : given_up) news.add_given_up(member);
    for (const int member : gone) news.add_gone(member);
    return news;
  }
  /// The cards of the last table that was sent there; "error: ..." alone for an error.
  std::vector<std::string> Told(base::NodeIndex node) {
    if (!told_.contains(node)) return {};
    const proto::CardTable& table = told_[node];
    if (table.has_error()) return {"error: " + table.error().message()};
    return {table.cards().begin(), table.cards().end()};
  }

  std::map<base::NodeIndex, proto::CardTable> told_;
  int sent_ = 0;
  JobCards cards_{[this](base::NodeIndex node, const proto::ToAgent& message) {
    told_[node] = message.cards();
    ++sent_;
  }};
};

TEST_F(JobCardsTest, EachNodeIsToldOnceWhenAllHaveCome) {
  ASSERT_THAT(cards_.Take(kA, News(4, {0, 1})), IsOk());
  ASSERT_THAT(cards_.Take(kB, News(4, {3})), IsOk());
  EXPECT_EQ(sent_, 0);

  ASSERT_THAT(cards_.Take(kB, News(4, {2})), IsOk());

  EXPECT_THAT(Told(kA), ElementsAre("card 0", "card 1", "card 2", "card 3"));
  EXPECT_THAT(Told(kB), ElementsAre("card 0", "card 1", "card 2", "card 3"));
  EXPECT_EQ(sent_, 2);
  EXPECT_EQ(cards_.group_count(), 0u);
}

TEST_F(JobCardsTest, WhoGivesUpHearsWhoIsMissingAndTheOthersWaitOn) {
  ASSERT_THAT(cards_.Take(kA, News(3, {0})), IsOk());
  ASSERT_THAT(cards_.Take(kB, News(3, {2})), IsOk());

  ASSERT_THAT(cards_.Take(kA, News(3, {}, {0})), IsOk());

  EXPECT_THAT(Told(kA), ElementsAre("card 0", "", "card 2"));
  EXPECT_THAT(Told(kB), IsEmpty());
  // Whoever gave up has come: it is the same one that both blame.
  ASSERT_THAT(cards_.Take(kB, News(3, {}, {2})), IsOk());
  EXPECT_THAT(Told(kB), ElementsAre("card 0", "", "card 2"));
  EXPECT_EQ(cards_.group_count(), 0u) << "nobody waits";
}

// Its card was in the table that the others then got, as if all were there.
TEST_F(JobCardsTest, OneThatGaveUpIsMissingToThoseWhoWaitedForItAlone) {
  ASSERT_THAT(cards_.Take(kA, News(3, {0, 1})), IsOk());
  ASSERT_THAT(cards_.Take(kA, News(3, {}, {0})), IsOk());
  ASSERT_THAT(cards_.Take(kB, News(3, {2})), IsOk());
  EXPECT_THAT(Told(kB), IsEmpty());

  ASSERT_THAT(cards_.Take(kB, News(3, {}, {2})), IsOk());

  EXPECT_THAT(Told(kB), ElementsAre("", "card 1", "card 2"));
}

// The node that had sent both made its half of the group, and the other one waited on.
TEST_F(JobCardsTest, WhoGivesUpWithTheLastCardGetsTheGroupAndSoDoAllOthers) {
  ASSERT_THAT(cards_.Take(kA, News(3, {0})), IsOk());
  ASSERT_THAT(cards_.Take(kB, News(3, {1})), IsOk());

  ASSERT_THAT(cards_.Take(kA, News(3, {2}, {0})), IsOk());

  EXPECT_THAT(Told(kA), ElementsAre("card 0", "card 1", "card 2"));
  EXPECT_THAT(Told(kB), ElementsAre("card 0", "card 1", "card 2"));
  EXPECT_EQ(cards_.group_count(), 0u);
}

TEST_F(JobCardsTest, WhoIsGoneWithTheLastCardHasNotCome) {
  ASSERT_THAT(cards_.Take(kA, News(3, {0})), IsOk());
  ASSERT_THAT(cards_.Take(kB, News(3, {1})), IsOk());

  ASSERT_THAT(cards_.Take(kA, News(3, {2}, {2}, {0})), IsOk());

  EXPECT_THAT(Told(kA), ElementsAre("", "card 1", "card 2"));
  EXPECT_THAT(Told(kB), IsEmpty());
}

TEST_F(JobCardsTest, OneThatIsGoneHasNotCome) {
  ASSERT_THAT(cards_.Take(kA, News(2, {0})), IsOk());
  ASSERT_THAT(cards_.Take(kA, News(2, {}, {}, {0})), IsOk());
  EXPECT_EQ(cards_.group_count(), 0u);

  ASSERT_THAT(cards_.Take(kB, News(2, {1})), IsOk());
  EXPECT_THAT(Told(kB), IsEmpty());
  ASSERT_THAT(cards_.Take(kB, News(2, {}, {1})), IsOk());

  EXPECT_THAT(Told(kB), ElementsAre("", "card 1"));
}

TEST_F(JobCardsTest, NewsThatComesAfterTheTableIsNone) {
  ASSERT_THAT(cards_.Take(kA, News(1, {0})), IsOk());
  EXPECT_EQ(sent_, 1);

  EXPECT_THAT(cards_.Take(kA, News(1, {}, {0})), IsOk());

  EXPECT_EQ(sent_, 1);
  EXPECT_EQ(cards_.group_count(), 0u);
}

TEST_F(JobCardsTest, CardsOfAnotherRoundAreRefusedAndARoundForgetsTheLast) {
  ASSERT_THAT(cards_.Take(kA, News(2, {0})), IsOk());

  cards_.BeginRound(base::Round(5));
  ASSERT_THAT(cards_.Take(kB, News(2, {1})), IsOk());

  EXPECT_THAT(Told(kB),
              ElementsAre("error: ranks of round 4 want to meet, but round 5 is in force"));
  EXPECT_EQ(told_[kB].round(), 4u) << "the agent knows it by that";
  EXPECT_EQ(cards_.group_count(), 0u);
}

TEST_F(JobCardsTest, ASecondProcessOfOneMemberIsToldSo) {
  ASSERT_THAT(cards_.Take(kA, News(3, {0})), IsOk());

  ASSERT_THAT(cards_.Take(kB, News(3, {1, 0})), IsOk());

  ASSERT_EQ(Told(kB).size(), 1u);
  EXPECT_THAT(Told(kB)[0], HasSubstr("on node 0, is member 0"));
  // Its agent has forgotten them all: the first is not to meet them.
  ASSERT_THAT(cards_.Take(kA, News(3, {}, {0})), IsOk());
  EXPECT_THAT(Told(kA), ElementsAre("card 0", "", ""));
}

TEST_F(JobCardsTest, MembersThatDisagreeAboutTheirNumberAreToldSo) {
  ASSERT_THAT(cards_.Take(kA, News(3, {0})), IsOk());
  ASSERT_THAT(cards_.Take(kB, News(2, {1})), IsOk());
  ASSERT_EQ(Told(kB).size(), 1u);
  EXPECT_THAT(Told(kB)[0], HasSubstr("about their number: 2, and before 3"));
}

TEST_F(JobCardsTest, ANodeCannotTakeBackAnothersCard) {
  ASSERT_THAT(cards_.Take(kA, News(2, {0})), IsOk());
  ASSERT_THAT(cards_.Take(kB, News(2, {}, {}, {0})), IsOk());

  ASSERT_THAT(cards_.Take(kB, News(2, {1})), IsOk());

  EXPECT_THAT(Told(kA), ElementsAre("card 0", "card 1"));
}

TEST_F(JobCardsTest, WhatCannotBeIsAnError) {
  EXPECT_THAT(cards_.Take(kA, News(0, {})), StatusIs(base::Code::kInvalidArgument));
  EXPECT_THAT(cards_.Take(kA, News(1025, {})), StatusIs(base::Code::kInvalidArgument));
  EXPECT_THAT(cards_.Take(kA, News(2, {2})), StatusIs(base::Code::kInvalidArgument));
  EXPECT_THAT(cards_.Take(kA, News(2, {-1})), StatusIs(base::Code::kInvalidArgument));
  EXPECT_THAT(cards_.Take(kA, News(2, {}, {2})), StatusIs(base::Code::kInvalidArgument));
  EXPECT_THAT(cards_.Take(kA, News(2, {}, {}, {-1})), StatusIs(base::Code::kInvalidArgument));
  proto::Cards news = News(2, {0});
  news.mutable_come(0)->set_content("");
  EXPECT_THAT(cards_.Take(kA, news), StatusIs(base::Code::kInvalidArgument));
  news.mutable_come(0)->set_content(std::string(513, 'x'));
  EXPECT_THAT(cards_.Take(kA, news), StatusIs(base::Code::kInvalidArgument));
  news.mutable_come(0)->set_content(std::string(512, 'x'));
  EXPECT_THAT(cards_.Take(kA, news), IsOk());
}

TEST_F(JobCardsTest, GroupsThatWaitAreBounded) {
  proto::Cards news = News(2, {0});
  for (size_t group = 0; group < JobCards::kGroupsMax; ++group) {
    news.set_group(group);
    ASSERT_THAT(cards_.Take(kA, news), IsOk());
  }
  EXPECT_EQ(sent_, 0);

  news.set_group(JobCards::kGroupsMax);
  ASSERT_THAT(cards_.Take(kA, news), IsOk());

  ASSERT_EQ(Told(kA).size(), 1u);
  EXPECT_THAT(Told(kA)[0], HasSubstr("there are 1024, the limit"));
  EXPECT_EQ(cards_.group_count(), JobCards::kGroupsMax);
}

// At the limits of groups, members and cards they were 512 MiB.
TEST_F(JobCardsTest, TheBytesOfCardsThatWaitAreBounded) {
  proto::Cards news = News(1024, {});
  for (int member = 1; member < 1024; ++member) {
    news.add_come()->set_member(member);
    news.mutable_come(member - 1)->set_content(std::string(512, 'x'));
  }
  const size_t bytes = size_t{1023} * 512;
  uint64_t groups = 0;
  while ((groups + 1) * bytes <= JobCards::kCardBytesMax) {
    news.set_group(++groups);
    ASSERT_THAT(cards_.Take(kA, news), IsOk());
  }
  EXPECT_EQ(sent_, 0);
  EXPECT_EQ(cards_.card_bytes(), groups * bytes);

  news.set_group(groups + 1);
  ASSERT_THAT(cards_.Take(kA, news), IsOk());

  ASSERT_EQ(Told(kA).size(), 1u);
  EXPECT_THAT(Told(kA)[0], HasSubstr("make fewer such groups at a time"));
  EXPECT_EQ(cards_.card_bytes(), groups * bytes);
  // One that completes makes room.
  proto::Cards last = News(1024, {0});
  last.set_group(1);
  ASSERT_THAT(cards_.Take(kB, last), IsOk());
  EXPECT_EQ(cards_.card_bytes(), (groups - 1) * bytes);
  ASSERT_THAT(cards_.Take(kA, news), IsOk());
  EXPECT_EQ(cards_.card_bytes(), groups * bytes);
}

TEST_F(JobCardsTest, CardsThatAreTakenBackCountNoMore) {
  ASSERT_THAT(cards_.Take(kA, News(3, {0, 1})), IsOk());
  EXPECT_EQ(cards_.card_bytes(), 12u);
  ASSERT_THAT(cards_.Take(kA, News(3, {}, {}, {0})), IsOk());
  EXPECT_EQ(cards_.card_bytes(), 6u);
  ASSERT_THAT(cards_.Take(kA, News(3, {}, {1})), IsOk());
  EXPECT_EQ(cards_.card_bytes(), 0u) << "nobody waits";

  ASSERT_THAT(cards_.Take(kA, News(3, {0})), IsOk());
  ASSERT_THAT(cards_.Take(kB, News(3, {1, 0})), IsOk());
  EXPECT_EQ(cards_.card_bytes(), 6u) << "those of the node that was refused are dropped";
  cards_.BeginRound(base::Round(5));
  EXPECT_EQ(cards_.card_bytes(), 0u);
}

}  // namespace
}  // namespace lockstep::launcher
