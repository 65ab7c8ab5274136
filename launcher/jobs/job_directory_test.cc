// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/job_directory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "launcher/jobs/faulty_file_system.h"
#include "launcher/jobs/job_store.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/storage/file_system.h"

namespace {

std::atomic<int> syncs_total{0};

}  // namespace

// In the place of the C library's.
extern "C" int fsync(int) {
  ++syncs_total;
  return 0;
}
extern "C" int fdatasync(int) {
  ++syncs_total;
  return 0;
}

namespace lockstep::launcher {
namespace {

using base::Code;
using base::Rank;
using base::Round;
using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

class JobsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::string(::getenv("TEST_TMPDIR")) + "/jobs_XXXXXX";
    ASSERT_NE(::mkdtemp(root_.data()), nullptr);
    ASSERT_OK_AND_ASSIGN(self_, IdentifyProcess(here_, ::getpid()));
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  /// A job of this process, which started at second `started`.
  JobDirectory::NewJob NewJob(const std::string& name, int64_t started = 100) {
    JobDirectory::NewJob job{.name = name, .seed = ++seed_};
    job.state.set_phase(proto::JOB_PHASE_RUNNING);
    *job.state.mutable_agent() = self_;
    job.state.mutable_started()->set_seconds(started);
    return job;
  }
  base::Result<JobDirectory> Create(JobDirectory::NewJob job) {
    return JobDirectory::Create(root_, std::move(job), here_, files_);
  }
  JobDirectory::NewJob DeadJob(const std::string& name, int64_t started = 100) {
    JobDirectory::NewJob job = NewJob(name, started);
    job.state.mutable_agent()->set_start_ticks(1);
    return job;
  }
  JobDirectory::NewJob EndedJob(const std::string& name, int64_t started, int64_t ended) {
    JobDirectory::NewJob job = DeadJob(name, started);
    job.state.set_phase(proto::JOB_PHASE_ENDED);
    job.state.mutable_ended()->set_seconds(ended);
    return job;
  }
  std::string IdOf(base::Result<JobDirectory> directory) {
    EXPECT_OK(directory);
    return directory.ok() ? directory->job_id() : "";
  }
  JobStore Store() { return JobStore(root_, here_, files_); }
  /// But the list of those that are unfinished.
  std::vector<std::string> InRoot() {
    std::vector<std::string> names = *files_.ListDirectory(root_);
    std::erase(names, ".unfinished");
    return names;
  }

