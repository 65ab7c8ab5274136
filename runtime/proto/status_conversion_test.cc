// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/status_conversion.h"

#include <gtest/gtest.h>

#include <chrono>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::proto {
namespace {

using namespace std::chrono_literals;
using base::Code;

TEST(StatusConversionTest, EveryFieldComesBack) {
  const base::Status status = base::AbortedError("peer closed the connection")
                                  .WithClass(base::FailureClass::kPeerDead)
                                  .WithSubject({.job = "j",
                                                .host = "b",
                                                .pid = 42,
                                                .rank = base::Rank(1),
                                                .incarnation = base::Incarnation(2),
                                                .call_site = "train.cc:7"})
                                  .WithOp({.group = base::GroupId(0xab),
                                           .epoch = base::Round(2),
                                           .seq = base::OpSeq(9),
                                           .kind = "all_reduce"})
                                  .WithRetry({.kind = base::Retry::Kind::kAfter, .delay = 1500ms})
                                  .ObservedAt(base::SteadyTime(5s), base::WallTime(7s))
                                  .WithCause(base::InternalError("killed"));

  const base::Status back = FromProto(ToProto(status));

  EXPECT_EQ(back.ToString(), status.ToString());
  EXPECT_EQ(back.failure_class(), status.failure_class());
  EXPECT_EQ(back.subjects(), status.subjects());
  EXPECT_EQ(back.op(), status.op());
  EXPECT_EQ(back.retry(), status.retry());
  EXPECT_EQ(back.observed_at(), status.observed_at());
  EXPECT_EQ(back.observed_at_wall(), status.observed_at_wall());
  EXPECT_STREQ(back.origin_file(), status.origin_file());
  EXPECT_EQ(back.origin_line(), status.origin_line());
  EXPECT_EQ(back.root().message(), "killed");
}

TEST(StatusConversionTest, OkStaysOk) { EXPECT_OK(FromProto(ToProto(base::OkStatus()))); }

TEST(StatusConversionTest, CodesOfTheWireThatWeDoNotKnowAreUnknown) {
  Status message;
  message.set_code(4711);
  message.set_failure_class(-3);

  const base::Status status = FromProto(message);

  EXPECT_EQ(status.code(), Code::kUnknown);
  EXPECT_EQ(status.failure_class(), base::FailureClass::kUnspecified);
}

TEST(StatusConversionTest, CausesBeyondTheLimitAreCutOff) {
  base::Status status = base::InternalError("root");
  for (int i = 0; i < 100; ++i) status = base::AbortedError("link").WithCause(status);

  int depth = 0;
  const base::Status back = FromProto(ToProto(status));
  for (const base::Status* cause = back.cause(); cause != nullptr; cause = cause->cause()) ++depth;

  EXPECT_EQ(depth, kStatusCausesMax);
}

}  // namespace
}  // namespace lockstep::proto
