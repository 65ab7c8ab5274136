// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/remove_jobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "launcher/jobs/job_addresses.h"
#include "launcher/verbs/testing/verb_fixture.h"
#include "launcher/verbs/verb_text.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

class RemoveJobsTest : public VerbTest {
 protected:
  JobDirectory MakeJobEndedBefore(const std::string& name, base::Duration age) {
    proto::JobState state;
    *state.mutable_ended() = ToTimestamp(clock_.WallNow() - age);
    return MakeEndedJob(name, 0, state);
  }
};

TEST_F(RemoveJobsTest, EndedJobIsRemoved) {
  const JobDirectory job = MakeEndedJob("train", 0);

  ASSERT_OK(RemoveJob(context_, {.job = "train"}));

  EXPECT_FALSE(std::filesystem::exists(job.path()));
  EXPECT_EQ(out_.text(), "removed " + job.job_id() + "\n");
}

TEST_F(RemoveJobsTest, WhatALostJobLeftIsEndedBeforeItIsForgotten) {
  const JobDirectory job = MakeDeadJob("train");  // and no socket of it to be found
  MarkedProcess left(JobMark(job.job_id()) + "/rank-0/0/");

  ASSERT_OK(RemoveJob(context_, {.job = "train"}));

  EXPECT_EQ(left.AwaitSignal(), SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(job.path()));
}

TEST_F(RemoveJobsTest, LiveJobIsRefusedWithTheCommandThatHelps) {
  const JobDirectory job = MakeLiveJob("train");

  EXPECT_THAT(RemoveJob(context_, {.job = "train"}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("`lockstep stop " + job.job_id())));

  EXPECT_TRUE(std::filesystem::exists(job.path()));
}

TEST_F(RemoveJobsTest, ForceStopsALiveJobAtOnce) {
  JobDirectory job = MakeLiveJob("train");
  bool at_once = false;
  FakeAgent agent(ControlSocket(job), [&](const proto::StopRequest& request) {
    at_once = request.at_once();
    proto::JobState state = Entry(job).state;
    state.set_phase(proto::JOB_PHASE_ENDED);
    EXPECT_OK(job.WriteState(state));
  });

  ASSERT_OK(RemoveJob(context_, {.job = "train", .force = true}));

  EXPECT_TRUE(at_once);
  EXPECT_FALSE(std::filesystem::exists(job.path()));
}

TEST_F(RemoveJobsTest, JobThatCannotBeStoppedKeepsItsFolder) {
  const JobDirectory job = MakeLiveJob("train");

  EXPECT_FALSE(RemoveJob(context_, {.job = "train", .force = true}).ok());  // no agent listens

  EXPECT_TRUE(std::filesystem::exists(job.path()));
}

TEST_F(RemoveJobsTest, PruneRemovesWhatIsOldEnough) {
  const JobDirectory old = MakeJobEndedBefore("old", 2h);
  const JobDirectory recent = MakeJobEndedBefore("recent", 30min);
  const JobDirectory live = MakeLiveJob("live");

  ASSERT_OK(PruneJobs(context_, {.older = 1h}));

  EXPECT_EQ(out_.text(), "removed " + old.job_id() + "\n");
  EXPECT_FALSE(std::filesystem::exists(old.path()));
  EXPECT_TRUE(std::filesystem::exists(recent.path()));
  EXPECT_TRUE(std::filesystem::exists(live.path()));
}

TEST_F(RemoveJobsTest, PruneSaysWhenThereIsNothingToDo) {
  ASSERT_OK(PruneJobs(context_, {.older = 1h}));

  EXPECT_EQ(out_.text(), "");
  EXPECT_THAT(err_.text(), HasSubstr("no job is old enough"));
}

}  // namespace
}  // namespace lockstep::launcher
