// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/verb_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/verbs/verb_context.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/proto/job_state.pb.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using std::chrono::seconds;

TEST(PrintableTest, ControlCharactersAreShownAsQuestionMarks) {
  EXPECT_EQ(Printable("./train\x1b[2J\n\x7f"), "./train?[2J??");
  EXPECT_EQ(Printable("./trän"), "./trän");
}

TEST(FormatTableTest, ColumnsStandBelowEachOtherWithoutBlanksAtTheEnd) {
  EXPECT_EQ(FormatTable({{"JOB", "STATE"}, {"a-long-name", "lost"}, {"b", ""}}),
            "JOB          STATE\n"
            "a-long-name  lost\n"
            "b\n");
  EXPECT_EQ(FormatTable({}), "");
}

std::string AgeAfter(int64_t age_seconds) {
  google::protobuf::Timestamp then;
  then.set_seconds(1'000);
  return AgeText(base::WallTime(seconds(1'000 + age_seconds)), then);
}

TEST(AgeTextTest, TheLargestUnitThatTellsTwoApart) {
  EXPECT_EQ(AgeAfter(0), "0s");
  EXPECT_EQ(AgeAfter(119), "119s");
  EXPECT_EQ(AgeAfter(120), "2m");
  EXPECT_EQ(AgeAfter(2 * 3600), "2h");
  EXPECT_EQ(AgeAfter(2 * 86400), "2d");
}

TEST(AgeTextTest, ClockThatWasSetBackMakesNoNegativeAge) { EXPECT_EQ(AgeAfter(-50), "0s"); }

TEST(AgeTextTest, TimeThatWasNeverSetHasNoAge) {
  EXPECT_EQ(AgeText(base::WallTime(seconds(1'000)), {}), "-");
}

TEST(ToJsonTest, MemberIsAddedToWhatTheMessageSays) {
  proto::ProcessIdentity process;
  process.set_pid(17);

  ASSERT_OK_AND_ASSIGN(const std::string json, ToJson(process));

  EXPECT_EQ(json, R"({"host":"","boot_id":"","pid":"17","start_ticks":"0","pid_namespace":"0"})");
  EXPECT_EQ(
      WithMember(json, "live", "true"),
      R"({"host":"","boot_id":"","pid":"17","start_ticks":"0","pid_namespace":"0","live":true})");
  EXPECT_EQ(WithMember("{}", "a", "1"), R"({"a":1})");
}

TEST(ToJsonTest, DamagedTimeIsAnError) {
  proto::JobState state;
  state.mutable_started()->set_seconds(INT64_MAX);

  EXPECT_THAT(ToJson(state), StatusIs(Code::kDataLoss));
}

TEST(ExitCodeOfTest, ScriptsCanTellAMissingJobFromABusyOne) {
  EXPECT_EQ(ExitCodeOf(base::OkStatus()), ExitCode::kOk);
  EXPECT_EQ(ExitCodeOf(base::NotFoundError("no job")), ExitCode::kNoSuchJob);
  EXPECT_EQ(ExitCodeOf(base::InvalidArgumentError("two jobs")), ExitCode::kUsage);
  EXPECT_EQ(ExitCodeOf(base::FailedPreconditionError("it runs")), ExitCode::kUnavailable);
  EXPECT_EQ(ExitCodeOf(base::DeadlineExceededError("it hangs")), ExitCode::kUnavailable);
}

}  // namespace
}  // namespace lockstep::launcher
