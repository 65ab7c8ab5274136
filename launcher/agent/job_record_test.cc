// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/job_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "launcher/jobs/faulty_file_system.h"
#include "launcher/jobs/job_store.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Round;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kNever = 0;  // of FaultyFileSystem's failing call

proto::Verdict VerdictOf(int exit_code) {
  proto::Verdict verdict;
  verdict.set_class_(proto::Verdict::DEAD_RANK);
  verdict.set_exit_code(exit_code);
  return verdict;
}

class JobRecordTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::string(::getenv("TEST_TMPDIR")) + "/record_XXXXXX";
    ASSERT_NE(::mkdtemp(root_.data()), nullptr);
    proto::JobState state;
    state.set_phase(proto::JOB_PHASE_STARTING);
    ASSERT_OK_AND_ASSIGN(*state.mutable_front(), IdentifyProcess(here_, ::getpid()));
    const base::Result<JobDirectory> made = JobDirectory::Create(
        root_, {.name = "train", .seed = 1, .state = state}, here_, real_files_);
    ASSERT_OK(made);
    id_ = made->job_id();
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  /// The disk is full from the `failing_call`-th changing call on.
  JobRecord& Make(int failing_call, const std::string& log_directory = "") {
    files_ = std::make_unique<FaultyFileSystem>(failing_call);
    record_ = std::make_unique<JobRecord>(
        JobRecord::Config{.directory = JobDirectory(Path(""), id_, here_.host, *files_),
                          .state = Entry().state,
                          .here = here_,
                          .socket_path = "/run/user/7/lockstep/train.sock",
                          .spec_text = "spec: {}\n",
                          .log_directory = log_directory},
        loop_, [this](const base::Status& why) { troubles_.push_back(why.ToString()); });
    return *record_;
  }

  std::string Path(const std::string& name) const {
    return root_ + "/" + id_ + (name.empty() ? "" : "/" + name);
  }
  std::string Text(const std::string& name) {
    const auto text = storage::ReadText(real_files_, Path(name), 100'000);
    return text.ok() ? *text : "";
  }
  JobEntry Entry() { return JobStore(root_, here_, real_files_).Get(id_).value(); }

  const HostIdentity here_ = ThisHost();
  storage::RealFileSystem real_files_;
  std::string root_;
  std::string id_;
  event::SimLoop loop_;
  std::vector<std::string> troubles_;
  std::unique_ptr<FaultyFileSystem> files_;
  std::unique_ptr<JobRecord> record_;
};

TEST_F(JobRecordTest, StateSaysWhatTheJobDoesAndWhereItsAgentIs) {
  JobRecord& record = Make(kNever);

  record.SetRound(Round(2));
  record.SaveRestarts(2);

  const proto::JobState state = Entry().state;
  EXPECT_EQ(state.phase(), proto::JOB_PHASE_BACKING_OFF);
  EXPECT_EQ(state.round(), 2u);
  EXPECT_EQ(state.restarts_used(), 2u);
  EXPECT_EQ(state.agent().pid(), ::getpid());
  EXPECT_EQ(state.socket_path(), "/run/user/7/lockstep/train.sock");
  EXPECT_FALSE(state.has_ended());
}

TEST_F(JobRecordTest, RunningIsWrittenSoonAndNotAtOnce) {
  JobRecord& record = Make(kNever);

  record.SaveRunningSoon();

  EXPECT_EQ(Entry().state.phase(), proto::JOB_PHASE_STARTING);
  loop_.RunFor(1s);
  EXPECT_EQ(Entry().state.phase(), proto::JOB_PHASE_RUNNING);
}

TEST_F(JobRecordTest, RunningIsNotWrittenOverNewerNews) {
  JobRecord& record = Make(kNever);

  record.SaveRunningSoon();
  record.SaveEnd(3);
  loop_.RunFor(1s);

  const JobEntry entry = Entry();
  EXPECT_EQ(entry.condition, JobCondition::kEnded);
  EXPECT_EQ(entry.state.exit_code(), 3);
  EXPECT_TRUE(entry.state.has_ended());
}

