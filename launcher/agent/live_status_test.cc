// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/live_status.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::launcher {
namespace {

using collectives::Evidence;
using collectives::SeenOp;
using collectives::SeenRank;
using std::chrono::seconds;

SeenOp AllReduce(uint64_t seq) {
  return {.group = base::GroupId(1),
          .seq = base::OpSeq(seq),
          .kind = collectives::OpKind::kAllReduce,
          .dtype = collectives::Dtype::kF32,
          .reduction = collectives::Reduction::kSum,
          .count = 1000,
          .state = LOCKSTEP_RECORD_COMPLETED,
          .call_site = "train.cc:42"};
}

/// Rank 0 waits for rank 1, which saves a checkpoint.
Evidence OneIsLate() {
  Evidence evidence;
  const std::vector<base::Rank> members{base::Rank(0), base::Rank(1)};
  for (const int rank : {0, 1}) {
    SeenRank seen{.rank = base::Rank(rank), .ring_read = true};
    seen.process.state = collectives::ProcessState::kBlockedInIo;
    seen.groups.push_back({.id = base::GroupId(1),
                           .name = "world\x1b[2J",
                           .rank = base::GroupRank(rank),
                           .size = 2,
                           .members = members});
    seen.ops.push_back(AllReduce(11));
    evidence.ranks.push_back(std::move(seen));
  }
  SeenOp waits = AllReduce(12);
  waits.state = LOCKSTEP_RECORD_STARTED;
  waits.caller_waits = true;
  waits.age = seconds(3);
  evidence.ranks[0].ops.push_back(waits);
  evidence.ranks[0].step = 12;
  evidence.ranks[0].samples_per_second = 640;
  evidence.ranks[1].marked_phase = "checkpoint";
  return evidence;
}

proto::StatusReply Live(const Evidence& evidence) {
  return LiveStatusOf(evidence, collectives::GroupHeads(evidence));
}

TEST(LiveStatusTest, TellsWhoIsAwaitedWhereAndWhatItDoes) {
  const proto::StatusReply live = Live(OneIsLate());

  ASSERT_EQ(live.groups_size(), 1);
  const proto::GroupStatus& group = live.groups(0);
  EXPECT_EQ(group.name(), "world?[2J") << "it drives no terminal";
  EXPECT_EQ(group.state(), "waiting");
  EXPECT_EQ(group.op(), "all_reduce(f32, sum, 1000)");
  EXPECT_EQ(group.seq(), 12u);
  EXPECT_EQ(group.called(), 1);
  EXPECT_EQ(group.size(), 2);
  EXPECT_EQ(group.wait_ns(), 3'000'000'000);
  EXPECT_EQ(group.call_site(), "train.cc:42");
  ASSERT_EQ(group.awaited_size(), 1);
  EXPECT_EQ(group.awaited(0).rank(), 1);
  EXPECT_EQ(group.awaited(0).state(), "waits for input or output, in the phase \"checkpoint\"");
}

TEST(LiveStatusTest, AddsToTheRanksThatAreThere) {
  proto::StatusReply status;
  for (const int rank : {0, 1, 2}) status.add_ranks()->set_rank(rank);
  status.mutable_ranks(0)->set_step(10);  // as the agent has heard
  status.set_best_step(10);

  AddLive(Live(OneIsLate()), status);

  EXPECT_EQ(status.groups_size(), 1);
  EXPECT_EQ(status.best_step(), 12);
  EXPECT_EQ(status.ranks(0).step(), 12);
  EXPECT_EQ(status.ranks(0).wait_ns(), 3'000'000'000);
  EXPECT_EQ(status.ranks(0).op(), "all_reduce(f32, sum, 1000), op 12 of group world?[2J");
  EXPECT_EQ(status.ranks(0).samples_per_second(), 640);
  EXPECT_EQ(status.ranks(1).phase(), "checkpoint");
  EXPECT_FALSE(status.ranks(1).has_wait_ns());
  EXPECT_FALSE(status.ranks(1).has_samples_per_second());
  EXPECT_EQ(status.ranks(1).op(), "all_reduce(f32, sum, 1000), op 11 of group world?[2J");
  EXPECT_EQ(status.ranks(2).op(), "");
}

TEST(LiveStatusTest, HowFastEachRankGoesIsInItsRow) {
  proto::StatusReply status;
  for (const int rank : {0, 1, 2}) status.add_ranks()->set_rank(rank);
  proto::JobPace pace;
  AddPace(pace, status);
  EXPECT_FALSE(status.has_pace()) << "no window has passed";
  pace.set_window_ns(10'000'000'000);
  for (const int rank : {0, 2}) {
    pace.add_ranks()->set_rank(rank);
    pace.mutable_ranks(pace.ranks_size() - 1)->set_steps_per_second(rank + 0.5);
  }

  AddPace(pace, status);

  EXPECT_EQ(status.pace().window_ns(), 10'000'000'000);
  EXPECT_EQ(status.pace().ranks_size(), 0);
  EXPECT_EQ(status.ranks(0).pace().steps_per_second(), 0.5);
  EXPECT_FALSE(status.ranks(1).has_pace());
  EXPECT_EQ(status.ranks(2).pace().steps_per_second(), 2.5);
}

TEST(LiveStatusTest, ManyGroupsAndManyAwaitedRanksAreCounted) {
  Evidence evidence;
  std::vector<base::Rank> members;
  for (int rank = 0; rank < 100; ++rank) members.emplace_back(rank);
  for (int rank = 0; rank < 100; ++rank) {
    SeenRank seen{.rank = base::Rank(rank), .ring_read = true};
    seen.groups.push_back({.id = base::GroupId(1),
                           .name = "world",
                           .rank = base::GroupRank(rank),
                           .size = 100,
                           .members = members});
    seen.groups.push_back({.id = base::GroupId(static_cast<uint64_t>(100 + rank)),
                           .name = "alone",
                           .rank = base::GroupRank(0),
                           .size = 1});
    evidence.ranks.push_back(std::move(seen));
  }
  SeenOp waits = AllReduce(1);
  waits.state = LOCKSTEP_RECORD_STARTED;
  waits.caller_waits = true;
  evidence.ranks[0].ops.push_back(waits);

  const proto::StatusReply live = Live(evidence);

  EXPECT_EQ(live.groups_size(), kGroupsTold);
  EXPECT_EQ(live.groups_left_out(), 101 - kGroupsTold);
  EXPECT_EQ(live.groups(0).name(), "world") << "who waits comes first";
  EXPECT_EQ(live.groups(0).awaited_size(), kAwaitedTold);
  EXPECT_EQ(live.groups(0).awaited_count(), 99);
}

}  // namespace
}  // namespace lockstep::launcher
