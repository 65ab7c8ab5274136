// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/lost_jobs.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "launcher/jobs/faulty_file_system.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/verbs/testing/verb_fixture.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string MarkOf(const JobDirectory& job) { return JobMark(job.job_id()) + "/rank-0/1/"; }

class LostJobsTest : public VerbTest {
 protected:
  void ExpectUntouched(const JobDirectory& job, MarkedProcess& process) {
    EXPECT_TRUE(process.Lives());
    EXPECT_EQ(Entry(job).state.phase(), proto::JOB_PHASE_RUNNING);
    EXPECT_TRUE(std::filesystem::exists(ControlSocket(job)));
    EXPECT_THAT(err_.text(), IsEmpty());
  }
};

TEST_F(LostJobsTest, WhatALostJobLeftIsEnded) {
  const JobDirectory job = MakeDeadJob("train");
  MakeSocketFile(ControlSocket(job));
  MakeSocketFile(AttachSocketPath(context_.socket_directory, job.job_id()));
  MarkedProcess left(MarkOf(job));
  MarkedProcess nested("other-job/rank-0/1/;" + MarkOf(job));

  SweepLostJobs(context_);

  EXPECT_EQ(left.AwaitSignal(), SIGKILL);
  EXPECT_EQ(nested.AwaitSignal(), SIGKILL);
  EXPECT_TRUE(std::filesystem::is_empty(context_.socket_directory));
  const JobEntry entry = Entry(job);
  EXPECT_EQ(entry.condition, JobCondition::kLost);
  EXPECT_EQ(entry.state.phase(), proto::JOB_PHASE_LOST);
  EXPECT_TRUE(entry.state.has_ended());
  EXPECT_FALSE(entry.state.has_exit_code());
  EXPECT_THAT(err_.text(), HasSubstr(job.job_id() + " was lost"));
  EXPECT_THAT(err_.text(), HasSubstr("2 processes"));
}