  const HostIdentity here_ = ThisHost();
  storage::RealFileSystem files_;
  std::string root_;
  proto::ProcessIdentity self_;
  uint64_t seed_ = 0;
};

using JobDirectoryTest = JobsTest;
using JobStoreTest = JobsTest;

TEST_F(JobsTest, AHostReadsWhatItHasWrittenItself) {
  ASSERT_OK_AND_ASSIGN(const JobDirectory job, Create(NewJob("train")));
  JobDirectory others(job.path(), job.job_id(), "other", files_);
  EXPECT_THAT(others.ReadState(), StatusIs(Code::kNotFound));
  proto::JobState state;
  state.set_phase(proto::JOB_PHASE_ENDED);
  ASSERT_OK(others.WriteState(state));

  ASSERT_OK_AND_ASSIGN(const proto::JobState own, job.ReadState());
  EXPECT_EQ(own.phase(), proto::JOB_PHASE_RUNNING);
  ASSERT_OK_AND_ASSIGN(const proto::JobState theirs, others.ReadState());
  EXPECT_EQ(theirs.phase(), proto::JOB_PHASE_ENDED);

  std::ofstream(job.StatePath()) << "";
  EXPECT_THAT(job.ReadState(), StatusIs(Code::kDataLoss));
}

TEST_F(JobDirectoryTest, NewJobHasAPrivateFolderWithItsState) {
  ASSERT_OK_AND_ASSIGN(JobDirectory job, Create(NewJob("mnist")));

  EXPECT_THAT(job.job_id(), MatchesRegex("mnist-[0-9a-z]{6}"));
  EXPECT_EQ(job.path(), root_ + "/" + job.job_id());
  struct stat status{};
  ASSERT_EQ(::stat(job.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  EXPECT_EQ(job.StatePath(), job.path() + "/state." + here_.host + ".pb");
  EXPECT_TRUE(std::filesystem::exists(job.StatePath()));
}

// A disk may take 50 ms for one; ranks wait for none.
TEST_F(JobDirectoryTest, NothingIsSynced) {
  ASSERT_OK_AND_ASSIGN(JobDirectory job, Create(NewJob("mnist")));
  EXPECT_OK(job.WriteState({}));
  EXPECT_OK(job.WriteSpec("{}"));
  EXPECT_OK(job.MakeRound(Round(0)));
  EXPECT_OK(job.WriteRoundVerdict(Round(0), "{}"));
  EXPECT_OK(job.WriteVerdict("{}"));
  EXPECT_OK(job.Finish());

  EXPECT_EQ(syncs_total, 0);
  EXPECT_OK(files_.SyncDirectory(root_));
  EXPECT_EQ(syncs_total, 1) << "the test would not have seen one";
}

TEST_F(JobDirectoryTest, EverythingHasItsPlace) {
  ASSERT_OK_AND_ASSIGN(JobDirectory job, Create(NewJob("mnist")));

  EXPECT_OK(job.WriteSpec("{}"));
  EXPECT_OK(job.WriteVerdict("{\"class\": \"DEAD_RANK\"}"));
  EXPECT_OK(job.MakeRound(Round(2)));
  EXPECT_OK(job.MakeRound(Round(2)));
  EXPECT_OK(job.WriteRoundVerdict(Round(2), "{}"));

  EXPECT_THAT(*files_.ListDirectory(job.path()),
              ElementsAre("round-2", "spec.yaml", "state." + here_.host + ".pb", "verdict.json"));
  EXPECT_THAT(storage::ReadText(files_, job.VerdictPath(), 100),
              IsOkAndHolds(std::string("{\"class\": \"DEAD_RANK\"}")));
  EXPECT_EQ(job.EventsPath(), job.path() + "/events." + here_.host + ".jsonl");
}

TEST_F(JobDirectoryTest, JobIsListedAsUnfinishedUntilNothingOfItIsLeft) {
  ASSERT_OK_AND_ASSIGN(JobDirectory job, Create(NewJob("mnist")));
  ASSERT_OK_AND_ASSIGN(JobDirectory other, Create(NewJob("other")));
  EXPECT_THAT(Store().Unfinished(), ElementsAre(job.job_id(), other.job_id()));

  // By its own word: a socket or a process may be there still.
  proto::JobState state;
  state.set_phase(proto::JOB_PHASE_ENDED);
  EXPECT_OK(job.WriteState(state));
  EXPECT_THAT(Store().Unfinished(), ElementsAre(job.job_id(), other.job_id()));
  EXPECT_OK(job.Finish());
  EXPECT_OK(job.Finish());
  EXPECT_THAT(Store().Unfinished(), ElementsAre(other.job_id()));

  // Neither that one which ended nor one that is lost comes back.
  EXPECT_OK(job.WriteState(state));
  state.set_phase(proto::JOB_PHASE_LOST);
  EXPECT_OK(JobDirectory(job.path(), job.job_id(), here_.host, files_).WriteState(state));
  EXPECT_THAT(Store().Unfinished(), ElementsAre(other.job_id()));
}

// Hosts share a home folder, and each knows who lives on itself.
TEST_F(JobDirectoryTest, JobIsUnfinishedOnEachHostThatWritesItsState) {
  ASSERT_OK_AND_ASSIGN(JobDirectory job, Create(NewJob("mnist")));
  proto::JobState state;
  state.set_phase(proto::JOB_PHASE_RUNNING);
  JobDirectory there(job.path(), job.job_id(), "node-b.example:1", files_);
  EXPECT_OK(there.WriteState(state));
  EXPECT_OK(job.Finish());

  const HostIdentity node_b{.host = "node-b.example:1", .boot_id = ""};
  EXPECT_THAT(Store().Unfinished(), IsEmpty());
  EXPECT_THAT(JobStore(root_, node_b, files_).Unfinished(), ElementsAre(job.job_id()));
  const HostIdentity suffix{.host = "example:1", .boot_id = ""};
  EXPECT_THAT(JobStore(root_, suffix, files_).Unfinished(), IsEmpty());
}

// A state file without an id was skipped by readers, and the live job shown as lost.
TEST_F(JobDirectoryTest, StateAlwaysNamesItsJobAndNoOther) {
  ASSERT_OK_AND_ASSIGN(JobDirectory job, Create(NewJob("mnist")));
  proto::JobState nameless = NewJob("mnist").state;
  ASSERT_EQ(nameless.job_id(), "");
  proto::JobState foreign = nameless;
  foreign.set_job_id("mnist-000000");

  EXPECT_OK(job.WriteState(nameless));
  EXPECT_THAT(job.WriteState(foreign), StatusIs(Code::kInvalidArgument, HasSubstr("mnist-000000")));

  EXPECT_EQ(Store().Find("mnist")->condition, JobCondition::kLive);
  EXPECT_EQ(Store().Find("mnist")->state.job_id(), job.job_id());
}

TEST_F(JobDirectoryTest, HostNameCannotLeaveTheFolder) {
  const JobDirectory job("/jobs/x-1", "x-1", "../../etc/host name", files_);

  EXPECT_EQ(job.StatePath(), "/jobs/x-1/state..._.._etc_host_name.pb");
}

TEST_F(JobDirectoryTest, NameOfALiveJobIsTakenOnlyForUsers) {
  const std::string id = IdOf(Create(NewJob("train")));
  JobDirectory::NewJob named = NewJob("train");
  named.name_is_users = true;

  EXPECT_THAT(Create(named),
              StatusIs(Code::kAlreadyExists, HasSubstr("`lockstep stop " + id + "`")));
  EXPECT_OK(Create(NewJob("train")));
  named.name = "trai";
  EXPECT_OK(Create(named));
}

TEST_F(JobDirectoryTest, NameOfADeadJobIsFree) {
  ASSERT_OK(Create(DeadJob("train")));
  JobDirectory::NewJob named = NewJob("train");
  named.name_is_users = true;

  EXPECT_OK(Create(named));
}

TEST_F(JobDirectoryTest, OfJobsStartedAtOnceOneGetsTheName) {
  std::atomic<int> won{0}, refused{0};
  std::vector<std::thread> commands;
  for (int i = 0; i < 8; ++i) {
    JobDirectory::NewJob job = NewJob("train");
    job.name_is_users = true;
    commands.emplace_back([&, job] {
      const auto directory = Create(job);
      directory.ok() ? ++won : ++refused;
      if (!directory.ok()) {
        EXPECT_THAT(directory, StatusIs(Code::kAlreadyExists));
      }
    });
  }
  for (std::thread& command : commands) command.join();

  EXPECT_EQ(won, 1);
  EXPECT_EQ(refused, 7);
}

TEST_F(JobDirectoryTest, LockThatIsNeverReleasedIsAnErrorAfterTwoSeconds) {
  const base::UniqueFd another_command(::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(another_command.get(), LOCK_EX), 0);
  JobDirectory::NewJob named = NewJob("train");
  named.name_is_users = true;

  EXPECT_THAT(Create(named), StatusIs(Code::kDeadlineExceeded, HasSubstr(root_)));
  EXPECT_OK(Create(NewJob("unnamed")));
}

TEST_F(JobDirectoryTest, IdThatExistsIsNotUsedTwice) {
  JobDirectory::NewJob job = NewJob("same");
  std::set<std::string> ids;

  for (int i = 0; i < 5; ++i) ids.insert(IdOf(Create(job)));  // the same seed each time

  EXPECT_EQ(ids.size(), 5u);
}

TEST_F(JobDirectoryTest, OnAFullDiskTheEndOfAJobIsWrittenOverItsOldState) {
  const base::Result<JobDirectory> made =
      JobDirectory::Create(root_, NewJob("train"), here_, files_);
  ASSERT_OK(made);
  FaultyFileSystem full(1);
  JobDirectory job(made->path(), made->job_id(), here_.host, full);
  proto::JobState state;

  // Longer than the old one, and then shorter.
  for (const std::string& command : {std::string(500, 'x'), std::string()}) {
    state.set_phase(proto::JOB_PHASE_ENDED);
    state.set_exit_code(static_cast<int>(command.size()));
    state.set_command(command);
    EXPECT_OK(job.WriteState(state));

    const base::Result<JobEntry> entry = JobStore(root_, here_, files_).Get(job.job_id());
    ASSERT_OK(entry);
    EXPECT_EQ(entry->condition, JobCondition::kEnded);
    EXPECT_EQ(entry->state.exit_code(), static_cast<int>(command.size()));
    EXPECT_EQ(entry->state.command(), command);
  }
}

TEST_F(JobDirectoryTest, OnAFullDiskTheStateOfAJobThatRunsStays) {
  const base::Result<JobDirectory> made =
      JobDirectory::Create(root_, NewJob("train"), here_, files_);
  ASSERT_OK(made);
  FaultyFileSystem full(1);
  JobDirectory job(made->path(), made->job_id(), here_.host, full);
  proto::JobState state;
  state.set_phase(proto::JOB_PHASE_RUNNING);
  state.set_round(7);

  EXPECT_THAT(job.WriteState(state), StatusIs(Code::kResourceExhausted));

  EXPECT_EQ(JobStore(root_, here_, files_).Get(job.job_id())->state.round(), 0);
}

/// For k = 1, 2, ...: the disk is full from the k-th changing call on.
TEST_F(JobDirectoryTest, FullDiskAtAnyCallIsAnErrorThatLeavesNoHalfFile) {
  for (int k = 1;; ++k) {
    FaultyFileSystem files(k);
    base::Status status;
    const auto keep = [&status](const base::Status& next) {
      if (status.ok()) status = next;
    };
    base::Result<JobDirectory> job = JobDirectory::Create(root_, NewJob("fault"), here_, files);
    keep(job.status());
    proto::JobState second = NewJob("fault").state;
    if (job.ok()) {
      second.set_job_id(job->job_id());
      second.set_round(1);
      keep(job->WriteSpec("{\"spec\": 1}"));
      keep(job->MakeRound(Round(0)));
      keep(job->WriteRoundVerdict(Round(0), "{\"verdict\": 0}"));
      keep(job->WriteState(second));
      keep(job->WriteVerdict("{\"verdict\": 1}"));
    }
    if (!files.failed()) {
      EXPECT_OK(status);
      EXPECT_GT(k, 10);
      break;
    }

    EXPECT_THAT(status, StatusIs(Code::kResourceExhausted, HasSubstr("ENOSPC"))) << "call " << k;
    if (!job.ok()) {
      EXPECT_THAT(InRoot(), IsEmpty()) << "call " << k;
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(job->path())) {
      EXPECT_THAT(entry.path().string(), Not(::testing::EndsWith(".tmp"))) << "call " << k;
    }
    proto::JobState state;
    ASSERT_TRUE(state.ParseFromString(*storage::ReadText(files_, job->StatePath(), 10'000)));
    EXPECT_EQ(state.job_id(), job->job_id());
    if (std::filesystem::exists(job->SpecPath())) {
      EXPECT_THAT(storage::ReadText(files_, job->SpecPath(), 100),
                  IsOkAndHolds(std::string("{\"spec\": 1}")));
    }
    ASSERT_OK(files_.RemoveTree(job->path()));
  }
}

TEST_F(JobStoreTest, ConditionsAreToldApart) {
  const std::string live = IdOf(Create(NewJob("live", 10)));
  const std::string lost = IdOf(Create(DeadJob("lost", 40)));
  const std::string ended = IdOf(Create(EndedJob("ended", 30, 35)));
  JobDirectory::NewJob other = NewJob("other", 20);
  other.state.mutable_agent()->set_host("another-host");
  const std::string elsewhere = IdOf(Create(other));

  ASSERT_OK_AND_ASSIGN(const std::vector<JobEntry> jobs, Store().List());

  ASSERT_EQ(jobs.size(), 4u);
  EXPECT_EQ(jobs[0].id, live);
  EXPECT_EQ(jobs[0].condition, JobCondition::kLive);
  EXPECT_EQ(jobs[0].host, here_.host);
  EXPECT_EQ(jobs[1].id, lost);
  EXPECT_EQ(jobs[1].condition, JobCondition::kLost);
  EXPECT_EQ(jobs[2].id, ended);
  EXPECT_EQ(jobs[2].condition, JobCondition::kEnded);
  EXPECT_EQ(jobs[3].id, elsewhere);
  EXPECT_EQ(jobs[3].condition, JobCondition::kElsewhere);
}

TEST_F(JobStoreTest, PowerLossLeavesALostJob) {
  ASSERT_OK_AND_ASSIGN(JobDirectory empty_state, Create(NewJob("a")));
  std::filesystem::resize_file(empty_state.StatePath(), 0);
  ASSERT_OK_AND_ASSIGN(JobDirectory garbage, Create(NewJob("b")));
  std::ofstream(garbage.StatePath()) << std::string(100, '\xff');
  ASSERT_OK(files_.MakeDirectory(root_ + "/c-000000"));
  JobDirectory::NewJob rebooted = NewJob("d");
  rebooted.state.mutable_agent()->set_boot_id("before");
  ASSERT_OK(Create(rebooted));

  ASSERT_OK_AND_ASSIGN(const std::vector<JobEntry> jobs, Store().List());

  EXPECT_EQ(jobs.size(), 4u);
  for (const JobEntry& job : jobs) EXPECT_EQ(job.condition, JobCondition::kLost) << job.id;
  EXPECT_THAT(Store().Prune(base::WallTime(std::chrono::hours(1))),
              IsOkAndHolds(::testing::SizeIs(4)));
}

TEST_F(JobStoreTest, ForeignFoldersAreLeftAlone) {
  ASSERT_OK(files_.MakeDirectory(root_ + "/photos"));
  std::ofstream(root_ + "/photos/cat.jpg") << "meow";
  std::ofstream(root_ + "/note-abcdef") << "a file";

  EXPECT_THAT(Store().List(), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(Store().Prune(base::WallTime(std::chrono::hours(1))), IsOkAndHolds(IsEmpty()));
  EXPECT_TRUE(std::filesystem::exists(root_ + "/photos/cat.jpg"));
}

TEST_F(JobStoreTest, MissingRootHoldsNothing) {
  EXPECT_THAT(JobStore(root_ + "/none", here_, files_).List(), IsOkAndHolds(IsEmpty()));
}

TEST_F(JobStoreTest, JobsAreFoundByIdNameAndBeginning) {
  const std::string old_id = IdOf(Create(EndedJob("train", 10, 20)));
  const std::string new_id = IdOf(Create(EndedJob("train", 30, 40)));
  const std::string live_id = IdOf(Create(NewJob("train", 5)));
  const std::string other_id = IdOf(Create(EndedJob("trainer", 50, 60)));

  EXPECT_EQ(Store().Find(old_id)->id, old_id);
  EXPECT_EQ(Store().Find("train")->id, live_id);
  EXPECT_EQ(Store().Find("trainer")->id, other_id);
  EXPECT_EQ(Store().Find("traine")->id, other_id);
  EXPECT_THAT(Store().Find("trai"), StatusIs(Code::kInvalidArgument, HasSubstr(new_id)));
  EXPECT_THAT(Store().Find("nothing"), StatusIs(Code::kNotFound, HasSubstr(live_id)));
  EXPECT_THAT(Store().Find(""), StatusIs(Code::kNotFound));
}

TEST_F(JobStoreTest, LiveJobsAndThoseOfOtherHostsAreNotRemoved) {
  ASSERT_OK(Create(NewJob("live")));
  JobDirectory::NewJob other = NewJob("other");
  other.state.mutable_agent()->set_host("another-host");
  ASSERT_OK(Create(other));
  JobStore store = Store();

  EXPECT_THAT(store.Remove(*store.Find("live")),
              StatusIs(Code::kFailedPrecondition, HasSubstr("lockstep stop")));
  EXPECT_THAT(store.Remove(*store.Find("other")),
              StatusIs(Code::kFailedPrecondition, HasSubstr("remove it there")));
  EXPECT_EQ(InRoot().size(), 2u);
}

TEST_F(JobStoreTest, RemovedJobIsGone) {
  ASSERT_OK(Create(EndedJob("done", 1, 2)));
  JobStore store = Store();
  const JobEntry job = *store.Find("done");

  EXPECT_OK(store.Remove(job));

  EXPECT_THAT(InRoot(), IsEmpty());
  EXPECT_THAT(store.Remove(job), StatusIs(Code::kNotFound));
}

TEST_F(JobStoreTest, PruneTakesWhatEndedBefore) {
  const std::string old_id = IdOf(Create(EndedJob("old", 10, 20)));
  const std::string long_run = IdOf(Create(EndedJob("long", 10, 200)));
  const std::string live = IdOf(Create(NewJob("live", 1)));

  EXPECT_THAT(Store().Prune(base::WallTime(std::chrono::seconds(100))),
              IsOkAndHolds(ElementsAre(old_id)));

  EXPECT_THAT(InRoot(), ElementsAre(live, long_run));
}

TEST_F(JobStoreTest, StateOfTheHostThatKnowsMostCounts) {
  ASSERT_OK_AND_ASSIGN(JobDirectory job, Create(NewJob("train")));
  JobDirectory theirs(job.path(), job.job_id(), "another-host", files_);
  proto::JobState their_state = NewJob("train").state;
  their_state.set_job_id(job.job_id());
  their_state.mutable_agent()->set_host("another-host");
  ASSERT_OK(theirs.WriteState(their_state));

  ASSERT_OK_AND_ASSIGN(const JobEntry entry, Store().Find("train"));

  EXPECT_EQ(entry.condition, JobCondition::kLive);
  EXPECT_EQ(entry.host, here_.host);
}

}  // namespace
}  // namespace lockstep::launcher
