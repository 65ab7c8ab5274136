// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/job_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

namespace lockstep::launcher {
namespace {

using ::testing::ElementsAre;

constexpr elastic::RankProcess kProcess{base::Rank(3), base::Incarnation(1)};

TEST(JobEventsTest, ARanksEndNamesItsProcess) {
  const proto::RankExited exited =
      RankExitedEvent(kProcess, 77, {.signal = SIGKILL, .out_of_memory = true}).rank_exited();

  EXPECT_EQ(exited.rank(), 3);
  EXPECT_EQ(exited.incarnation(), 1u);
  EXPECT_EQ(exited.pid(), 77);
  EXPECT_EQ(exited.signal(), SIGKILL);
  EXPECT_TRUE(exited.out_of_memory());
}

TEST(JobEventsTest, ASignalSaysWhomItReaches) {
  const proto::SignalSent sent = SignalSentEvent(SIGTERM, true, {kProcess}).signal_sent();

  EXPECT_EQ(sent.signal(), SIGTERM);
  EXPECT_TRUE(sent.whole_tree());
  EXPECT_THAT(sent.ranks(), ElementsAre(3));
}

TEST(JobEventsTest, ARoundsEndNamesClassCulpritAndDecision) {
  elastic::RoundOutcome outcome;
  outcome.culprit = base::Rank(2);
  outcome.decision = elastic::Decision::kRestart;
  outcome.best_step = 41;
  proto::Verdict verdict;
  verdict.set_class_(proto::Verdict::DEAD_RANK);

  const proto::RoundEnded ended = RoundEndedEvent(outcome, &verdict).round_ended();

  EXPECT_EQ(ended.verdict_class(), "DEAD_RANK");
  EXPECT_EQ(ended.culprit(), 2);
  EXPECT_EQ(ended.decision(), "restart");
  EXPECT_EQ(ended.best_step(), 41);
}

TEST(JobEventsTest, ASuccessHasNoClassAndNoCulprit) {
  const proto::RoundEnded ended = RoundEndedEvent({}, nullptr).round_ended();

  EXPECT_EQ(ended.verdict_class(), "");
  EXPECT_FALSE(ended.has_culprit());
}

TEST(JobEventsTest, ARoundThatStoodStillHasAClassAndNoCulprit) {
  elastic::RoundOutcome outcome;
  outcome.end = elastic::RoundEnd::kStoodStill;
  proto::Verdict verdict;
  verdict.set_class_(proto::Verdict::LIBRARY_STALL);

  const proto::RoundEnded ended = RoundEndedEvent(outcome, &verdict).round_ended();

  EXPECT_EQ(ended.verdict_class(), "LIBRARY_STALL");
  EXPECT_FALSE(ended.has_culprit());
}

TEST(JobEventsTest, ARestartIsCountedAndDelayed) {
  elastic::RoundOutcome outcome;
  outcome.restart = 2;
  outcome.max_restarts = 5;
  outcome.delay = std::chrono::milliseconds(1500);

  const proto::RestartScheduled scheduled = RestartScheduledEvent(outcome).restart_scheduled();

  EXPECT_EQ(scheduled.restart(), 2u);
  EXPECT_EQ(scheduled.max_restarts(), 5u);
  EXPECT_EQ(scheduled.delay_ns(), 1'500'000'000);
}

TEST(JobEventsTest, ANoticeNamesTheRanksAndWhereToLook) {
  elastic::Notice notice;
  notice.kind = elastic::Notice::Kind::kRanksRunOn;
  notice.ranks = {base::Rank(1), base::Rank(3)};
  notice.others = {base::Rank(0), base::Rank(2)};
  notice.since = std::chrono::seconds(30);

  EXPECT_EQ(NoticeText(notice, 4, "train-abc123"),
            "2 of 4 ranks exited 0 30s ago; still running: 1, 3 (see where: lockstep status "
            "train-abc123)");
}

TEST(JobEventsTest, DroppedLinesAreInTheFilesOnlyAsLongAsThoseHaveEverything) {
  DroppedLines lines{.count = 12, .node = base::NodeIndex(3), .is_here = true};

  EXPECT_EQ(DroppedText(lines),
            "12 lines of node 3 are not shown, since the console is too slow; that node's files "
            "have them");
  lines.files_lack_some = true;
  EXPECT_EQ(DroppedText(lines),
            "12 lines of node 3 are not shown, since the console is too slow; that node's files "
            "were full (spec.logs.maxTotalBytes, maxFileBytes) or could not be written, and lines "
            "that they lack are lost");
}

TEST(JobEventsTest, ForDroppedLinesOfAnotherNodeTheConsoleIsNotBlamedAlone) {
  EXPECT_EQ(
      DroppedText({.count = 12, .node = base::NodeIndex(3)}),
      "12 lines of node 3 are not shown, since the console or the network on the way to it is "
      "too slow; that node's files have them");
}

TEST(JobEventsTest, ANodeThatLeavesEarlyIsNamedWithItsFiles) {
  EXPECT_EQ(
      LeftEarlyText(base::NodeIndex(1), "h1", "/jobs/j"),
      "node 1 (host h1) ended before all of its output came, as far as is known here; what is "
      "missing is in its log files, in /jobs/j");
}

TEST(JobEventsTest, FilesThatMeetALimitAreNamedWithIt) {
  using Kind = process::FileNotice::Kind;
  proto::Logs logs;
  logs.set_max_total_bytes(int64_t{3} << 30);
  const auto text = [&logs](Kind kind, base::Status why = {}) {
    return FileNoticeText({.kind = kind, .path = "/jobs/a/round-0", .why = std::move(why)}, logs);
  };

  EXPECT_EQ(text(Kind::kNotRotated, base::UnknownError("rename a to b: no")),
            "a log file cannot be rotated and grows on: rename a to b: no");
  EXPECT_EQ(text(Kind::kFolderRemoved),
            "the ranks' log files in /jobs/a/round-0 were removed to make room: "
            "spec.logs.maxTotalBytes (--log-max-total) is 3Gi");
  EXPECT_EQ(text(Kind::kFull),
            "the ranks' log files are full, the job goes on and its output is on the console "
            "alone: spec.logs.maxTotalBytes (--log-max-total) is 3Gi");
  EXPECT_EQ(UnwrittenText(17, logs),
            "17 bytes of ranks' output are in no log file: "
            "spec.logs.maxTotalBytes (--log-max-total) is 3Gi");
}

}  // namespace
}  // namespace lockstep::launcher
