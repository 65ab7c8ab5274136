// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/stop_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "launcher/jobs/job_addresses.h"
#include "launcher/verbs/testing/verb_fixture.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class StopJobTest : public VerbTest {
 protected:
  /// What an agent does at the end of its job.
  void End(JobDirectory job, int exit_code) {
    proto::JobState state = Entry(job).state;
    state.set_phase(proto::JOB_PHASE_ENDED);
    state.set_exit_code(exit_code);
    EXPECT_OK(job.WriteState(state));
  }
};

TEST_F(StopJobTest, AgentIsToldAndTheEndAwaited) {
  const JobDirectory job = MakeLiveJob("train");
  proto::StopRequest asked;
  FakeAgent agent(ControlSocket(job), [&](const proto::StopRequest& request) {
    asked = request;
    End(job, 130);
  });

  ASSERT_OK(StopJob(context_, {.job = "train", .signal = SIGINT, .at_once = true}));

  EXPECT_EQ(asked.signal(), SIGINT);
  EXPECT_TRUE(asked.at_once());
  EXPECT_THAT(asked.reason(), HasSubstr("lockstep stop"));
  EXPECT_EQ(out_.text(), "job " + job.job_id() + " has ended with exit status 130\n");
  EXPECT_THAT(err_.text(), IsEmpty());
}

TEST_F(StopJobTest, WithoutWaitItReturnsWhenTheAgentHasBeenTold) {
  const JobDirectory job = MakeLiveJob("train");
  std::atomic<int> stops{0};
  FakeAgent agent(ControlSocket(job), [&](const proto::StopRequest&) { ++stops; });

  ASSERT_OK(StopJob(context_, {.job = "train", .wait = false}));

  EXPECT_EQ(stops, 1);
  EXPECT_EQ(out_.text(), "job " + job.job_id() + " is ending\n");
}

TEST_F(StopJobTest, JobThatDoesNotEndInTimeIsAnErrorAfterAWord) {
  const JobDirectory job = MakeLiveJob("train");
  FakeAgent agent(ControlSocket(job));
  agent.reply.add_ranks()->set_life("alive");
  agent.reply.add_ranks()->set_life("exited");

  EXPECT_THAT(
      StopJob(context_,
              {.job = "train", .at_once = true, .margin = 60ms, .silence = 20ms, .reminder = 10s}),
      StatusIs(Code::kDeadlineExceeded, HasSubstr("lockstep status " + job.job_id())));

  EXPECT_EQ(err_.text(),
            "lockstep: waiting for job " + job.job_id() + " to end: 1 ranks still live\n");
}

TEST_F(StopJobTest, JobThatHasEndedIsNoError) {
  const JobDirectory job = MakeEndedJob("train", 3);

  ASSERT_OK(StopJob(context_, {.job = job.job_id()}));

  EXPECT_THAT(out_.text(), HasSubstr("exit status 3"));
}

TEST_F(StopJobTest, JobThatEndsBeforeItIsToldIsNoError) {
  proto::JobState state;
  state.set_phase(proto::JOB_PHASE_STARTING);
  const JobDirectory job = MakeLiveJob("train", state);
  std::thread ending([&] { End(job, 0); });

  EXPECT_OK(StopJob(context_, {.job = "train"}));

  ending.join();
}

TEST_F(StopJobTest, JobThatIsJustStartingIsAskedUntilItListens) {
  proto::JobState state;
  state.set_phase(proto::JOB_PHASE_STARTING);
  const JobDirectory job = MakeLiveJob("train", state);
  MakeSocketFile(ControlSocket(job));
  base::Status outcome;
  std::thread stopping([&] { outcome = StopJob(context_, {.job = "train"}); });
  FakeAgent agent(ControlSocket(job), [&](const proto::StopRequest&) { End(job, 143); });
  stopping.join();

  EXPECT_OK(outcome);
}

// The last log-out of a user removes /run/user/UID, and the sockets of jobs that run on with it.
TEST_F(StopJobTest, AgentWhoseSocketIsGoneGetsTheSignalItself) {
  for (const bool at_once : {false, true}) {
    MarkedProcess agent("x");
    proto::JobState state;
    *state.mutable_agent() = IdentifyProcess(here_, agent.pid()).value();
    state.set_socket_path("/gone/train.sock");
    const JobDirectory job = MakeLiveJob("train", state);

    ASSERT_OK(StopJob(context_, {.job = job.job_id(), .at_once = at_once, .wait = false}));

    EXPECT_EQ(agent.AwaitSignal(), at_once ? SIGKILL : SIGTERM);
    EXPECT_THAT(err_.text(), HasSubstr("(pid " + std::to_string(agent.pid()) + ") was sent " +
                                       (at_once ? "SIGKILL" : "SIGTERM")));
    End(job, 143);
  }
}