TEST_F(JobRecordTest, SpecIsWrittenOnceAndAtTheEndAtLatest) {
  JobRecord& record = Make(kNever);

  record.SaveEnd(0);
  EXPECT_EQ(Text("spec.yaml"), "spec: {}\n");

  std::filesystem::remove(Path("spec.yaml"));
  record.SaveSpec();
  EXPECT_EQ(Text("spec.yaml"), "");
}

TEST_F(JobRecordTest, VerdictsLieWithTheirRoundAndWithTheJob) {
  JobRecord& record = Make(kNever);

  EXPECT_OK(record.MakeRoundFolder(Round(1)));
  record.SaveRoundVerdict(Round(1), VerdictOf(4));
  record.SaveVerdict(VerdictOf(5));

  EXPECT_THAT(Text("round-1/verdict.json"), HasSubstr("\"exit_code\": 4"));
  EXPECT_THAT(Text("verdict.json"), HasSubstr("\"exit_code\": 5"));
  EXPECT_THAT(troubles_, IsEmpty());
}

TEST_F(JobRecordTest, RanksFilesGoBelowTheLogFolderWhenThereIsOne) {
  JobRecord& record = Make(kNever, root_ + "/logs/train");

  EXPECT_OK(record.MakeRoundFolder(Round(3)));

  EXPECT_EQ(record.RoundFolder(Round(3)), root_ + "/logs/train/round-3");
  EXPECT_TRUE(std::filesystem::is_directory(record.RoundFolder(Round(3))));
  EXPECT_TRUE(std::filesystem::is_directory(Path("round-3"))) << "for the round's verdict";
}

TEST_F(JobRecordTest, FolderThatCannotBeMadeIsTheCallersMatter) {
  EXPECT_THAT(Make(1).MakeRoundFolder(Round(0)), StatusIs(Code::kResourceExhausted));
  EXPECT_THAT(Make(kNever, "/proc/logs").MakeRoundFolder(Round(0)),
              StatusIs(Code::kNotFound, HasSubstr("/proc/logs/round-0")));
  EXPECT_THAT(troubles_, IsEmpty());
}

/// For k = 1, 2, ...: the disk is full from the k-th changing call on. Nothing ends, it is told
/// once, and that the job has ended is written all the same.
TEST_F(JobRecordTest, FullDiskIsToldOnceAndTheEndIsWritten) {
  for (int k = 1;; ++k) {
    troubles_.clear();
    JobRecord& record = Make(k);
    const base::Status made = record.MakeRoundFolder(Round(0));
    record.SaveRunning();
    record.SaveSpec();
    record.SaveRoundVerdict(Round(0), VerdictOf(1));
    record.SaveRestarts(1);
    record.SaveVerdict(VerdictOf(2));
    record.SaveEnd(k);

    EXPECT_EQ(Entry().condition, JobCondition::kEnded) << "call " << k;
    EXPECT_EQ(Entry().state.exit_code(), k);
    if (!files_->failed()) {
      EXPECT_OK(made);
      EXPECT_THAT(troubles_, IsEmpty());
      EXPECT_GT(k, 10);
      break;
    }
    // When but the last state meets the full disk, it has its room.
    if (files_->calls() > k) {
      EXPECT_THAT(troubles_, ElementsAre(HasSubstr("ENOSPC"))) << "call " << k;
    }
  }
}

TEST_F(JobRecordTest, JobThatNeverBeganHasAVerdictAndAnEnd) {
  EXPECT_OK(Make(kNever).GiveUp(VerdictOf(71), 71));

  EXPECT_EQ(Entry().state.exit_code(), 71);
  EXPECT_THAT(Text("verdict.json"), HasSubstr("\"exit_code\": 71"));
}

TEST_F(JobRecordTest, GivingUpReturnsWhatCouldNotBeWrittenAndTriesTheRest) {
  EXPECT_THAT(Make(1).GiveUp(VerdictOf(71), 71),
              StatusIs(Code::kResourceExhausted, HasSubstr("verdict.json")));

  EXPECT_EQ(Entry().condition, JobCondition::kEnded);
  EXPECT_THAT(troubles_, IsEmpty());
}

}  // namespace
}  // namespace lockstep::launcher
