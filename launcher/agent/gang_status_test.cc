// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/gang_status.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <climits>
#include <string>

#include "runtime/net/frame.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

/// Two ranks, of which the second has just been killed.
elastic::GangState GangWithALoss(base::SteadyTime start) {
  elastic::GangState gang({.rank_count = 2, .max_restarts = 3});
  const auto step = [&gang](base::SteadyTime at, auto event) {
    gang = elastic::Step(std::move(gang), {at, std::move(event)}).state;
  };
  const auto process = [](int rank) {
    return elastic::RankProcess{base::Rank(rank), base::Incarnation(0)};
  };
  step(start, elastic::Start{});
  step(start, elastic::RankSpawned{process(0), 100});
  step(start, elastic::RankSpawned{process(1), 101});
  step(start, elastic::Progress{process(0), 7});
  step(start + 1s, elastic::RankExited{process(1), {.signal = SIGKILL, .fingerprint = ""}});
  return gang;
}

TEST(GangStatusTest, ShowsEachRanksLifeEndAndStep) {
  const base::SteadyTime start{};
  const proto::StatusReply status =
      StatusOf(GangWithALoss(start), {{base::Rank(0), 7}}, start + 3s);

  EXPECT_EQ(status.phase(), "terminating");
  EXPECT_EQ(status.restarts_max(), 3u);
  EXPECT_EQ(status.round_age_ns(), 3'000'000'000);
  EXPECT_EQ(status.best_step(), 7);
  ASSERT_EQ(status.ranks_size(), 2);
  EXPECT_EQ(status.ranks(0).pid(), 100);
  EXPECT_EQ(status.ranks(0).life(), "alive");
  EXPECT_EQ(status.ranks(0).step(), 7);
  EXPECT_FALSE(status.ranks(1).has_step());
  EXPECT_EQ(status.ranks(1).life(), "exited");
  EXPECT_EQ(status.ranks(1).exit(), "signal 9 (SIGKILL)");
}

TEST(GangStatusTest, ShowsTheRoundOfSurvivorsBesideThatOfTheProcesses) {
  elastic::GangState gang({.rank_count = 2, .keep_survivors = true});
  const auto step = [&gang](auto event) {
    gang = elastic::Step(std::move(gang), {base::SteadyTime{}, std::move(event)}).state;
  };
  step(elastic::Start{});
  for (const int rank : {0, 1})
    step(elastic::RankSpawned{{base::Rank(rank), base::Incarnation(0)}, 100});
  step(elastic::RankExited{{base::Rank(1), base::Incarnation(0)}, {.signal = SIGKILL}});

  const proto::StatusReply status = StatusOf(gang, {}, base::SteadyTime{});

  EXPECT_EQ(status.round(), 0u);
  EXPECT_EQ(status.membership_round(), 1u);
  EXPECT_EQ(status.member_count(), 1);
  EXPECT_EQ(status.rank_count(), 2);
}

/// Of 65,536 ranks on 1,024 nodes one reply was some 3 MiB long, and never came.
TEST(GangStatusTest, TheStatusOfTheGreatestJobComesInPagesOfWhichNoneIsTooLong) {
  proto::StatusReply whole;
  whole.set_job_id("train-1");
  for (int node = 0; node < 1024; ++node) {
    whole.add_nodes()->set_node(node);
    whole.mutable_nodes(node)->set_reason(std::string(1000, 'r'));
  }
  for (int rank = 0; rank < 65'536; ++rank) {
    whole.add_ranks()->set_rank(rank);
    whole.mutable_ranks(rank)->set_exit("signal 9 (SIGKILL)");
  }
  ASSERT_GT(whole.ByteSizeLong(), net::kFramePayloadBytesMax);

  int nodes = 0;
  int ranks = 0;
  int pages = 0;
  for (int row = 0; pages == 0 || row > 0; ++pages) {
    const proto::StatusReply page = StatusPage(whole, row);
    ASSERT_LE(page.ByteSizeLong(), net::kFramePayloadBytesMax / 2);
    EXPECT_EQ(page.job_id(), "train-1");
    for (const proto::NodeStatus& node : page.nodes()) EXPECT_EQ(node.node(), nodes++);
    EXPECT_TRUE(page.ranks().empty() || nodes == 1024) << "nodes come first";
    for (const proto::RankStatus& rank : page.ranks()) EXPECT_EQ(rank.rank(), ranks++);
    ASSERT_TRUE(page.next_row() == 0 || page.next_row() > row);
    row = page.next_row();
  }
  EXPECT_EQ(nodes, 1024);
  EXPECT_EQ(ranks, 65'536);
  EXPECT_LT(pages, 20);
}

TEST(GangStatusTest, RowsThatAreNotThereAreNoRows) {
  proto::StatusReply whole;
  whole.add_nodes();
  whole.add_ranks()->set_rank(7);

  EXPECT_EQ(StatusPage(whole, -5).nodes_size(), 1);
  EXPECT_EQ(StatusPage(whole, 1).nodes_size(), 0);
  EXPECT_EQ(StatusPage(whole, 1).ranks(0).rank(), 7);
  EXPECT_EQ(StatusPage(whole, INT_MAX).ranks_size(), 0);
  EXPECT_EQ(StatusPage(whole, INT_MAX).next_row(), 0);
}

}  // namespace
}  // namespace lockstep::launcher
