// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/key_share.h"

#include <gtest/gtest.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::net {
namespace {

using base::testing::StatusIs;

TEST(KeyShareTest, BothEndsComeToTheSameSecretAndAThirdToAnother) {
  const KeyShare one = KeyShare::Make(), other = KeyShare::Make(), third = KeyShare::Make();

  ASSERT_OK_AND_ASSIGN(const Secret mine, one.Agree(other.shown()));
  ASSERT_OK_AND_ASSIGN(const Secret theirs, other.Agree(one.shown()));
  ASSERT_OK_AND_ASSIGN(const Secret foreign, third.Agree(one.shown()));

  EXPECT_EQ(mine.view(), theirs.view());
  EXPECT_EQ(mine.view().size(), KeyShare::kBytes);
  EXPECT_NE(mine.view(), foreign.view());
}

TEST(KeyShareTest, EachIsFresh) { EXPECT_NE(KeyShare::Make().shown(), KeyShare::Make().shown()); }

TEST(KeyShareTest, APointFromWhichEverySecretIsZeroIsRefused) {
  const KeyShare::Public zero{};

  EXPECT_THAT(KeyShare::Make().Agree(zero), StatusIs(base::Code::kInvalidArgument));
}

}  // namespace
}  // namespace lockstep::net
