// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/show_logs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "launcher/verbs/testing/verb_fixture.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::Rank;
using base::Round;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ShowLogsTest : public VerbTest {
 protected:
  static proto::JobState Ranks(int count) {
    proto::JobState state;
    state.set_rank_count(count);
    return state;
  }
  static void Append(const std::string& path, std::string_view text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::app) << text;
  }
  void Out(const JobDirectory& job, int rank, std::string_view text, uint32_t round = 0) {
    Append(job.RoundPath(Round(round)) + "/rank-" + std::to_string(rank) + ".stdout", text);
  }
  void Err(const JobDirectory& job, int rank, std::string_view text) {
    Append(job.RoundPath(Round(0)) + "/rank-" + std::to_string(rank) + ".stderr", text);
  }
  /// Waits until the verb has printed `text`; false after 10 s.
  bool SeesOutput(const std::string& text) {
    const auto deadline = clock_.Now() + std::chrono::seconds(10);
    while (out_.text().find(text) == std::string::npos) {
      if (clock_.Now() > deadline) return false;
      ::poll(nullptr, 0, 1);
    }
    return true;
  }
  void End(JobDirectory job) {
    proto::JobState state = Entry(job).state;
    state.set_phase(proto::JOB_PHASE_ENDED);
    ASSERT_OK(job.WriteState(state));
  }
};

TEST_F(ShowLogsTest, EachLineOfSeveralRanksBeginsWithItsRank) {
  const JobDirectory job = MakeEndedJob("train", 0, Ranks(11));
  Out(job, 10, "ten\n");
  Out(job, 2, "one\ntwo\n");
  Err(job, 2, "warning\n");

  ASSERT_OK(ShowLogs(context_, {.job = "train"}));

  EXPECT_EQ(out_.text(), "[ 2] one\n[ 2] two\n[10] ten\n");
  EXPECT_EQ(err_.text(), "[ 2] warning\n");
}

TEST_F(ShowLogsTest, OneRankComesAsItIs) {
  const JobDirectory job = MakeEndedJob("train", 0, Ranks(4));
  Out(job, 3, "10%\r20%\r\n");
  Out(job, 1, "other\n");

  ASSERT_OK(ShowLogs(context_, {.job = "train", .rank = Rank(3)}));

  EXPECT_EQ(out_.text(), "10%\r20%\r\n");
}

TEST_F(ShowLogsTest, OneStreamAlone) {
  const JobDirectory job = MakeEndedJob("train", 0, Ranks(1));
  Out(job, 0, "out\n");
  Err(job, 0, "err\n");

  ASSERT_OK(ShowLogs(context_, {.job = "train", .streams = LogStreams::kStderr}));
  EXPECT_EQ(out_.text(), "");
  EXPECT_EQ(err_.text(), "err\n");

  ASSERT_OK(ShowLogs(context_, {.job = "train", .streams = LogStreams::kStdout}));
  EXPECT_EQ(out_.text(), "out\n");
  EXPECT_EQ(err_.text(), "err\n");
}

TEST_F(ShowLogsTest, TailIsOfEachFile) {
  const JobDirectory job = MakeEndedJob("train", 0, Ranks(2));
  Out(job, 0, "a\nb\n");
  Out(job, 1, "c\nd\n");

  ASSERT_OK(ShowLogs(context_, {.job = "train", .tail_lines = 1}));

  EXPECT_EQ(out_.text(), "[0] b\n[1] d\n");
}

TEST_F(ShowLogsTest, RotatedFilesAreOneStream) {
  const JobDirectory job = MakeEndedJob("train", 0, Ranks(2));
  const std::string file = job.RoundPath(Round(0)) + "/rank-1.stdout";
  Append(file + ".2", "one\n");
  Append(file + ".1", "two\n");
  Append(file, "three\n");
  Out(job, 0, "zero\n");

  ASSERT_OK(ShowLogs(context_, {.job = "train"}));
  EXPECT_EQ(out_.text(), "[0] zero\n[1] one\n[1] two\n[1] three\n");

  ASSERT_OK(ShowLogs(context_, {.job = "train", .rank = Rank(1), .tail_lines = 2}));
  EXPECT_EQ(out_.text(), "[0] zero\n[1] one\n[1] two\n[1] three\ntwo\nthree\n");
}

TEST_F(ShowLogsTest, ARotationIsFollowed) {
  const JobDirectory job = MakeLiveJob("train", Ranks(2));
  const std::string file = job.RoundPath(Round(0)) + "/rank-1.stdout";
  Append(file, "one\n");
  base::Status outcome = base::UnknownError("still following");
  std::thread follower([&] {
    outcome = ShowLogs(context_, {.job = job.job_id(), .tail_lines = 1, .follow = true});
  });

  EXPECT_TRUE(SeesOutput("[1] one\n"));
  Append(file, "two\n");
  std::filesystem::rename(file, file + ".1");
  EXPECT_TRUE(SeesOutput("[1] two\n"));
  Append(file, "three\n");
  End(job);
  follower.join();

  EXPECT_OK(outcome);
  EXPECT_EQ(out_.text(), "[1] one\n[1] two\n[1] three\n");
  EXPECT_THAT(err_.text(), IsEmpty());
}

