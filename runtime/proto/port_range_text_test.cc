// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/port_range_text.h"

#include <gtest/gtest.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::proto {
namespace {

using base::testing::IsOkAndHolds;
using base::testing::StatusIs;

TEST(PortRangeTextTest, RangesAndSinglePortsAreRead) {
  EXPECT_THAT(ParsePortSpan("29400-29499"), IsOkAndHolds(PortSpan{29400, 29499}));
  EXPECT_THAT(ParsePortSpan("29400"), IsOkAndHolds(PortSpan{29400, 29400}));
  EXPECT_THAT(ParsePortSpan(""), IsOkAndHolds(PortSpan{0, 0}));
}

TEST(PortRangeTextTest, EverythingElseIsRefused) {
  for (const char* text : {"0", "65536", "-1", "1-", "-", "5-4", "a-b", "1-2-3", " 1", "1 - 2"}) {
    EXPECT_THAT(ParsePortSpan(text), StatusIs(base::Code::kInvalidArgument)) << text;
  }
}

}  // namespace
}  // namespace lockstep::proto
