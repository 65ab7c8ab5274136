// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/pace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace lockstep::collectives {
namespace {

using base::GroupId;
using base::GroupRank;
using base::Rank;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Ranks that add up once in a step of 100 ms and then compute; who computes longer is waited for.
class PaceTest : public ::testing::Test {
 protected:
  static constexpr int kSteps = 20;
  static constexpr uint64_t kMegabyte = 1'000'000;

  /// `compute_ms`: by rank; of each turn.
  static std::vector<PaceWindow> Train(const std::vector<int>& compute_ms, int steps = kSteps,
                                       bool reports_steps = true) {
    std::vector<PaceWindow> windows;
    int longest = 0;
    for (const int ms : compute_ms) longest = std::max(longest, ms);
    for (size_t rank = 0; rank < compute_ms.size(); ++rank) {
      PaceWindow window{.rank = Rank(static_cast<int>(rank)), .host = "a"};
      PaceGroup group{.id = GroupId(1),
                      .name = "world",
                      .size = static_cast<int>(compute_ms.size()),
                      .kind = OpKind::kAllReduce,
                      .beats = {}};
      const milliseconds waits(longest + 5 - compute_ms[rank]);
      for (int step = 0; step < steps; ++step) {
        group.beats.push_back({.block = static_cast<uint64_t>(step + 1),
                               .ops = 1,
                               .step = reports_steps ? step : -1,
                               .waited = waits,
                               // Each on a clock of its own.
                               .ended = seconds(100 * rank) + step * milliseconds(longest + 5),
                               .in_ops = (step + 1) * waits});
      }
      window.groups.push_back(group);
      window.length = steps * milliseconds(longest + 5);
      window.in_ops = steps * waits;
      window.ops = static_cast<uint64_t>(steps);
      window.step = reports_steps ? steps - 1 : -1;
      window.steps = reports_steps ? steps - 1 : 0;
      windows.push_back(window);
    }
    return windows;
  }

  static std::vector<Rank> Slow(const Pace& pace) {
    std::vector<Rank> ranks;
    for (const Straggler& slow : pace.stragglers) ranks.push_back(slow.rank);
    return ranks;
  }

