// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/list_jobs.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "launcher/verbs/testing/verb_fixture.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

class ListJobsTest : public VerbTest {
 protected:
  proto::JobState StartedSecondsAgo(int seconds) {
    proto::JobState state;
    const auto now = std::chrono::floor<std::chrono::seconds>(clock_.WallNow().time_since_epoch());
    state.mutable_started()->set_seconds(now.count() - seconds);
    return state;
  }
};

TEST_F(ListJobsTest, LiveJobsAlone) {
  proto::JobState state = StartedSecondsAgo(3600);
  state.set_rank_count(4);
  state.set_node_count(3);
  state.set_round(2);
  state.set_restarts_used(1);
  state.set_command("./train --lr 0.1");
  const JobDirectory live = MakeLiveJob("live", state);
  MakeEndedJob("ended", 0);
  MakeDeadJob("lost");

  ASSERT_OK(ListJobs(context_, {}));

  EXPECT_THAT(out_.text(),
              MatchesRegex("JOB +STATE +RANKS +HOSTS +ROUND +RESTARTS +AGE +COMMAND\n" +
                           live.job_id() + " +running +4 +3 +2 +1 +60m +./train --lr 0.1\n"));
  EXPECT_THAT(err_.text(), IsEmpty());
}

TEST_F(ListJobsTest, AllJobsLiveFirstAndThenTheNewest) {
  MakeEndedJob("old", 137, StartedSecondsAgo(200));
  MakeDeadJob("lost", StartedSecondsAgo(150));
  MakeLiveJob("live", StartedSecondsAgo(300));

  ASSERT_OK(ListJobs(context_, {.all = true}));

  EXPECT_THAT(out_.text(), MatchesRegex("JOB[^\n]*\n"
                                        "live-[^ ]+ +running[^\n]*\n"
                                        "lost-[^ ]+ +lost[^\n]*\n"
                                        "old-[^ ]+ +ended \\(137\\)[^\n]*\n"));
}

// The pid in this job's state is this test's own: alive, and another process.
TEST_F(ListJobsTest, JobOfWhoseEndNobodyKnowsMoreHasEnded) {
  JobDirectory job = MakeDeadJob("train");
  proto::JobState state = Entry(job).state;
  state.set_launcher("srun");
  state.set_phase(proto::JOB_PHASE_ENDED);
  ASSERT_OK(job.WriteState(state));

  ASSERT_OK(ListJobs(context_, {.all = true}));

  EXPECT_THAT(out_.text(), MatchesRegex("JOB[^\n]*\ntrain-[^ ]+ +ended  [^\n]*\n"));
}

TEST_F(ListJobsTest, PidThatWasUsedAgainIsNotBelieved) {
  const JobDirectory dead = MakeDeadJob("train");

  ASSERT_OK(ListJobs(context_, {.quiet = true}));
  EXPECT_THAT(out_.text(), IsEmpty());

  ASSERT_OK(ListJobs(context_, {}));
  EXPECT_THAT(err_.text(), HasSubstr("`lockstep ps --all` shows 1 more"));
}

TEST_F(ListJobsTest, PhasesOfALiveJob) {
  proto::JobState state;
  state.set_phase(proto::JOB_PHASE_STARTING);
  MakeLiveJob("a", state);
  state.set_phase(proto::JOB_PHASE_BACKING_OFF);
  MakeLiveJob("b", state);

  ASSERT_OK(ListJobs(context_, {}));

  EXPECT_THAT(out_.text(), HasSubstr("  starting  "));
  EXPECT_THAT(out_.text(), HasSubstr("  backing off  "));
}

TEST_F(ListJobsTest, QuietPrintsIdsAlone) {
  const JobDirectory live = MakeLiveJob("live");

  ASSERT_OK(ListJobs(context_, {.quiet = true}));

  EXPECT_EQ(out_.text(), live.job_id() + "\n");
}

TEST_F(ListJobsTest, JsonIsOneArray) {
  const JobDirectory live = MakeLiveJob("live", StartedSecondsAgo(10));
  MakeEndedJob("ended", 3, StartedSecondsAgo(20));

  ASSERT_OK(ListJobs(context_, {.all = true, .json = true}));

  google::protobuf::ListValue jobs;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(out_.text(), &jobs).ok()) << out_.text();
  ASSERT_EQ(jobs.values_size(), 2);
  const auto& first = jobs.values(0).struct_value().fields();
  EXPECT_EQ(first.at("job_id").string_value(), live.job_id());
  EXPECT_EQ(first.at("condition").string_value(), "running");
  const auto& second = jobs.values(1).struct_value().fields();
  EXPECT_EQ(second.at("condition").string_value(), "ended");
  EXPECT_EQ(second.at("exit_code").number_value(), 3);
}

TEST_F(ListJobsTest, NoJobsAtAll) {
  ASSERT_OK(ListJobs(context_, {.json = true}));
  EXPECT_EQ(out_.text(), "[]\n");

  ASSERT_OK(ListJobs(context_, {}));
  EXPECT_THAT(err_.text(), IsEmpty());
}

TEST_F(ListJobsTest, CommandCannotSteerTheTerminal) {
  proto::JobState state;
  state.set_command("./train \x1b]0;title\x07");
  MakeLiveJob("live", state);

  ASSERT_OK(ListJobs(context_, {}));

  EXPECT_THAT(out_.text(), HasSubstr("./train ?]0;title?"));
  EXPECT_THAT(out_.text(), Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace lockstep::launcher
