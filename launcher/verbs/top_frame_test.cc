// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/top_frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "launcher/verdict/clean_text.h"

namespace lockstep::launcher {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

proto::StatusReply Status(int ranks) {
  proto::StatusReply status;
  status.set_job_id("train-0h1dnv");
  status.set_host("node-a");
  status.set_phase("running");
  status.set_round_age_ns(61'000'000'000);
  status.set_restarts_max(3);
  status.set_rank_count(ranks);
  status.set_best_step(12);
  for (int rank = 0; rank < ranks; ++rank) {
    proto::RankStatus& row = *status.add_ranks();
    row.set_rank(rank);
    row.set_pid(1000 + rank);
    row.set_life("alive");
    row.set_step(12);
    row.set_op("all_reduce(f32, sum, 1000), op 12 of group world");
  }
  return status;
}

void AddWait(proto::StatusReply& status, int awaited) {
  proto::GroupStatus& group = *status.add_groups();
  group.set_name("world");
  group.set_size(status.ranks_size());
  group.set_called(status.ranks_size() - 1);
  group.set_state("waiting");
  group.set_op("all_reduce(f32, sum, 1000)");
  group.set_seq(13);
  group.set_call_site("train.cc:42");
  group.set_wait_ns(4'200'000'000);
  group.set_awaited_count(1);
  group.add_awaited()->set_rank(awaited);
  group.mutable_awaited(0)->set_state("stopped by a signal");
}

std::string Text(const TopFrame& frame) {
  std::string text;
  for (const TopLine& line : frame.lines) text += line.text + "\n";
  return text;
}

const TopLine& RankLine(const TopFrame& frame, const std::string& begin) {
  const auto line = std::find_if(frame.lines.begin(), frame.lines.end(),
                                 [&](const TopLine& l) { return l.text.starts_with(begin); });
  EXPECT_NE(line, frame.lines.end()) << begin << "\n" << Text(frame);
  return line != frame.lines.end() ? *line : frame.lines.front();
}

TEST(TopFrameTest, TellsTheJobItsGroupsAndItsRanks) {
  proto::StatusReply status = Status(3);
  AddWait(status, 1);
  status.mutable_ranks(0)->set_wait_ns(4'200'000'000);
  status.mutable_ranks(1)->set_phase("checkpoint");

  const TopFrame frame = RenderTop(status, {.columns = 200});

  EXPECT_THAT(frame.lines[0].text, HasSubstr("train-0h1dnv on node-a: running, round 0 for 1m01s"));
  EXPECT_THAT(frame.lines[1].text, HasSubstr("3 of 3 ranks alive, step 12"));
  EXPECT_THAT(Text(frame),
              HasSubstr("world  waiting  13   2 of 3  4.2s    all_reduce(f32, sum, 1000) at "
                        "train.cc:42  rank 1: stopped by a signal\n"));
  EXPECT_THAT(RankLine(frame, "  0 ").text,
              HasSubstr("4.2s   in all_reduce(f32, sum, 1000), op 12 of group world"));
  EXPECT_THAT(RankLine(frame, "> 1 ").text, HasSubstr("-      [checkpoint] after all_reduce"));
  EXPECT_EQ(RankLine(frame, "> 1 ").style, TopStyle::kBold);
  EXPECT_EQ(RankLine(frame, "  2 ").style, TopStyle::kPlain);
}

TEST(TopFrameTest, OfARankThatHasEndedItsEndIsTold) {
  proto::StatusReply status = Status(2);
  status.mutable_ranks(1)->set_life("exited");
  status.mutable_ranks(1)->set_exit("exit code 3");

  const TopFrame frame = RenderTop(status, {.columns = 200});

  EXPECT_THAT(RankLine(frame, "  1 ").text, HasSubstr("exited: exit code 3"));
  EXPECT_EQ(RankLine(frame, "  1 ").style, TopStyle::kBold);
}

TEST(TopFrameTest, AWaitOfAGangThatGoesOnMarksNobody) {
  proto::StatusReply status = Status(2);
  AddWait(status, 1);
  status.mutable_groups(0)->set_wait_ns(3'000'000);

  EXPECT_THAT(Text(RenderTop(status, {})), Not(HasSubstr(">")));
}

TEST(TopFrameTest, WhoIsSlowIsMarkedWithItsFigures) {
  proto::StatusReply status = Status(2);
  status.mutable_pace()->add_slow("rank 1 is slow: it comes 31ms late");
  status.mutable_pace()->add_stragglers(1);
  proto::LinkPace& link = *status.mutable_pace()->add_links();
  link.set_from(0);
  link.set_to(1);
  link.set_bytes_per_second(1.25e9);
  proto::RankPace& pace = *status.mutable_ranks(1)->mutable_pace();
  pace.set_steps_per_second(8);
  pace.set_in_ops_share(0.04);
  pace.set_bytes_per_second(2.5e6);
  pace.set_lateness_ns(31'000'000);

  const TopFrame frame = RenderTop(status, {.columns = 200});

  EXPECT_THAT(Text(frame), HasSubstr("* rank 1 is slow: it comes 31ms late\n"));
  EXPECT_THAT(Text(frame), HasSubstr("slowest link: rank 0 to rank 1, 1.2 GB/s\n"));
  EXPECT_THAT(RankLine(frame, "* 1 ").text, AllOf(HasSubstr("125ms"), HasSubstr("4 %"),
                                                  HasSubstr("+31ms"), HasSubstr("2.5 MB/s")));
  EXPECT_EQ(RankLine(frame, "* 1 ").style, TopStyle::kAlert);
}

TEST(TopFrameTest, EveryFrameHasTheScreensSizeWhateverThatIs) {
  proto::StatusReply status = Status(40);
  AddWait(status, 3);
  for (int i = 0; i < 30; ++i) status.add_groups()->set_name("tp" + std::to_string(i));
  for (const size_t rows : {1, 2, 5, 10, 24, 50, 200}) {
    for (const size_t columns : {10, 40, 80, 300}) {
      const TopFrame frame = RenderTop(status, {.columns = columns, .rows = rows});
      EXPECT_EQ(frame.lines.size(), rows);
      for (const TopLine& line : frame.lines) EXPECT_LE(ColumnsOf(line.text), columns);
    }
  }
}

TEST(TopFrameTest, RanksHaveHalfOfASmallScreen) {
  proto::StatusReply status = Status(40);
  for (int i = 0; i < 30; ++i) status.add_groups()->set_name("tp" + std::to_string(i));
  status.set_groups_left_out(5);

  const TopFrame frame = RenderTop(status, {.columns = 80, .rows = 24});

  EXPECT_GE(frame.rows_shown, 9);
  EXPECT_THAT(Text(frame), HasSubstr("tp0"));
  EXPECT_THAT(Text(frame), HasSubstr(" groups more\n"));
  EXPECT_THAT(Text(frame), Not(HasSubstr("tp29")));
}

TEST(TopFrameTest, ScrollingEndsWhereTheRanksDo) {
  const proto::StatusReply status = Status(40);
  const TopView view{.columns = 80, .rows = 24};

  TopView at = view;
  at.first_row = 1000;
  const TopFrame last = RenderTop(status, at);
  at.first_row = -5;
  const TopFrame first = RenderTop(status, at);
  at.first_row = 7;
  const TopFrame middle = RenderTop(status, at);

  EXPECT_EQ(last.first_row + last.rows_shown, 40);
  EXPECT_EQ(RankLine(last, "  39").text, last.lines[22].text);
  EXPECT_EQ(first.first_row, 0);
  EXPECT_EQ(middle.first_row, 7);
  EXPECT_THAT(middle.lines.back().text, StartsWith("rows 8 to "));
  EXPECT_THAT(middle.lines.back().text, HasSubstr(" of 40; q quits"));
}

TEST(TopFrameTest, WhatRanksSayDrivesNoTerminal) {
  proto::StatusReply status = Status(1);
  status.mutable_ranks(0)->set_phase("\x1b[2Jx");
  status.mutable_ranks(0)->set_op("\x1b]0;title\x07");
  status.add_groups()->set_name("a\nb\x1b[H");

  for (const TopLine& line : RenderTop(status, {.columns = 200}).lines) {
    EXPECT_EQ(line.text.find('\x1b'), std::string::npos);
    EXPECT_EQ(line.text.find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace lockstep::launcher
