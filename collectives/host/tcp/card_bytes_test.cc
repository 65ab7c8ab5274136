// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/card_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

AddressCard Card() {
  AddressCard card;
  card.addresses = {"10.0.0.7", "fd00::7"};
  card.port = 29400;
  card.nonce[15] = 9;
  card.host_id = "boot";
  card.host = "node-a";
  card.pid = 4711;
  card.memory = 5;
  card.encrypts = true;
  card.flows = 4;
  card.incarnation = base::Incarnation(3);
  return card;
}

std::string WithLength(const std::string& card) {
  const auto length = static_cast<uint32_t>(card.size());
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + card;
}

TEST(CardBytesTest, ACardComesBackAsItWas) {
  const auto card = ParseCard(BytesOfCard(Card()));

  ASSERT_THAT(card, IsOk());
  EXPECT_THAT(card->addresses, ElementsAre("10.0.0.7", "fd00::7"));
  EXPECT_EQ(card->port, 29400);
  EXPECT_EQ(card->nonce, Card().nonce);
  EXPECT_EQ(card->host_id, "boot");
  EXPECT_EQ(card->host, "node-a");
  EXPECT_EQ(card->pid, 4711);
  EXPECT_EQ(card->memory, 5);
  EXPECT_TRUE(card->encrypts);
  EXPECT_EQ(card->flows, 4);
  EXPECT_EQ(card->incarnation, base::Incarnation(3));
}

TEST(CardBytesTest, ItBeginsWithTheDocumentedBytes) {
  AddressCard card;
  card.addresses = {"10.0.0.7"};
  card.port = 29400;
  EXPECT_EQ(BytesOfCard(card).substr(0, 13),
            "\x03\x01\x08\x31\x30\x2e\x30\x2e\x30\x2e\x37\xd8\x72");
}

TEST(CardBytesTest, TooManyAddressesAndTooLongNamesAreCut) {
  AddressCard card = Card();
  card.addresses.assign(9, std::string(63, '1'));
  card.host = std::string(300, 'h');
  card.host_id = std::string(63, 'b');

  const std::string bytes = BytesOfCard(card);

  EXPECT_LE(bytes.size(), 512u);
  const auto cut = ParseCard(bytes);
  ASSERT_THAT(cut, IsOk());
  EXPECT_EQ(cut->addresses.size(), kCardAddressesMax);
  EXPECT_EQ(cut->host.size(), kCardHostBytesMax);
}

TEST(CardBytesTest, BytesThatAreNoCardAreRefused) {
  const std::string bytes = BytesOfCard(Card());
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_THAT(ParseCard(bytes.substr(0, length)), StatusIs(base::Code::kDataLoss)) << length;
  EXPECT_THAT(ParseCard(bytes + "x"), StatusIs(base::Code::kDataLoss, HasSubstr("length")));
  AddressCard none = Card();
  none.flows = 0;
  EXPECT_THAT(ParseCard(BytesOfCard(none)), StatusIs(base::Code::kDataLoss, HasSubstr("1 to 16")));
  EXPECT_THAT(ParseCard("\x02" + bytes.substr(1)),
              StatusIs(base::Code::kDataLoss, HasSubstr("of this release")));
}

TEST(CardBytesTest, ATableHasAGapForWhoHasNotCome) {
  const std::string card = WithLength(BytesOfCard(Card()));

  const auto table = ParseCardTable(card + WithLength("") + card, 3);

  ASSERT_THAT(table, IsOk());
  ASSERT_EQ(table->size(), 3u);
  EXPECT_TRUE((*table)[0].has_value());
  EXPECT_FALSE((*table)[1].has_value());
  EXPECT_EQ((*table)[2]->pid, 4711);
}

TEST(CardBytesTest, ATableOfAnotherLengthIsRefused) {
  const std::string card = WithLength(BytesOfCard(Card()));
  EXPECT_THAT(ParseCardTable(card, 2), StatusIs(base::Code::kDataLoss, HasSubstr("too early")));
  EXPECT_THAT(ParseCardTable(card + card, 1), StatusIs(base::Code::kDataLoss, HasSubstr("many")));
  EXPECT_THAT(ParseCardTable(std::string("\xff\xff\xff\xff", 4), 1),
              StatusIs(base::Code::kDataLoss));
}

}  // namespace
}  // namespace lockstep::collectives