TEST_F(LostJobsTest, WhatItsMpiKeptInMemoryIsRemoved) {
  const JobDirectory job = MakeDeadJob("train");
  const std::string folder = MpiFolder(::getuid(), job.job_id());
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/vader_segment.0") << "of a rank that was killed";

  SweepLostJobs(context_);

  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_F(LostJobsTest, RanksOfAnotherLauncherAreNotEnded) {
  proto::JobState state;
  state.set_launcher("mpirun (Open MPI)");
  const JobDirectory job = MakeDeadJob("train", state);
  MakeSocketFile(ControlSocket(job));
  MarkedProcess rank(MarkOf(job));  // whatever it carries

  SweepLostJobs(context_);

  EXPECT_TRUE(rank.Lives());
  EXPECT_TRUE(std::filesystem::is_empty(context_.socket_directory));
  EXPECT_EQ(Entry(job).state.phase(), proto::JOB_PHASE_LOST);
  EXPECT_EQ(err_.text(), "lockstep: job " + job.job_id() +
                             " was lost: its agent died without a word; its ranks belong to mpirun "
                             "(Open MPI) and were left alone\n");
}

TEST_F(LostJobsTest, JobWhoseSocketDoesNotListenYetIsJustStarting) {
  const JobDirectory job = MakeLiveJob("train");
  MakeSocketFile(ControlSocket(job));
  MarkedProcess rank(MarkOf(job));

  SweepLostJobs(context_);

  ExpectUntouched(job, rank);
}

TEST_F(LostJobsTest, JobWhoseAgentOutlivesItsFrontIsLeftToIt) {
  const JobDirectory live = MakeLiveJob("live");
  proto::JobState state = Entry(live).state;
  *state.mutable_agent() = state.front();
  state.mutable_front()->set_start_ticks(1);
  ASSERT_OK(JobDirectory(live).WriteState(state));
  MakeSocketFile(ControlSocket(live));
  MarkedProcess rank(MarkOf(live));

  SweepLostJobs(context_);

  ExpectUntouched(live, rank);
}

TEST_F(LostJobsTest, JobWhoseSocketIsAnsweredIsLive) {
  const JobDirectory job = MakeDeadJob("train");
  FakeAgent agent(ControlSocket(job));
  MarkedProcess rank(MarkOf(job));

  SweepLostJobs(context_);

  ExpectUntouched(job, rank);
}

TEST_F(LostJobsTest, JobOfAnotherHostIsLeftToIt) {
  const JobDirectory job = MakeDeadJob("train");
  proto::JobState state = Entry(job).state;
  state.mutable_agent()->set_host("elsewhere");
  ASSERT_OK(JobDirectory(job).WriteState(state));
  MakeSocketFile(ControlSocket(job));
  MarkedProcess rank(MarkOf(job));

  SweepLostJobs(context_);

  ExpectUntouched(job, rank);
}

// "train-abc123" may be a user's name for a job: its id then begins with the id of another one.
TEST_F(LostJobsTest, JobWhoseIdBeginsWithThatOfALostOneIsLeftAlone) {
  const JobDirectory lost = MakeDeadJob("train");
  MakeSocketFile(ControlSocket(lost));
  const JobDirectory live = MakeLiveJob(lost.job_id());
  MakeSocketFile(ControlSocket(live));
  MarkedProcess rank(MarkOf(live));

  SweepLostJobs(context_);

  EXPECT_TRUE(rank.Lives());
  EXPECT_TRUE(std::filesystem::exists(ControlSocket(live)));
  EXPECT_FALSE(std::filesystem::exists(ControlSocket(lost)));
}

TEST_F(LostJobsTest, WhateverElseLiesInTheSocketFolderIsLeftAlone) {
  const JobDirectory job = MakeDeadJob("train");
  MakeSocketFile(context_.socket_directory + "/other-abc123.sock");
  std::ofstream(context_.socket_directory + "/not-ours") << "no socket";

  SweepLostJobs(context_);

  EXPECT_THAT(err_.text(), HasSubstr(job.job_id() + " was lost"));
  EXPECT_TRUE(std::filesystem::exists(context_.socket_directory + "/other-abc123.sock"));
  EXPECT_TRUE(std::filesystem::exists(context_.socket_directory + "/not-ours"));
}

TEST_F(LostJobsTest, SocketsAreFoundWhereTheJobHadThem) {
  std::filesystem::create_directory(folder_ + "/elsewhere");
  proto::JobState state;
  state.set_socket_path(folder_ + "/elsewhere/any.sock");
  const JobDirectory job = MakeDeadJob("train", state);
  MakeSocketFile(ControlSocketPath(folder_ + "/elsewhere", job.job_id()));
  MakeSocketFile(AttachSocketPath(folder_ + "/elsewhere", job.job_id()));
  MarkedProcess left(MarkOf(job));

  SweepLostJobs(context_);

  EXPECT_EQ(left.AwaitSignal(), SIGKILL);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/elsewhere"));
}

TEST_F(LostJobsTest, JobWithoutSocketsIsFoundToo) {
  const JobDirectory job = MakeDeadJob("train");
  MarkedProcess left(MarkOf(job));

  SweepLostJobs(context_);

  EXPECT_EQ(left.AwaitSignal(), SIGKILL);
  EXPECT_EQ(Entry(job).state.phase(), proto::JOB_PHASE_LOST);
}

TEST_F(LostJobsTest, LostJobIsToldOnce) {
  MakeDeadJob("train");
  SweepLostJobs(context_);
  const std::string told = err_.text();

  SweepLostJobs(context_);

  EXPECT_THAT(told, HasSubstr("was lost"));
  EXPECT_EQ(err_.text(), told);
  EXPECT_THAT(OpenStore(context_).Unfinished(), IsEmpty());
}

TEST_F(LostJobsTest, JobWhoseDirectoryWasRemovedIsForgotten) {
  const JobDirectory job = MakeLiveJob("train");
  std::filesystem::remove_all(job.path());
  ASSERT_THAT(OpenStore(context_).Unfinished(), ElementsAre(job.job_id()));

  SweepLostJobs(context_);

  EXPECT_THAT(OpenStore(context_).Unfinished(), IsEmpty());
  EXPECT_THAT(err_.text(), IsEmpty());
}

TEST_F(LostJobsTest, JobThatSaidHowItEndedKeepsItsWord) {
  JobDirectory job = MakeDeadJob("train");
  proto::JobState state = Entry(job).state;
  state.set_phase(proto::JOB_PHASE_ENDED);
  state.set_exit_code(3);
  ASSERT_OK(job.WriteState(state));
  MakeSocketFile(ControlSocket(job));

  SweepLostJobs(context_);

  EXPECT_EQ(Entry(job).condition, JobCondition::kEnded);
  EXPECT_EQ(Entry(job).state.exit_code(), 3);
  EXPECT_FALSE(std::filesystem::exists(ControlSocket(job)));
  EXPECT_THAT(OpenStore(context_).Unfinished(), IsEmpty());
  EXPECT_THAT(err_.text(), IsEmpty()) << "nothing was lost";
}

TEST_F(LostJobsTest, OnlyOneCommandSweepsAtATime) {
  const JobDirectory job = MakeDeadJob("train");
  MakeSocketFile(ControlSocket(job));
  MarkedProcess left(MarkOf(job));
  base::UniqueFd other(
      ::open(UnfinishedFolder(context_.jobs_root).c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_EQ(::flock(other.get(), LOCK_EX), 0);

  SweepLostJobs(context_);
  ExpectUntouched(job, left);

  other.reset();
  SweepLostJobs(context_);
  EXPECT_EQ(left.AwaitSignal(), SIGKILL);
}

TEST_F(LostJobsTest, JobThatCannotBeMarkedKeepsItsSocketForTheNextCommand) {
  const JobDirectory job = MakeDeadJob("train");
  MakeSocketFile(ControlSocket(job));
  FaultyFileSystem full_disk(1);
  VerbContext context{.jobs_root = context_.jobs_root,
                      .socket_directory = context_.socket_directory,
                      .here = here_,
                      .clock = clock_,
                      .files = full_disk,
                      .out = out_.file(),
                      .err = err_.file()};

  SweepLostJobs(context);

  EXPECT_TRUE(std::filesystem::exists(ControlSocket(job)));
  EXPECT_THAT(err_.text(), HasSubstr("ENOSPC"));
  EXPECT_EQ(Entry(job).state.phase(), proto::JOB_PHASE_RUNNING);
}

TEST_F(LostJobsTest, FolderThatIsMissingHoldsNoJobs) {
  std::filesystem::remove_all(context_.socket_directory);

  SweepLostJobs(context_);

  EXPECT_THAT(err_.text(), IsEmpty());
}

// Nobody has their names: their records stayed for ever, and the job was "elsewhere".
TEST_F(LostJobsTest, HostsThatALostJobHasSimulatedAreLostWithIt) {
  proto::JobState state;
  state.set_simulates_hosts(true);
  const JobDirectory job = MakeDeadJob("train", state);
  JobDirectory simulated(job.path(), job.job_id(), here_.host + "-n1", files_);
  state = Entry(job).state;
  state.mutable_agent()->set_host(here_.host + "-n1");
  ASSERT_OK(simulated.WriteState(state));
  const std::string folder =
      SimulatedSocketFolder(context_.socket_directory, job.job_id(), base::NodeIndex(1));
  std::filesystem::create_directory(folder);
  MakeSocketFile(ControlSocketPath(folder, job.job_id()));
  const std::string others = context_.socket_directory + "/zzzzzz.n1";
  std::filesystem::create_directory(others);

  SweepLostJobs(context_);

  EXPECT_EQ(Entry(job).condition, JobCondition::kLost);
  EXPECT_FALSE(std::filesystem::exists(folder));
  EXPECT_TRUE(std::filesystem::exists(others));
  EXPECT_TRUE(std::filesystem::is_empty(UnfinishedFolder(context_.jobs_root)));
}

TEST_F(LostJobsTest, OtherHostsOfALostJobSpeakForThemselves) {
  const JobDirectory job = MakeDeadJob("train");
  JobDirectory elsewhere(job.path(), job.job_id(), "elsewhere", files_);
  proto::JobState state = Entry(job).state;
  state.mutable_agent()->set_host("elsewhere");
  ASSERT_OK(elsewhere.WriteState(state));

  SweepLostJobs(context_);

  EXPECT_EQ(Entry(job).condition, JobCondition::kElsewhere);
  EXPECT_THAT(OpenStore(context_).UnfinishedHosts(job.job_id()), ElementsAre("elsewhere"));
}

TEST_F(LostJobsTest, LiveJobIsNotEndedAsALostOne) {
  const JobDirectory job = MakeLiveJob("train");
  MarkedProcess rank(MarkOf(job));

  EXPECT_THAT(EndLostJob(context_, job.job_id()), StatusIs(Code::kFailedPrecondition));

  EXPECT_TRUE(rank.Lives());
}

TEST_F(LostJobsTest, JobIsEndedOnce) {
  const JobDirectory job = MakeDeadJob("train");
  MarkedProcess left(MarkOf(job));

  EXPECT_THAT(EndLostJob(context_, job.job_id()), IsOkAndHolds(1));
  const auto first = Entry(job).state.ended();
  EXPECT_THAT(EndLostJob(context_, job.job_id()), IsOkAndHolds(0));

  EXPECT_EQ(Entry(job).state.ended().nanos(), first.nanos());
}

}  // namespace
}  // namespace lockstep::launcher
