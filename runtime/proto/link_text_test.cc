// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/link_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::proto {
namespace {

using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::HasSubstr;

TEST(LinkTextTest, MicrosecondsAndGigabytesASecondAreRead) {
  EXPECT_THAT(ParseLinkFigures("20,5"), IsOkAndHolds(LinkFigures{20, 5000}));
  EXPECT_THAT(ParseLinkFigures("15.5,0.25"), IsOkAndHolds(LinkFigures{15.5, 250}));
}

TEST(LinkTextTest, EverythingElseIsRefused) {
  for (const char* text : {"", "20", "20,", ",5", "20,5,", "20;5", "20, 5", "-1,5", "20,0", "inf,5",
                           "20,nan", "1e3,5"}) {
    EXPECT_THAT(ParseLinkFigures(text),
                StatusIs(base::Code::kInvalidArgument, HasSubstr("as in 20,5")))
        << text;
  }
}

}  // namespace
}  // namespace lockstep::proto
