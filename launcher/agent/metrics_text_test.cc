// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/metrics_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>

namespace lockstep::launcher {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

proto::StatusReply Status() {
  proto::StatusReply status;
  status.set_job_id("train-0h1dnv");
  status.set_host("node-a");
  status.set_phase("running");
  status.set_restarts_used(2);
  status.set_restarts_max(5);
  status.set_job_age_ns(90'500'000'000);
  status.set_rank_count(2);
  status.set_best_step(12);
  for (const int rank : {0, 1}) {
    proto::RankStatus& row = *status.add_ranks();
    row.set_rank(rank);
    row.set_life(rank == 0 ? "alive" : "exited");
  }
  status.mutable_ranks(0)->set_step(12);
  status.mutable_ranks(0)->set_samples_per_second(640);
  return status;
}

TEST(MetricsTextTest, TellsTheJobAndItsRanks) {
  const std::string text = MetricsText(Status());

  EXPECT_THAT(text, HasSubstr("# HELP lockstep_job_restarts_total Restarts of the gang.\n"
                              "# TYPE lockstep_job_restarts_total counter\n"
                              "lockstep_job_restarts_total{job=\"train-0h1dnv\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("lockstep_job_phase{job=\"train-0h1dnv\",phase=\"running\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("lockstep_job_phase{job=\"train-0h1dnv\",phase=\"backing off\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("lockstep_job_age_seconds{job=\"train-0h1dnv\"} 90.5\n"));
  EXPECT_THAT(text, HasSubstr("lockstep_job_ranks_alive{job=\"train-0h1dnv\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("lockstep_rank_up{job=\"train-0h1dnv\",rank=\"1\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("lockstep_rank_step{job=\"train-0h1dnv\",rank=\"0\"} 12\n"));
  EXPECT_THAT(text, HasSubstr("lockstep_job_samples_per_second{job=\"train-0h1dnv\"} 640\n"));
}

TEST(MetricsTextTest, WhatIsNotKnownHasNoSeries) {
  EXPECT_THAT(MetricsText(Status()), Not(HasSubstr("lockstep_rank_step{job=\"train-0h1dnv\","
                                                   "rank=\"1\"")));
  EXPECT_THAT(MetricsText(Status()), Not(HasSubstr("lockstep_rank_wait_seconds")));
  EXPECT_THAT(MetricsText(Status()), Not(HasSubstr("lockstep_job_nodes")));
  EXPECT_THAT(MetricsText(Status()), Not(HasSubstr("lockstep_group")));
}

TEST(MetricsTextTest, CountsVerdictsAndNodes) {
  proto::StatusReply status = Status();
  status.add_verdicts()->set_class_("MISSING_RANK");
  status.mutable_verdicts(0)->set_count(3);
  status.add_nodes()->set_state("alive");
  status.add_nodes()->set_state("lost");

  const std::string text = MetricsText(status);

  EXPECT_THAT(text, HasSubstr("lockstep_job_verdicts_total{job=\"train-0h1dnv\","
                              "class=\"MISSING_RANK\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("lockstep_job_nodes{job=\"train-0h1dnv\",state=\"lost\"} 1\n"));
}

TEST(MetricsTextTest, GroupsAreToldAndTheirNamesEscaped) {
  proto::StatusReply status = Status();
  for (int i = 0; i < 2; ++i) {  // of two of one name the first is told: it has waited longer
    proto::GroupStatus& group = *status.add_groups();
    group.set_name("dp \"\\\n0");
    group.set_state("waiting");
    group.set_wait_ns(i == 0 ? 2'500'000'000 : 1);
    group.set_awaited_count(1);
  }

  const std::string text = MetricsText(status);

  EXPECT_THAT(text, HasSubstr("lockstep_group_wait_seconds{job=\"train-0h1dnv\","
                              "group=\"dp \\\"\\\\\\n0\",round=\"0\"} 2.5\n"));
  EXPECT_THAT(text, HasSubstr("lockstep_rank_wait_seconds{job=\"train-0h1dnv\",rank=\"0\"} 0\n"));
}

TEST(MetricsTextTest, EachLineIsASeriesOfAFamilyThatWasDescribedOnce) {
  proto::StatusReply status = Status();
  status.add_groups()->set_name("world");
  std::istringstream lines(MetricsText(status));
  std::set<std::string> described;
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(described.insert(family).second) << family;
      EXPECT_TRUE(family.starts_with("lockstep_"));
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_TRUE(line.starts_with("# TYPE " + family + " ")) << line;
      EXPECT_EQ(line.ends_with(" counter"), family.ends_with("_total")) << line;
    } else {
      EXPECT_TRUE(line.starts_with(family + "{job=\"")) << line;
    }
  }
  EXPECT_GT(described.size(), 10u);
}

TEST(MetricsTextTest, OfAHugeJobTheFirstRanksHaveSeries) {
  proto::StatusReply status = Status();
  for (int rank = 2; rank < kRanksMeasured + 10; ++rank) {
    proto::RankStatus& row = *status.add_ranks();
    row.set_rank(rank);
    row.set_life("alive");
  }

  const std::string text = MetricsText(status);

  EXPECT_THAT(text, HasSubstr("rank=\"1023\""));
  EXPECT_THAT(text, Not(HasSubstr("rank=\"1024\"")));
  EXPECT_THAT(text, HasSubstr("lockstep_job_ranks_alive{job=\"train-0h1dnv\"} 1033\n"));
}

}  // namespace
}  // namespace lockstep::launcher