TEST_F(ShowLogsTest, LastRoundUnlessAnotherIsNamed) {
  proto::JobState state = Ranks(1);
  state.set_round(1);
  const JobDirectory job = MakeEndedJob("train", 0, state);
  Out(job, 0, "first\n", 0);
  Out(job, 0, "second\n", 1);

  ASSERT_OK(ShowLogs(context_, {.job = "train"}));
  EXPECT_EQ(out_.text(), "second\n");

  ASSERT_OK(ShowLogs(context_, {.job = "train", .round = Round(0)}));
  EXPECT_EQ(out_.text(), "second\nfirst\n");
}

TEST_F(ShowLogsTest, LogFolderThatTheUserNamed) {
  proto::JobState state = Ranks(1);
  state.set_log_directory(folder_ + "/logs");
  MakeEndedJob("train", 0, state);
  Append(folder_ + "/logs/round-0/rank-0.stdout", "there\n");

  ASSERT_OK(ShowLogs(context_, {.job = "train"}));

  EXPECT_EQ(out_.text(), "there\n");
}

TEST_F(ShowLogsTest, RankAndRoundThatTheJobNeverHadAreOutOfRange) {
  MakeEndedJob("train", 0, Ranks(4));

  EXPECT_THAT(ShowLogs(context_, {.job = "train", .rank = Rank(4)}),
              StatusIs(Code::kOutOfRange, HasSubstr("has 4 ranks")));
  EXPECT_THAT(ShowLogs(context_, {.job = "train", .round = Round(1)}),
              StatusIs(Code::kOutOfRange, HasSubstr("round 0")));
}

TEST_F(ShowLogsTest, OutputOfAnotherLaunchersJobIsWithThat) {
  proto::JobState state = Ranks(2);
  state.set_launcher("mpirun (Open MPI)");
  const JobDirectory job = MakeLiveJob("train", state);

  ASSERT_OK(ShowLogs(context_, {.job = "train", .follow = true}));

  EXPECT_EQ(err_.text(), "lockstep: the output of job " + job.job_id() +
                             " is with mpirun (Open MPI), which has started it\n");
}

TEST_F(ShowLogsTest, SilenceIsNoError) {
  const JobDirectory job = MakeEndedJob("train", 0, Ranks(1));

  ASSERT_OK(ShowLogs(context_, {.job = "train"}));

  EXPECT_EQ(out_.text(), "");
  EXPECT_THAT(err_.text(), HasSubstr("no output in " + job.path()));
}

TEST_F(ShowLogsTest, FollowedUntilTheJobHasEnded) {
  const JobDirectory job = MakeLiveJob("train", Ranks(2));
  Out(job, 0, "before\nstart\n");
  base::Status outcome = base::UnknownError("still following");
  std::thread follower([&] {
    outcome = ShowLogs(context_, {.job = job.job_id(), .tail_lines = 1, .follow = true});
  });

  EXPECT_TRUE(SeesOutput("[0] start\n"));
  Out(job, 0, "meanwhile\n");
  EXPECT_TRUE(SeesOutput("[0] meanwhile\n"));
  Out(job, 1, "new\nfile\nlast words");  // not cut to its tail: it came while we followed
  EXPECT_TRUE(SeesOutput("[1] file\n"));
  End(job);
  follower.join();

  EXPECT_OK(outcome);
  EXPECT_EQ(out_.text(), "[0] start\n[0] meanwhile\n[1] new\n[1] file\n[1] last words\n");
}

TEST_F(ShowLogsTest, FollowedIntoTheNextRound) {
  JobDirectory job = MakeLiveJob("train", Ranks(1));
  Out(job, 0, "first\n", 0);
  base::Status outcome = base::UnknownError("still following");
  std::thread follower(
      [&] { outcome = ShowLogs(context_, {.job = job.job_id(), .follow = true}); });

  EXPECT_TRUE(SeesOutput("first\n"));
  proto::JobState state = Entry(job).state;
  for (uint32_t round = 1; round <= 2; ++round) {
    Out(job, 0, "of round " + std::to_string(round) + "\n", round);
    state.set_round(round);
    ASSERT_OK(job.WriteState(state));
    EXPECT_TRUE(SeesOutput("of round " + std::to_string(round) + "\n"));
  }
  Out(job, 0, "late\n", 1);  // the round before is still looked at
  EXPECT_TRUE(SeesOutput("late\n"));
  End(job);
  follower.join();

  EXPECT_OK(outcome);
  EXPECT_THAT(err_.text(), HasSubstr("round 2 of job " + job.job_id()));
}

TEST_F(ShowLogsTest, EndedJobIsNotWaitedFor) {
  const JobDirectory job = MakeEndedJob("train", 0, Ranks(1));
  Out(job, 0, "all\n");

  ASSERT_OK(ShowLogs(context_, {.job = "train", .follow = true}));

  EXPECT_EQ(out_.text(), "all\n");
  EXPECT_THAT(err_.text(), IsEmpty());
}

}  // namespace
}  // namespace lockstep::launcher
