// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/board_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;

TEST(BoardBytesTest, AnInvitationComesBackAsItWas) {
  GroupBoard::Invitation invitation{.from_parent = true};
  std::memset(&invitation.id, 7, sizeof invitation.id);

  ASSERT_OK_AND_ASSIGN(const auto back, ParseInvitation(BytesOfInvitation(invitation)));

  EXPECT_TRUE(back.from_parent);
  EXPECT_EQ(std::memcmp(&back.id, &invitation.id, sizeof back.id), 0);
}

TEST(BoardBytesTest, ACardComesBackWithTextsThatCanBeShown) {
  CallCard card{.fingerprint = 11, .count = 12, .root = 1, .kind = 1, .dtype = 2, .refused = 1};
  std::memset(card.call_site, 'a', sizeof card.call_site);
  std::strcpy(card.reason, "a\x1b[2Jb");

  ASSERT_OK_AND_ASSIGN(const CallCard back, ParseCallCard(BytesOfCallCard(card)));

  EXPECT_EQ(back.fingerprint, 11u);
  EXPECT_EQ(back.count, 12u);
  EXPECT_EQ(back.root, 1);
  EXPECT_EQ(back.refused, 1);
  EXPECT_STREQ(back.call_site, std::string(sizeof card.call_site - 1, 'a').c_str());
  EXPECT_STREQ(back.reason, "a?[2Jb");
}

TEST(BoardBytesTest, OtherBytesAreRefused) {
  const std::string invitation = BytesOfInvitation({}), card = BytesOfCallCard({});
  for (const std::string& bytes :
       {std::string(), invitation.substr(1), invitation + "x", "\x02" + invitation.substr(1)}) {
    EXPECT_THAT(ParseInvitation(bytes), StatusIs(Code::kDataLoss));
  }
  EXPECT_THAT(ParseCallCard(card.substr(1)), StatusIs(Code::kDataLoss));
  EXPECT_THAT(ParseCallCard(card + "x"), StatusIs(Code::kDataLoss));
  for (CallCard other : {CallCard{.kind = kOpKindLimit}, CallCard{.dtype = kDtypeLimit},
                         CallCard{.reduction = kReductionLimit}, CallCard{.refused = 2}}) {
    EXPECT_THAT(ParseCallCard(BytesOfCallCard(other)), StatusIs(Code::kDataLoss));
  }
}

}  // namespace
}  // namespace lockstep::collectives
