// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/diagnose_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "launcher/diagnosis/evidence_folder.h"
#include "launcher/diagnosis/stacks/saved_stacks.h"
#include "launcher/diagnosis/testing/dump_text.h"
#include "launcher/verbs/testing/verb_fixture.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Rank;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kAskedNs = 60'000'000'000;

proto::RankStacks Stands(int rank, const std::string& function) {
  proto::RankStacks stacks;
  stacks.set_rank(rank);
  stacks.mutable_process()->set_pid(7);
  stacks.mutable_process()->set_program("train");
  proto::ThreadStack& thread = *stacks.mutable_process()->add_threads();
  thread.set_doing("runs");
  for (const std::string& name : {function, std::string("main")})
    thread.add_frames()->set_function(name);
  return stacks;
}

class DiagnoseJobTest : public VerbTest {
 protected:
  /// A job that stood still when ranks had waited for so long, rank 2 elsewhere or in the op, too.
  /// The stacks of all are there.
  void Keep(std::chrono::nanoseconds waited, base::Duration grace, bool all_have_come) {
    JobDirectory job = MakeEndedJob("train", 69);
    ASSERT_OK(job.MakeRound(base::Round(0)));
    const std::string folder = job.RoundPath(base::Round(0)) + "/" + kEvidenceFolder;
    collectives::Evidence evidence;
    AskedFlights asked{.asked_ns = kAskedNs, .dumps = {}, .left_out = {}};
    for (const int rank : {0, 1, 2}) {
      evidence.ranks.push_back(
          {.rank = Rank(rank),
           .process = {.state = collectives::ProcessState::kSleeps, .pid = 100 + rank},
           .ring_read = true});
      const int calls = rank == 2 && !all_have_come ? 1 : 2;
      asked.dumps[Rank(rank)] = std::make_shared<const std::string>(
          testing::DumpText(calls, 1, kAskedNs - waited.count()));
    }
    ASSERT_OK(SaveEvidence(folder, {.job = job.job_id(), .host = "h0", .grace = grace}, evidence,
                           {}, asked, files_));
    ASSERT_OK(SaveFlights(folder, asked, files_));
    for (const int rank : {0, 1, 2})
      ASSERT_OK(SaveStacks(folder, Stands(rank, "StandsHere" + std::to_string(rank)), files_));
  }
  std::string Diagnosis(bool json = false) {
    EXPECT_OK(DiagnoseJob(context_, {.what = {"train"}, .json = json, .export_to = ""}));
    return out_.text();
  }
};

TEST_F(DiagnoseJobTest, WhereNobodyIsToBlameTheStacksOfAllAreShown) {
  Keep(std::chrono::seconds(9), std::chrono::seconds(2), /*all_have_come=*/true);

  EXPECT_THAT(Diagnosis(/*json=*/true),
              AllOf(HasSubstr("\"class\": \"LIBRARY_STALL\""), HasSubstr("StandsHere0"),
                    HasSubstr("StandsHere1"), HasSubstr("StandsHere2")));
}

TEST_F(DiagnoseJobTest, OnTheScreenOneOfThemIs) {
  Keep(std::chrono::seconds(9), std::chrono::seconds(2), /*all_have_come=*/true);

  EXPECT_THAT(Diagnosis(), AllOf(HasSubstr("nothing moves"), HasSubstr("StandsHere0")));
}

TEST_F(DiagnoseJobTest, ElseThoseOfTheCulpritsAre) {
  Keep(std::chrono::seconds(9), std::chrono::seconds(2), /*all_have_come=*/false);

  EXPECT_THAT(Diagnosis(/*json=*/true),
              AllOf(HasSubstr("\"class\": \"MISSING_RANK\""), HasSubstr("StandsHere2"),
                    Not(HasSubstr("StandsHere0"))));
}

TEST_F(DiagnoseJobTest, WhatIsAWaitTheJobHasSaid) {
  Keep(std::chrono::seconds(1), std::chrono::milliseconds(200), /*all_have_come=*/true);
  EXPECT_THAT(Diagnosis(), HasSubstr("nothing moves")) << "its --hang-grace was shorter";
}

TEST_F(DiagnoseJobTest, ALongerGraceIsTheJobsToo) {
  Keep(std::chrono::seconds(9), std::chrono::seconds(30), /*all_have_come=*/true);
  EXPECT_THAT(Diagnosis(), Not(HasSubstr("nothing moves")));
}

TEST_F(DiagnoseJobTest, OfEvidenceThatDoesNotSayItTwoSecondsAre) {
  Keep(std::chrono::seconds(1), base::Duration(0), /*all_have_come=*/true);
  EXPECT_THAT(Diagnosis(), Not(HasSubstr("nothing moves")));
}

}  // namespace
}  // namespace lockstep::launcher
