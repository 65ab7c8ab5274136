// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/bench_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/e2e/command.h"

namespace lockstep::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

/// One size, whose ratio is known.
constexpr const char* kJson = R"({"wrong": 3, "results": [{
  "size": 4096,
  "backends": [{"backend": "tcp", "out_of_place": {"time_us": 10, "bus_bw_gb_s": 0.5}},
               {"backend": "gloo ring", "out_of_place": {"time_us": 40}}],
  "rounds": [{"valid": true}, {"valid": true}, {"valid": true}, {"valid": true}, {"valid": true}],
  "ratios": [{"ours": "tcp", "peer": "gloo ring", "ratio": 4, "low": 3.5, "high": 4.5},
             {"ours": "tcp", "peer": "gloo ring", "ratio": 9, "in_place": true}]}]})";

class BenchRunTest : public ::testing::Test {
 protected:
  BenchRun Read(int status, const std::string& json) const {
    e2e::Outcome outcome;
    outcome.status = status;
    outcome.err = "the reason";
    return ReadBenchRun(outcome, scratch_.Write("bench.json", json));
  }

  const e2e::Scratch scratch_;
};

TEST_F(BenchRunTest, FiguresAndRatiosOutOfPlaceAreRead) {
  const BenchRun run = Read(0, kJson);

  EXPECT_TRUE(run.ok);
  EXPECT_EQ(run.wrong, 3);
  ASSERT_THAT(run.rows, SizeIs(1));
  EXPECT_EQ(run.rows[0].bytes, 4096u);
  EXPECT_TRUE(run.rows[0].judged);
  const BenchRow::Ours& ours = run.rows[0].ours.at("tcp");
  EXPECT_EQ(ours.time_us, 10);
  EXPECT_EQ(ours.peers.at("gloo").best, "gloo ring");
  EXPECT_EQ(ours.peers.at("gloo").time_us, 40);
  EXPECT_EQ(ours.peers.at("gloo").ratio, 4);
  EXPECT_FALSE(std::filesystem::exists(scratch_.path() + "/bench.json"));
}

TEST_F(BenchRunTest, WithoutARatioItIsNotJudgedAndHasNotFailed) {
  const BenchRun run = Read(69, R"({"results": [{"size": 4, "rounds": [{"valid": false}]}]})");

  EXPECT_TRUE(run.ok);
  ASSERT_THAT(run.rows, SizeIs(1));
  EXPECT_FALSE(run.rows[0].judged);
}

// A picture that could not be written once passed, since the figures were there before it.
TEST_F(BenchRunTest, AnyOtherStatusIsAFailureWhateverIsWritten) {
  for (const int status : {1, 70, 73, 128 + 15}) {
    ::testing::internal::CaptureStderr();
    EXPECT_FALSE(Read(status, kJson).ok) << status;
    EXPECT_THAT(::testing::internal::GetCapturedStderr(),
                HasSubstr("status " + std::to_string(status) + ": the reason"));
  }
}

TEST_F(BenchRunTest, AStatusWithoutFiguresIsAFailure) {
  for (const char* const json : {"", "{\"results\": "}) {
    EXPECT_FALSE(Read(0, json).ok);
    EXPECT_FALSE(Read(69, json).ok);
  }
}

}  // namespace
}  // namespace lockstep::bench
