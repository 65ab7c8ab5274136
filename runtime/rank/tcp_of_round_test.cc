// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/tcp_of_round.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "collectives/engine/own_deadline.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::rank {
namespace {

using base::Code;
using base::testing::StatusIs;
using collectives::GroupSpec;
using collectives::OwnDeadline;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

/// Says which of the makers it is.
class NumberedMaker final : public collectives::BackendMaker {
 public:
  explicit NumberedMaker(int number) : number_(number) {}
  base::Result<std::unique_ptr<collectives::Backend>> Make(
      const GroupSpec&, const collectives::OpDeadline&) override {
    return base::UnimplementedError("maker " + std::to_string(number_));
  }

 private:
  const int number_;
};

using Opened = base::Result<std::shared_ptr<collectives::BackendMaker>>;

Opened Numbered(int number) {
  return std::shared_ptr<collectives::BackendMaker>(std::make_shared<NumberedMaker>(number));
}

base::Status TryIn(TcpOfRound& maker, uint32_t round, base::Duration timeout = seconds(30)) {
  const OwnDeadline own(timeout);
  return maker.Make({.name = "world", .epoch = base::Round(round)}, own.deadline).status();
}

TEST(TcpOfRoundTest, EachRoundHasAMakerOfItsOwnWhichItsGroupsShare) {
  int opened = 0;
  TcpOfRound maker([&](base::Duration) { return Numbered(++opened); });

  EXPECT_THAT(TryIn(maker, 0), StatusIs(Code::kUnimplemented, HasSubstr("maker 1")));
  EXPECT_THAT(TryIn(maker, 0), StatusIs(Code::kUnimplemented, HasSubstr("maker 1")));
  EXPECT_THAT(TryIn(maker, 1), StatusIs(Code::kUnimplemented, HasSubstr("maker 2")));
}

TEST(TcpOfRoundTest, WhatCouldNotBeOpenedIsTriedAgain) {
  int opened = 0;
  TcpOfRound maker([&](base::Duration) -> Opened {
    if (++opened == 1) return base::UnavailableError("the agent is busy");
    return Numbered(opened);
  });

  EXPECT_THAT(TryIn(maker, 0), StatusIs(Code::kUnavailable, HasSubstr("joining group world")));
  EXPECT_THAT(TryIn(maker, 0), StatusIs(Code::kUnimplemented, HasSubstr("maker 2")));
}

// It waited behind a lock for as long as the other thread's agent took to answer.
TEST(TcpOfRoundTest, WhoWaitsForAnotherThreadThatOpensKeepsItsOwnDeadline) {
  std::promise<void> go, inside;
  TcpOfRound maker([&](base::Duration) {
    inside.set_value();
    EXPECT_EQ(go.get_future().wait_for(seconds(30)), std::future_status::ready);
    return Numbered(1);
  });
  std::thread first([&] { EXPECT_THAT(TryIn(maker, 0), StatusIs(Code::kUnimplemented)); });
  inside.get_future().wait();
  auto second = std::async(std::launch::async, [&] { return TryIn(maker, 0, milliseconds(50)); });

  const bool ended = second.wait_for(seconds(10)) == std::future_status::ready;

  EXPECT_TRUE(ended);
  go.set_value();
  EXPECT_THAT(second.get(), StatusIs(Code::kDeadlineExceeded, HasSubstr("50ms are over")));
  first.join();
  EXPECT_THAT(TryIn(maker, 0), StatusIs(Code::kUnimplemented, HasSubstr("maker 1")));
}

}  // namespace
}  // namespace lockstep::rank
