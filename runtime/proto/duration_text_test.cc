// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/duration_text.h"

#include <gtest/gtest.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::proto {
namespace {

using base::Code;
using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(DurationTextTest, ReadsWhatKubernetesWrites) {
  EXPECT_THAT(ParseDuration("30s"), IsOkAndHolds(seconds(30)));
  EXPECT_THAT(ParseDuration("1m30s"), IsOkAndHolds(seconds(90)));
  EXPECT_THAT(ParseDuration("500ms"), IsOkAndHolds(milliseconds(500)));
  EXPECT_THAT(ParseDuration("1.5h"), IsOkAndHolds(seconds(5400)));
  EXPECT_THAT(ParseDuration("0"), IsOkAndHolds(seconds(0)));
  EXPECT_THAT(ParseDuration("0s"), IsOkAndHolds(seconds(0)));
}

TEST(DurationTextTest, DaysAreForPeopleAlone) {
  EXPECT_THAT(ParseDuration("7d", true), IsOkAndHolds(hours(7 * 24)));
  EXPECT_THAT(ParseDuration("2w1d", true), IsOkAndHolds(hours(15 * 24)));
  EXPECT_THAT(ParseDuration("7d"),
              StatusIs(Code::kInvalidArgument, HasSubstr("unknown unit \"d\"")));
}

TEST(DurationTextTest, RefusesWhatIsNoDuration) {
  EXPECT_THAT(ParseDuration("30"),
              StatusIs(Code::kInvalidArgument, HasSubstr("the unit is missing")));
  EXPECT_THAT(ParseDuration(""), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ParseDuration("-1s"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ParseDuration("nans"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ParseDuration("infs"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ParseDuration("1s 2s"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ParseDuration("1 s"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ParseDuration("999999999999h"),
              StatusIs(Code::kInvalidArgument, HasSubstr("100 years")));
}

TEST(DurationTextTest, FormatIsTheInverseOfParse) {
  for (const char* text : {"0s", "1ns", "1m30s", "500ms", "24h", "1h2m3s4ms5us6ns"}) {
    EXPECT_EQ(FormatExactDuration(ParseDuration(text).value()), text);
  }
  EXPECT_EQ(FormatExactDuration(seconds(-90)), "-1m30s");
}

TEST(DurationTextTest, SurvivesTheWire) {
  for (const base::Duration duration :
       {base::Duration(0), base::Duration(1), base::Duration(-1'500'000'000)}) {
    EXPECT_EQ(FromProto(ToProto(duration)), duration);
  }
}

}  // namespace
}  // namespace lockstep::proto
