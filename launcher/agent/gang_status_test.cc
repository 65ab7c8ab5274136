// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/gang_status.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

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

}  // namespace
}  // namespace lockstep::launcher
