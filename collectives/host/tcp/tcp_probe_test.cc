// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "collectives/engine/own_deadline.h"
#include "collectives/host/tcp/local_tcp.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using ::testing::Each;
using ::testing::Gt;

/// What each of three members knows of the way to another one, member i having memory[i].
std::vector<int> LinksOf(const std::vector<int32_t>& memory, TcpLink given = {}) {
  const auto exchange = std::make_shared<LocalExchange>();
  std::vector<int> links(memory.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < memory.size(); ++i) {
    threads.emplace_back([&, i] {
      TcpService::Config config = testing::LocalTcpConfig();
      config.memory = memory[i];
      config.link = given;
      const auto maker = testing::LocalTcpMaker(exchange, std::move(config));
      GroupSpec spec{.job = "test", .rank = base::GroupRank(static_cast<int>(i))};
      for (size_t rank = 0; rank < memory.size(); ++rank)
        spec.world_ranks.emplace_back(static_cast<int>(rank));
      for (spec.instance = 1; spec.instance <= 2; ++spec.instance) {
        const OwnDeadline own(std::chrono::seconds(30));
        ASSERT_OK_AND_ASSIGN(const auto end, maker->Enter(spec, own.deadline));
        if (spec.instance == 2 && links[i] != 0) {
          EXPECT_EQ(end->link.load(), links[i]) << "it is measured once";
        }
        links[i] = end->link.load();
        const std::unique_ptr<Backend> backend = maker->Finish(end);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return links;
}

TEST(TcpProbeTest, MembersMeasureTheWayToTheNextThatLivesElsewhere) {
  for (const std::vector<int32_t>& memory : {std::vector{0, 0, 1}, std::vector{-1, -1, -1}}) {
    std::vector<int> links;
    // On a machine too busy to answer within kProbeTimeout nothing is measured, by right.
    for (int tries = 0; tries < 20 && (links.empty() || std::ranges::count(links, 0) > 0); ++tries)
      links = LinksOf(memory);
    EXPECT_THAT(links, Each(Gt(0)));
  }
}

TEST(TcpProbeTest, ThoseThatShareMemoryMeasureNothing) { EXPECT_THAT(LinksOf({7, 7, 7}), Each(0)); }

TEST(TcpProbeTest, WhatIsGivenIsNotMeasured) {
  const TcpLink given = TcpLink::Measured(500, 16);

  EXPECT_THAT(LinksOf({0, 0, 1}, given), Each(given.code()));
}

/// Member 0 of groups whose member 1 is reached where the test says.
class TcpProbeAgainTest : public ::testing::Test {
 protected:
  /// What member 0 knows of the way in the next group, in which member 1 answers or is silent.
  TcpLink NextGroup(bool answers) {
    GroupSpec spec{.job = "test", .instance = ++instance_, .rank = base::GroupRank(0)};
    spec.world_ranks = {base::Rank(0), base::Rank(1)};
    GroupSpec theirs = spec;
    theirs.rank = base::GroupRank(1);
    AddressCard card = other_->service().card();
    if (!answers) card.port = silent_port_;
    std::thread member([&] {
      const OwnDeadline own(std::chrono::seconds(30));
      EXPECT_OK(other_->shared_service()->Reserve(theirs.Id(), theirs.epoch, 1));
      const auto cards = exchange_->Exchange(
          {.group = theirs.Id(), .epoch = theirs.epoch, .member = 1, .member_count = 2}, card,
          own.deadline);
      ASSERT_OK(cards.status());
      // As Enter, but that it measures nothing back.
      const auto end = std::make_shared<TcpEnd>(
          TcpMembers(theirs, {*cards.value()[0], other_->service().card()}));
      other_->shared_service()->Register(end);
    });
    const OwnDeadline own(std::chrono::seconds(30));
    const auto end = maker_->Enter(spec, own.deadline);
    member.join();
    if (!end.ok()) {
      ADD_FAILURE() << end.status();
      return {};
    }
    const TcpLink link = TcpLink::FromCode(end.value()->link.load());
    maker_->Leave(spec);
    other_->Leave(theirs);
    return link;
  }

  static TcpService::Config ConfigOf(int32_t memory) {
    TcpService::Config config = testing::LocalTcpConfig();
    config.memory = memory;
    return config;
  }

  uint32_t instance_ = 0;
  const std::shared_ptr<LocalExchange> exchange_ = std::make_shared<LocalExchange>();
  const std::shared_ptr<TcpBackendMaker> maker_ = testing::LocalTcpMaker(exchange_, ConfigOf(0));
  const std::shared_ptr<TcpBackendMaker> other_ = testing::LocalTcpMaker(exchange_, ConfigOf(1));
  // The kernel takes connections; nobody ever answers.
  const net::TcpListenSockets silent_ = *net::ListenTcp("127.0.0.1", {0, 0});
  const uint16_t silent_port_ = silent_.port;
};

TEST_F(TcpProbeAgainTest, WhatStoodStillIsMeasuredByTheNextGroup) {
  EXPECT_FALSE(NextGroup(false).measured());

  TcpLink link = NextGroup(true);

  // On a machine too busy to answer within kProbeTimeout nothing is measured, by right.
  for (int tries = 0; tries < 40 && !link.measured(); ++tries) link = NextGroup(true);
  EXPECT_TRUE(link.measured());
  EXPECT_EQ(NextGroup(false).code(), link.code()) << "it is measured once";
}

TEST_F(TcpProbeAgainTest, AWayThatNeverAnswersCostsFewGroupsTheirTime) {
  int waited = 0;
  for (int group = 0; group < 15; ++group) {
    const base::SteadyTime since = base::RealClock().Now();
    EXPECT_FALSE(NextGroup(false).measured());
    if (base::RealClock().Now() - since >= kProbeTimeout) ++waited;
  }

  EXPECT_GE(waited, 4);  // groups 1, 2, 4 and 8
  EXPECT_LE(waited, 8);  // a busy machine's own halts
}

TEST(TcpProbeTest, AWayThatDoesNotAnswerIsAssumed) {
  const auto exchange = std::make_shared<LocalExchange>();
  const auto maker = testing::LocalTcpMaker(exchange);
  AddressCard gone = maker->service().card();
  gone.port = 1;  // nobody listens there
  GroupSpec spec{.job = "test", .rank = base::GroupRank(0)};
  spec.world_ranks = {base::Rank(0), base::Rank(1)};
  const auto end = std::make_shared<TcpEnd>(TcpMembers(spec, {maker->service().card(), gone}));
  const base::SteadyTime since = base::RealClock().Now();

  EXPECT_FALSE(Probe(*maker->shared_service(), end, 1).measured());

  EXPECT_LT(base::RealClock().Now() - since, kProbeTimeout + std::chrono::seconds(5));
  EXPECT_EQ(end->fact(1).kind, PeerFact::Kind::kNothing) << "it is not held against the member";
}

}  // namespace
}  // namespace lockstep::collectives
