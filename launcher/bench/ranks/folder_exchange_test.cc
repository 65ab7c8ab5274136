// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/folder_exchange.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "collectives/awake_clock.h"
#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using collectives::AddressCard;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FolderExchangeTest : public ::testing::Test {
 protected:
  FolderExchangeTest() {
    folder_ = std::string(std::getenv("TEST_TMPDIR")) + "/exchange-" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(folder_);
  }

  static AddressCard Card(const std::string& address) {
    AddressCard card;
    card.addresses = {address, "fd00::1"};
    card.port = 4711;
    card.nonce[3] = 7;
    card.host_id = "machine";
    card.host = "node1";
    card.pid = 12;
    card.incarnation = base::Incarnation(5);
    return card;
  }
  auto Exchange(int member, int count, const AddressCard& card, base::Duration at_most) {
    collectives::AwakeClock awake(clock_);
    collectives::OpDeadline deadline(awake);
    deadline.Set({.at = awake.Now() + at_most, .timeout = at_most});
    return FolderExchange(folder_).Exchange({.group = base::GroupId(9),
                                             .epoch = base::Round(2),
                                             .member = member,
                                             .member_count = count},
                                            card, deadline);
  }

  base::RealClock clock_;
  std::string folder_;
};

TEST_F(FolderExchangeTest, EachGetsTheCardsOfAll) {
  std::thread other([&] {
    const auto cards = Exchange(1, 2, Card("10.0.0.2"), std::chrono::seconds(60));
    ASSERT_THAT(cards, base::testing::IsOk());
    EXPECT_EQ((*cards)[0]->addresses[0], "10.0.0.1");
  });
  ASSERT_OK_AND_ASSIGN(const auto cards,
                       Exchange(0, 2, Card("10.0.0.1"), std::chrono::seconds(60)));
  other.join();

  ASSERT_EQ(cards.size(), 2u);
  const AddressCard& card = *cards[1];
  EXPECT_THAT(card.addresses, ElementsAre("10.0.0.2", "fd00::1"));
  EXPECT_EQ(card.port, 4711);
  EXPECT_EQ(card.nonce[3], 7);
  EXPECT_EQ(card.host_id, "machine");
  EXPECT_EQ(card.host, "node1");
  EXPECT_EQ(card.pid, 12);
  EXPECT_EQ(card.incarnation, base::Incarnation(5));
}

TEST_F(FolderExchangeTest, WhoNeverComesHasNoCardAndFindsNone) {
  ASSERT_OK_AND_ASSIGN(const auto cards,
                       Exchange(0, 2, Card("10.0.0.1"), std::chrono::milliseconds(1)));

  EXPECT_TRUE(cards[0].has_value());
  EXPECT_FALSE(cards[1].has_value());
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(FolderExchangeTest, ASecondOneInAPlaceIsRefusedAndAnotherCountToo) {
  ASSERT_OK_AND_ASSIGN(const auto first, Exchange(0, 1, Card("10.0.0.1"), std::chrono::seconds(9)));

  EXPECT_THAT(Exchange(0, 1, Card("10.0.0.1"), std::chrono::seconds(9)),
              StatusIs(Code::kAlreadyExists, HasSubstr("joined twice")));
  EXPECT_THAT(Exchange(1, 2, Card("10.0.0.2"), std::chrono::seconds(9)),
              StatusIs(Code::kFailedPrecondition, HasSubstr("1 members to member 0")));
}

TEST_F(FolderExchangeTest, TheKeyIsTheFirstOnesForAll) {
  const FolderExchange exchange(folder_);
  ASSERT_OK_AND_ASSIGN(const net::Secret first, exchange.Key());
  ASSERT_OK_AND_ASSIGN(const net::Secret second, exchange.Key());

  EXPECT_EQ(first.view().size(), 32u);
  EXPECT_EQ(first.view(), second.view());
  EXPECT_NE(first.view(), std::string(32, '\0'));
}

TEST_F(FolderExchangeTest, FilesOfAnotherReleaseAreNamed) {
  std::ofstream(folder_ + "/key") << "short";
  EXPECT_THAT(FolderExchange(folder_).Key(), StatusIs(Code::kDataLoss, HasSubstr("/key")));
}

TEST_F(FolderExchangeTest, ATextThatIsTooLongIsRefused) {
  EXPECT_THAT(Exchange(0, 1, Card(std::string(300, '1')), std::chrono::seconds(9)),
              StatusIs(Code::kInvalidArgument, HasSubstr("255 bytes")));
}

}  // namespace
}  // namespace lockstep::launcher
