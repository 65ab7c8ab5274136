// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Programs over (a fake) NCCL that know nothing of Lockstep and stand still under `lockstep run`,
// with the shim preloaded: who is named, as what.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/faults/job_facts.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Hang {
  const char* mode;    // of shim_rank
  const char* detail;  // of it
  const char* verdict_class;
  const char* said;  // of rank 1, on the screen
};

std::ostream& operator<<(std::ostream& out, const Hang& hang) {
  return out << hang.mode << " " << hang.detail;
}

class NcclHangTest : public RunFixture, public ::testing::WithParamInterface<Hang> {
 protected:
  /// Three ranks of the program.
  std::vector<std::string> Words(std::vector<std::string> flags, const std::string& mode,
                                 const std::string& detail) const {
    std::vector<std::string> words{"-np", "3", "--name", "nccl"};
    words.insert(words.end(), flags.begin(), flags.end());
    const std::string script =
        "TEST_TMPDIR=" + scratch_.path() +
        " LD_PRELOAD=" + Runfile("collectives/nccl/shim/liblockstep_nccl.so") + " exec " +
        Runfile("tests/nccl_shim/shim_rank_2_30") + " " + mode + " " + scratch_.path() + "/id " +
        detail;
    for (const std::string& word :
         {std::string("--"), std::string("sh"), std::string("-c"), script})
      words.push_back(word);
    return words;
  }
};

/// The screen wraps lines.
std::string Unwrapped(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

TEST_P(NcclHangTest, IsNamed) {
  const Hang& hang = GetParam();

  const Outcome run =
      RunIt(Words({"--hang-action-after", "4s", "--grace", "200ms"}, hang.mode, hang.detail));

  EXPECT_EQ(run.status, 69) << run.err;
  EXPECT_LT(run.elapsed, 40s);
  EXPECT_THAT(Unwrapped(run.err),
              AllOf(HasSubstr("lockstep: rank 1 "), HasSubstr(hang.said),
                    HasSubstr("op 2 of group NCCL "), HasSubstr("victims  2: ranks 0, 2")));
  const proto::Verdict verdict = VerdictIn(JobFolder("nccl") + "/round-0");
  EXPECT_EQ(ClassOf(verdict), hang.verdict_class);
  EXPECT_THAT(CulpritsOf(verdict), ElementsAre(1));
  EXPECT_EQ(verdict.confidence(), proto::Verdict::HIGH);
}

INSTANTIATE_TEST_SUITE_P(
    All, NcclHangTest,
    ::testing::Values(
        Hang{"missing", "stops", "MISSING_RANK", "its process is stopped by a signal"},
        Hang{"missing", "ends", "MISSING_RANK", "its process has ended, with exit status 0"},
        Hang{"missing", "sleeps", "MISSING_RANK", "its process sleeps, in no op"},
        Hang{"missing", "computes", "MISSING_RANK", "its process runs, in no op"},
        Hang{"mismatch", "count", "MISMATCH", "called all_reduce(f32, sum, 4)"},
        Hang{"mismatch", "root", "MISMATCH", "called broadcast(f32, root 1, 8)"}),
    [](const auto& hang) { return std::string(hang.param.mode) + "_" + hang.param.detail; });

using CleanNcclTest = NcclHangTest;

TEST_F(CleanNcclTest, WhatRunsWellIsNotSpokenOf) {
  const Outcome run = RunIt(Words({}, "collectives", ""));

  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(CountOf(run.out, " has ended well"), 3);
  EXPECT_EQ(CountOf(run.err, "waiting"), 0) << run.err;
}

}  // namespace
}  // namespace lockstep::e2e