  /// Both sides of `count` transfers of a megabyte from one rank to another.
  static void Send(std::vector<PaceWindow>& windows, int from, int to, milliseconds took,
                   int count = 8) {
    PaceLane sends{.group = GroupId(1),
                   .epoch = {},
                   .self = GroupRank(from),
                   .peer = GroupRank(to),
                   .sends = true,
                   .transfers = {}};
    PaceLane receives{.group = GroupId(1),
                      .epoch = {},
                      .self = GroupRank(to),
                      .peer = GroupRank(from),
                      .transfers = {}};
    for (int i = 0; i < count; ++i) {
      const auto seq = static_cast<uint64_t>(i + 1);
      // The one or the other has come earlier and has waited for longer.
      sends.transfers.push_back({seq, kMegabyte, took + milliseconds(i % 2 == 0 ? 50 : 0)});
      receives.transfers.push_back({seq, kMegabyte, took + milliseconds(i % 2 == 0 ? 0 : 50)});
    }
    windows[static_cast<size_t>(from)].lanes.push_back(sends);
    windows[static_cast<size_t>(to)].lanes.push_back(receives);
  }
  static std::vector<PaceWindow> Idle(int ranks) {
    std::vector<PaceWindow> windows;
    for (int rank = 0; rank < ranks; ++rank)
      windows.push_back({.rank = Rank(rank), .host = "a", .length = seconds(1)});
    return windows;
  }
};

TEST_F(PaceTest, WhoComputesLongerIsSlowAndItIsSaidByHowMuch) {
  const Pace pace = JudgePace(Train({100, 100, 131, 100}));
  ASSERT_THAT(Slow(pace), ElementsAre(Rank(2)));
  const Straggler& slow = pace.stragglers[0];
  EXPECT_EQ(slow.lateness, milliseconds(31));
  EXPECT_EQ(slow.turn_time, milliseconds(136));
  EXPECT_THAT(slow.victims, ElementsAre(Rank(0), Rank(1), Rank(3)));
  EXPECT_EQ(WhatItDoes(slow),
            "is slow: it comes 31ms late to the ops of group world in each step, 23 % of 136ms, "
            "for 17 steps; it is in ops for 4 % of its time, the others for 26 %");
}

TEST_F(PaceTest, WithoutStepsOpsAreCounted) {
  const Pace pace = JudgePace(Train({100, 100, 131, 100}, kSteps, false));
  ASSERT_THAT(Slow(pace), ElementsAre(Rank(2)));
  EXPECT_THAT(WhatItDoes(pace.stragglers[0]),
              HasSubstr("comes 31ms late to each all_reduce of group world, 23 % of 136ms, for 19 "
                        "ops"));
}

TEST_F(PaceTest, NobodyIsWhereAllAreEven) {
  const Pace pace = JudgePace(Train({100, 100, 100, 100}));
  EXPECT_THAT(pace.stragglers, IsEmpty());
  ASSERT_EQ(pace.ranks.size(), 4u);
  EXPECT_EQ(pace.ranks[3].lateness, milliseconds(0));
  EXPECT_NEAR(pace.ranks[3].in_ops_share, 5.0 / 105, 1e-6);
  EXPECT_NEAR(pace.ranks[3].steps_per_second, 19 / 2.1, 1e-6);
}

TEST_F(PaceTest, ALittleIsNotSlowUnlessItIsAskedFor) {
  EXPECT_THAT(Slow(JudgePace(Train({100, 108}))), IsEmpty());
  EXPECT_THAT(Slow(JudgePace(Train({100, 108}), {.least_share = 0.05})), ElementsAre(Rank(1)));
}

TEST_F(PaceTest, AMinorityIsSlowAndAMajorityIsNot) {
  EXPECT_THAT(Slow(JudgePace(Train({150, 100, 150, 100, 100}))), ElementsAre(Rank(0), Rank(2)));
  EXPECT_THAT(Slow(JudgePace(Train({150, 100, 150, 150}))), IsEmpty()) << "one is fast";
}

TEST_F(PaceTest, OfRanksThatAllDifferNobodyStandsOut) {
  EXPECT_THAT(Slow(JudgePace(Train({100, 115, 130, 145, 160, 175}))), IsEmpty());
}

TEST_F(PaceTest, APauseIsNotSlowness) {
  std::vector<PaceWindow> windows = Train({100, 100, 100});
  // In one step rank 1 is waited for, for three seconds.
  for (const size_t other : {0u, 2u}) windows[other].groups[0].beats[7].waited += seconds(3);
  for (PaceWindow& window : windows) {
    for (size_t beat = 7; beat < window.groups[0].beats.size(); ++beat)
      window.groups[0].beats[beat].ended += seconds(3);
    window.length += seconds(3);
  }
  EXPECT_THAT(Slow(JudgePace(windows)), IsEmpty());
}

TEST_F(PaceTest, FewStepsTellNothing) {
  EXPECT_THAT(Slow(JudgePace(Train({100, 150, 100}, 5))), IsEmpty());
  EXPECT_THAT(Slow(JudgePace(Train({100, 150, 100}, 9))), ElementsAre(Rank(1)));
}

TEST_F(PaceTest, WhoWaitsElsewhereForTheSlowOneIsNot) {
  // Rank 1 is late to the world because it waits for rank 0 in a group of both.
  std::vector<PaceWindow> windows = Train({150, 150, 100, 100, 100});
  PaceGroup pair = windows[0].groups[0];
  pair.id = GroupId(2);
  pair.size = 2;
  for (PaceBeat& beat : pair.beats) beat.waited = milliseconds(1);
  windows[0].groups.push_back(pair);
  for (PaceBeat& beat : pair.beats) beat.waited = milliseconds(51);
  windows[1].groups.push_back(pair);
  int step = 0;
  for (PaceBeat& beat : windows[1].groups[0].beats) beat.in_ops += ++step * milliseconds(50);
  EXPECT_THAT(Slow(JudgePace(windows)), ElementsAre(Rank(0)));
}

TEST_F(PaceTest, OpsThatNotAllHaveToldAreLeftOut) {
  std::vector<PaceWindow> windows = Train({100, 150, 100});
  // Of half of them a member's record was lost, or it failed there.
  auto& beats = windows[0].groups[0].beats;
  for (size_t i = 0; i < beats.size(); i += 2) beats[i].ops = 0;
  EXPECT_THAT(Slow(JudgePace(windows)), ElementsAre(Rank(1)));
  for (PaceBeat& beat : beats) beat.ops = 0;
  EXPECT_THAT(Slow(JudgePace(windows)), IsEmpty());
}

TEST_F(PaceTest, RowsOfDifferentLengthAreCompared) {
  std::vector<PaceWindow> windows = Train({100, 150, 100}, 64);
  PaceGroup& group = windows[2].groups[0];
  PaceGroup coarse = group;
  coarse.shift = 2;
  coarse.beats.clear();
  for (const PaceBeat& beat : group.beats) {
    if (coarse.beats.empty() || coarse.beats.back().block != beat.block >> 2)
      coarse.beats.push_back({.block = beat.block >> 2});
    PaceBeat& row = coarse.beats.back();
    row.ops += 1;
    row.step = beat.step;
    row.waited += beat.waited;
    row.ended = beat.ended;
    row.in_ops = beat.in_ops;
  }
  group = coarse;
  EXPECT_THAT(Slow(JudgePace(windows)), ElementsAre(Rank(1)));
}

TEST_F(PaceTest, WithTooFewMembersKnownNobodyIsNamed) {
  std::vector<PaceWindow> windows = Train({100, 150, 100, 100});
  windows.pop_back();
  EXPECT_THAT(Slow(JudgePace(windows)), ElementsAre(Rank(1)));
  windows.pop_back();
  EXPECT_THAT(Slow(JudgePace(windows)), IsEmpty()) << "two of four";
}

TEST_F(PaceTest, NonsenseIsSurvived) {
  EXPECT_TRUE(JudgePace({}).ranks.empty());
  std::vector<PaceWindow> windows = Train({100, 150, 100});
  windows.push_back(windows[0]);  // twice the same rank
  windows[0].length = base::Duration(-5);
  windows[1].groups[0].shift = 62;
  windows[2].groups[0].beats[3].ended = base::Duration(INT64_MIN / 4);
  windows[2].groups[0].beats[4].step = INT64_MAX / 4;
  windows[2].groups[0].beats[5].waited = base::Duration(-1);
  windows[2].groups.push_back(windows[2].groups[0]);
  (void)JudgePace(windows);
}

TEST_F(PaceTest, ASlowLinkIsToldFromItsEnds) {
  std::vector<PaceWindow> windows = Idle(4);
  for (int from = 0; from < 4; ++from)
    Send(windows, from, (from + 1) % 4, milliseconds(from == 2 ? 40 : 10));
  const Pace pace = JudgePace(windows);
  EXPECT_FALSE(pace.links_unknown);
  ASSERT_EQ(pace.links.size(), 4u);
  EXPECT_EQ(pace.links[0].from, Rank(2)) << "the slowest first";
  ASSERT_EQ(pace.slow_links.size(), 1u);
  EXPECT_EQ(Summary(pace.slow_links[0]),
            "the link from rank 2 to rank 3 is slow: 25.0 MB/s by 8 transfers, where others reach "
            "100 MB/s; that takes 24 % of the time");
}

TEST_F(PaceTest, AHotRowIsASenderAndAHotColumnAReceiver) {
  for (const bool is_sender : {true, false}) {
    std::vector<PaceWindow> windows = Idle(4);
    for (int from = 0; from < 4; ++from) {
      for (int to = 0; to < 4; ++to) {
        if (from == to) continue;
        Send(windows, from, to, milliseconds((is_sender ? from : to) == 1 ? 30 : 5));
      }
    }
    const Pace pace = JudgePace(windows);
    ASSERT_EQ(pace.slow_links.size(), 1u) << "once for all of its links";
    EXPECT_EQ(pace.slow_links[0].side,
              is_sender ? SlowLink::Side::kSender : SlowLink::Side::kReceiver);
    EXPECT_THAT(Summary(pace.slow_links[0]), HasSubstr(is_sender ? "all that rank 1 sends is slow"
                                                                 : "all that rank 1 receives"));
  }
}

TEST_F(PaceTest, ARankOfWhichAllLinksAreSlowIsNamedOnce) {
  for (const int ranks : {4, 5, 100}) {  // of four, half of the links are slow
    std::vector<PaceWindow> windows = Idle(ranks);
    for (int from = 0; from < ranks; ++from) {
      const int to = (from + 1) % ranks;
      Send(windows, from, to, milliseconds(from == 2 || to == 2 ? 30 + from : 5));
    }
    const Pace pace = JudgePace(windows);
    ASSERT_EQ(pace.slow_links.size(), 1u) << ranks;
    EXPECT_THAT(RanksOf(pace.slow_links[0]), ElementsAre(Rank(2)));
    EXPECT_THAT(Summary(pace.slow_links[0]),
                HasSubstr("all links of rank 2 are slow, most of all that to rank 3: "));
  }
}

TEST_F(PaceTest, LinksWithinAHostAreNotComparedWithThoseBetweenHosts) {
  std::vector<PaceWindow> windows = Idle(8);
  for (int rank = 4; rank < 8; ++rank) windows[static_cast<size_t>(rank)].host = "b";
  for (const int from : {0, 1, 2, 3, 4, 5, 6, 7}) {
    const int to = (from + 1) % 8;
    Send(windows, from, to, milliseconds(from == 3 || from == 7 ? 60 : 2));
  }
  EXPECT_THAT(JudgePace(windows).slow_links, IsEmpty()) << "of two between hosts neither is hot";
}

TEST_F(PaceTest, FewTransfersAndTheirAbsenceTellNothingOfLinks) {
  std::vector<PaceWindow> windows = Idle(4);
  for (int from = 0; from < 4; ++from)
    Send(windows, from, (from + 1) % 4, milliseconds(from == 2 ? 40 : 10), 4);
  EXPECT_TRUE(JudgePace(windows).links_unknown);
  EXPECT_TRUE(JudgePace(Train({100, 100, 150, 100})).links_unknown) << "collectives alone";
}

TEST_F(PaceTest, OfManyTransfersTheLastOnesStandForAll) {
  std::vector<PaceWindow> windows = Idle(4);
  for (PaceWindow& window : windows) window.length = seconds(100);
  for (int from = 0; from < 4; ++from)
    Send(windows, from, (from + 1) % 4, milliseconds(from == 2 ? 40 : 10));
  EXPECT_THAT(JudgePace(windows).slow_links, IsEmpty()) << "eight in 100 s";
  for (PaceWindow& window : windows) {
    for (PaceLane& lane : window.lanes) lane.count = 1000;
  }
  const Pace pace = JudgePace(windows);
  ASSERT_EQ(pace.slow_links.size(), 1u);
  EXPECT_NEAR(pace.slow_links[0].share, 0.3, 1e-6);
}

TEST_F(PaceTest, TransfersOfOtherSizesAreNotCompared) {
  std::vector<PaceWindow> windows = Idle(6);
  // A sixteenth of the bytes takes a quarter of the time.
  for (int from = 0; from < 6; ++from)
    Send(windows, from, (from + 1) % 6, milliseconds(from == 2 ? 4 : 16));
  for (PaceWindow& window : windows) {
    for (PaceLane& lane : window.lanes) {
      const bool is_small = lane.sends ? window.rank == Rank(2) : window.rank == Rank(3);
      for (PaceLane::Transfer& transfer : lane.transfers) {
        if (is_small) transfer.bytes = kMegabyte / 16;
      }
    }
  }
  const Pace pace = JudgePace(windows);
  EXPECT_FALSE(pace.links_unknown);
  EXPECT_EQ(pace.links[0].from, Rank(2));
  EXPECT_THAT(pace.slow_links, IsEmpty());
}

TEST_F(PaceTest, OfThousandsOfLinksASlowSenderIsFound) {
  constexpr int kRanks = 91;
  std::vector<PaceWindow> windows = Idle(kRanks);
  for (int from = 0; from < kRanks; ++from) {
    for (int to = 0; to < kRanks; ++to) {
      if (from != to) Send(windows, from, to, milliseconds(from == 40 ? 30 : 5));
    }
  }
  const Pace pace = JudgePace(windows);
  EXPECT_EQ(pace.links.size(), 16u);
  ASSERT_EQ(pace.slow_links.size(), 1u);
  EXPECT_THAT(RanksOf(pace.slow_links[0]), ElementsAre(Rank(40)));
}

TEST_F(PaceTest, ALinkThatCostsLittleTimeIsNotSaid) {
  std::vector<PaceWindow> windows = Idle(4);
  for (PaceWindow& window : windows) window.length = seconds(60);
  for (int from = 0; from < 4; ++from)
    Send(windows, from, (from + 1) % 4, milliseconds(from == 2 ? 40 : 10));
  EXPECT_THAT(JudgePace(windows).slow_links, IsEmpty());
}

}  // namespace
}  // namespace lockstep::collectives
