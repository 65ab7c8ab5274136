// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/seen_process.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "runtime/base/ids.h"

namespace lockstep::launcher {
namespace {

using collectives::ProcessState;
using collectives::SeenRank;

TEST(SeenProcessTest, WhatIsToldOfARankComesBack) {
  SeenRank rank{.rank = base::Rank(3)};
  rank.process = {.state = ProcessState::kEnded,
                  .host = "node-a",
                  .pid = 7,
                  .signal = 9,
                  .out_of_memory = true,
                  .ended_ago = std::chrono::seconds(2),
                  .detail = "sleeps in futex",
                  .memory_kills = 2,
                  .segments_sent = 5'000'000'000,
                  .segments_lost = 7};
  rank.sockets.push_back({.local = "10.0.0.1:1",
                          .remote = "10.0.0.2:2",
                          .unacked_bytes = 3,
                          .unread_bytes = 4,
                          .retransmits = 5,
                          .rto_ms = 6});

  rank.sockets_cut = true;

  const proto::RankSeen told = ToProto(rank);
  const collectives::SeenProcess process = ProcessOf(told);
  const auto sockets = SocketsOf(told);

  EXPECT_EQ(process.state, ProcessState::kEnded);
  EXPECT_EQ(process.host, "node-a");
  EXPECT_EQ(process.signal, 9);
  EXPECT_TRUE(process.out_of_memory);
  EXPECT_EQ(process.ended_ago, std::chrono::seconds(2));
  EXPECT_EQ(process.detail, "sleeps in futex");
  EXPECT_EQ(process.memory_kills, 2u);
  EXPECT_EQ(process.segments_sent, 5'000'000'000u);
  EXPECT_EQ(process.segments_lost, 7u);
  ASSERT_EQ(sockets.size(), 1u);
  EXPECT_EQ(sockets[0].local, "10.0.0.1:1");
  EXPECT_EQ(sockets[0].remote, "10.0.0.2:2");
  EXPECT_EQ(sockets[0].unacked_bytes, 3u);
  EXPECT_EQ(sockets[0].unread_bytes, 4u);
  EXPECT_EQ(sockets[0].retransmits, 5u);
  EXPECT_EQ(sockets[0].rto_ms, 6u);
  EXPECT_TRUE(told.sockets_cut());
}

TEST(SeenProcessTest, StatesAndNumbersOfNobodysAreBounded) {
  proto::RankSeen told;
  told.set_state(static_cast<proto::RankSeen::State>(99));
  for (int i = 0; i < kSocketsMax + 10; ++i) told.add_sockets()->set_local("x");
  EXPECT_EQ(ProcessOf(told).state, ProcessState::kUnknown);
  EXPECT_EQ(SocketsOf(told).size(), static_cast<size_t>(kSocketsMax));
}

}  // namespace
}  // namespace lockstep::launcher
