// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Ranks whose wall clock is hours off, as on nodes whose clocks nobody has set (libfaketime).
// Agents' clocks that differ: tests/sim.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kFakeTime = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Ranks of node 1 have a clock that is so far off ("+3h"); all run `script`.
std::string WithClock(const std::string& off, const std::string& script) {
  return "if [ $GROUP_RANK = 1 ]; then export FAKETIME=" + off +
         " FAKETIME_DONT_FAKE_MONOTONIC=1 LD_PRELOAD=" + kFakeTime + "; fi; exec sh -c '" + script +
         "'";
}

/// Seconds since 1970 of the verdict's "when".
double WhenOf(const std::string& screen) {
  const size_t at = screen.find("when     ");
  if (at == std::string::npos) return 0;
  tm utc{};
  if (::strptime(screen.c_str() + at + 9, "%Y-%m-%dT%H:%M:%S", &utc) == nullptr) return 0;
  return static_cast<double>(::timegm(&utc));
}

class ClockSkewTest : public RunFixture {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kFakeTime)) GTEST_SKIP() << "faketime is not installed";
  }
};

TEST_F(ClockSkewTest, ARankWhoseClockIsWrongIsNamedAtTheRightTime) {
  for (const std::string off : {"+3h", "-3h"}) {
    const Outcome outcome =
        RunScriptIt({"--simulate-hosts", "--nnodes", "2", "-np", "4", "--grace", "0"},
                    WithClock(off, "[ $RANK = 2 ] && { date +now:%s >&2; exit 7; }; sleep 60"));

    const auto now = static_cast<double>(::time(nullptr));
    EXPECT_EQ(outcome.status, 7) << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("rank 2 failed first: exit code 7"),
                                   HasSubstr("victims  3: ranks 0, 1, 3")));
    EXPECT_LT(std::abs(WhenOf(outcome.err) - now), 60) << outcome.err;
    const size_t told = outcome.err.find("now:");
    ASSERT_NE(told, std::string::npos) << outcome.err;
    const double clock = std::strtod(outcome.err.c_str() + told + 4, nullptr);
    EXPECT_NEAR(clock - now, off == "+3h" ? 10'800 : -10'800, 60) << "its clock was wrong indeed";
  }
}

TEST_F(ClockSkewTest, TheGangRestartsWithClocksThatDiffer) {
  const Outcome outcome = RunScriptIt(
      {"--simulate-hosts", "--nnodes", "2", "-np", "4", "--max-restarts", "1", "--grace", "0"},
      WithClock("+3h",
                "[ $RANK$TORCHELASTIC_RESTART_COUNT = 00 ] && exit 7; "
                "[ $TORCHELASTIC_RESTART_COUNT = 0 ] && sleep 60; echo again"));

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(CountOf(outcome.out, "again"), 4) << outcome.out;
  EXPECT_THAT(outcome.err, HasSubstr("rank 0 failed first"));
}

}  // namespace
}  // namespace lockstep::e2e