TEST_F(StopJobTest, AnAgentThatRefusesGetsNoSignal) {
  MarkedProcess process("x");
  proto::JobState state;
  *state.mutable_agent() = IdentifyProcess(here_, process.pid()).value();
  const JobDirectory job = MakeLiveJob("train", state);
  for (const base::Status& refused :
       {base::UnavailableError("there is no coordinator"), base::NotFoundError("no such round"),
        base::DeadlineExceededError("the coordinator was too late")}) {
    FakeAgent agent(ControlSocket(job));
    agent.refused = refused;

    EXPECT_THAT(StopJob(context_, {.job = job.job_id(), .wait = false}),
                StatusIs(refused.code(), AllOf(HasSubstr(std::string(refused.message())),
                                               Not(HasSubstr("stuck")))));
  }
  EXPECT_TRUE(process.Lives());
  EXPECT_EQ(err_.text(), "");
}

TEST_F(StopJobTest, OfAnotherLaunchersJobItSaysWhatWasDone) {
  proto::JobState state;
  state.set_launcher("mpirun (Open MPI)");
  const JobDirectory job = MakeLiveJob("train", state);
  FakeAgent agent(ControlSocket(job), [&](const proto::StopRequest&) {
    JobDirectory ended = job;
    proto::JobState last = Entry(job).state;
    last.set_phase(proto::JOB_PHASE_ENDED);
    EXPECT_OK(ended.WriteState(last));
  });
  agent.stop_reply.set_grace_ns(base::Duration(30s).count());

  ASSERT_OK(StopJob(context_, {.job = "train", .at_once = true}));

  EXPECT_EQ(err_.text(), "lockstep: job " + job.job_id() +
                             " was started by mpirun (Open MPI): its ranks on this host were sent "
                             "SIGTERM; none is killed\n");
  EXPECT_EQ(out_.text(), "job " + job.job_id() + " has ended\n");
}

TEST_F(StopJobTest, OfAnotherLaunchersRanksNoneIsSaidToBeKilledSoon) {
  proto::JobState state;
  state.set_launcher("srun");
  const JobDirectory job = MakeLiveJob("train", state);
  FakeAgent agent(ControlSocket(job));
  agent.reply.add_ranks()->set_life("alive");
  agent.stop_reply.set_grace_ns(base::Duration(1500ms).count());

  EXPECT_THAT(StopJob(context_, {.job = "train", .margin = 10ms, .silence = 20ms}),
              StatusIs(Code::kDeadlineExceeded));

  EXPECT_THAT(err_.text(), HasSubstr("to end: 1 ranks still live\n"));
}

TEST_F(StopJobTest, AnAgentOfAnotherLaunchersJobGetsNoSignal) {
  MarkedProcess agent("x");
  proto::JobState state;
  *state.mutable_agent() = IdentifyProcess(here_, agent.pid()).value();
  state.set_launcher("srun");
  MakeLiveJob("train", state);

  EXPECT_THAT(StopJob(context_, {.job = "train", .at_once = true}),
              StatusIs(Code::kNotFound, HasSubstr("end it through srun")));

  EXPECT_TRUE(agent.Lives());
}

TEST_F(StopJobTest, ProcessThatHasTheAgentsPidButIsAnotherGetsNoSignal) {
  MarkedProcess other("x");
  proto::JobState state;
  *state.mutable_agent() = IdentifyProcess(here_, other.pid()).value();
  state.mutable_agent()->set_start_ticks(1);
  MakeLiveJob("train", state);

  EXPECT_THAT(StopJob(context_, {.job = "train"}), StatusIs(Code::kNotFound));

  EXPECT_TRUE(other.Lives());
}

TEST_F(StopJobTest, LostJobsProcessesAreEnded) {
  const JobDirectory job = MakeDeadJob("train");
  MarkedProcess left(JobMark(job.job_id()) + "/rank-0/1/");

  ASSERT_OK(StopJob(context_, {.job = "train"}));

  EXPECT_EQ(left.AwaitSignal(), SIGKILL);
  EXPECT_THAT(out_.text(), HasSubstr("was lost; 1 processes"));
}

TEST_F(StopJobTest, JobOnAnotherHostIsStoppedThere) {
  proto::JobState state;
  const JobDirectory job = MakeDeadJob("train");
  state = Entry(job).state;
  state.mutable_front()->set_host("elsewhere");
  state.mutable_agent()->set_host("elsewhere");
  ASSERT_OK(JobDirectory(job).WriteState(state));

  EXPECT_THAT(StopJob(context_, {.job = "train"}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("lockstep stop " + job.job_id())));
}

TEST_F(StopJobTest, UnknownJobIsNotFound) {
  EXPECT_THAT(StopJob(context_, {.job = "train"}), StatusIs(Code::kNotFound));
}

}  // namespace
}  // namespace lockstep::launcher
