// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What ranks are told, and served, once others are gone. (attach_server_groups.cc)
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "launcher/attach/attach_fixture.h"
#include "launcher/attach/attach_server.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::Incarnation;
using base::Rank;
using base::Round;

class AttachSurvivorsTest : public AttachFixture {
 protected:
  AttachSurvivorsTest() {
    config.keeps_survivors = true;
    config.on_accused = [this](Rank by, Incarnation, const elastic::GoneRank& accused) {
      accused_ =
          "rank " + by.ToString() + " gives up " + accused.rank.ToString() + ": " + accused.why;
    };
    Start();
    cookies_ = {Add(0), Add(1)};
  }
  void GoOn(uint32_t round, const std::vector<elastic::GoneRank>& gone) {
    OnLoop([&] { server_->GoOn(Round(round), gone); });
  }
  std::unique_ptr<Client> Watch(int rank) {
    auto client = Attach(cookies_[static_cast<size_t>(rank)]);
    EXPECT_EQ(lockstep_attach_follow_rounds(client->attach, kTimeoutMs, &client->error),
              LOCKSTEP_ATTACH_OK);
    return client;
  }
  /// "1: 1 (killed)" of the next round that it is told of.
  std::string NextRound(Client& client, uint32_t timeout_ms = kTimeoutMs) {
    lockstep_attach_round round{};
    int fd = -1;
    const int result =
        lockstep_attach_await_round(client.attach, timeout_ms, &round, &fd, &client.error);
    if (result != LOCKSTEP_ATTACH_OK) return "error " + std::to_string(result);
    std::string text = std::to_string(round.round) + ":";
    for (uint32_t i = 0; i < round.gone_count; ++i) {
      lockstep_attach_gone gone{};
      EXPECT_EQ(pread(fd, &gone, sizeof gone, static_cast<off_t>(i * sizeof gone)),
                static_cast<ssize_t>(sizeof gone));
      text += " " + std::to_string(gone.rank) + " (" + gone.why + ")";
    }
    close(fd);
    return text;
  }

  std::vector<std::string> cookies_;
  std::string accused_;  // confined to the loop
};

TEST_F(AttachSurvivorsTest, WhoWatchesIsToldOfRoundsWithAllWhoAreGone) {
  const auto watching = Watch(0);
  EXPECT_EQ(watching->world.flags, LOCKSTEP_ATTACH_KEEPS_SURVIVORS);
  EXPECT_EQ(NextRound(*watching, 20), "error " + std::to_string(LOCKSTEP_ATTACH_TIMEOUT));
  GoOn(1, {{Rank(1), "killed"}});
  EXPECT_EQ(NextRound(*watching), "1: 1 (killed)");
  const auto late = Watch(0);
  EXPECT_EQ(late->world.round, 1u);
  EXPECT_EQ(NextRound(*late), "1: 1 (killed)");
  GoOn(2, {{Rank(7), "of another node"}});

  EXPECT_EQ(NextRound(*watching), "2: 1 (killed) 7 (of another node)");
  EXPECT_EQ(NextRound(*late), "2: 1 (killed) 7 (of another node)");
  OnLoop([&] { server_->EndRound(); });
  EXPECT_EQ(NextRound(*watching), "error " + std::to_string(LOCKSTEP_ATTACH_CLOSED));
}

TEST_F(AttachSurvivorsTest, OneThatIsGoneIsServedNoMore) {
  const auto stopped = Attach(cookies_[1]);
  GoOn(1, {{Rank(1), "given up"}});

  int fd = -1;
  EXPECT_EQ(AskForSegment(*stopped, 4096, 0, &fd), LOCKSTEP_ATTACH_CLOSED);
  const auto again = Attach(cookies_[1]);
  EXPECT_EQ(again->result, LOCKSTEP_ATTACH_REJECTED);
  EXPECT_EQ(again->error.status, static_cast<uint32_t>(Code::kUnauthenticated));
  OnLoop([&] { EXPECT_GE(server_->RecorderFd(Rank(1)), 0) << "its ring is evidence"; });
}

TEST_F(AttachSurvivorsTest, GroupsAreOfTheRoundInForceOrOfThoseBefore) {
  const auto client = Attach(cookies_[0]);
  GoOn(1, {{Rank(1), "killed"}});

  int fd = -1;
  for (const uint32_t epoch : {0u, 1u}) {
    ASSERT_EQ(AskForSegment(*client, 4096, epoch, &fd, 20 + epoch), LOCKSTEP_ATTACH_OK)
        << client->error.text;
    close(fd);
  }
  EXPECT_EQ(AskForSegment(*client, 4096, 2, &fd), LOCKSTEP_ATTACH_REJECTED);
  EXPECT_EQ(client->error.status, static_cast<uint32_t>(Code::kFailedPrecondition));
}

// The survivors met with the key of the round before, which those that were left behind have too.
TEST_F(AttachSurvivorsTest, TheKeyOfARoundIsNotThatOfTheNext) {
  const auto client = Attach(cookies_[0]);
  const auto ask = [&client] {
    lockstep_attach_network network{};
    return lockstep_attach_get_network(client->attach, kTimeoutMs, &network, &client->error);
  };
  const auto set_network = [this](uint32_t round) {
    OnLoop([this, round] {
      server_->SetNetwork({.round = Round(round),
                           .key = net::Secret(std::string(32, 'k')),
                           .host_id = "boot",
                           .listen_address = "10.0.0.1",
                           .address = ""});
    });
  };
  set_network(0);
  EXPECT_EQ(ask(), LOCKSTEP_ATTACH_OK) << client->error.text;
  GoOn(1, {{Rank(1), "killed"}});

  EXPECT_EQ(ask(), LOCKSTEP_ATTACH_REJECTED);

  EXPECT_EQ(client->error.status, static_cast<uint32_t>(Code::kFailedPrecondition));
  EXPECT_NE(std::string(client->error.text).find("round 1"), std::string::npos);
  set_network(1);
  EXPECT_EQ(ask(), LOCKSTEP_ATTACH_OK) << client->error.text;
}

TEST_F(AttachSurvivorsTest, AnAccusationIsPassedOn) {
  const auto client = Attach(cookies_[0]);
  ASSERT_EQ(lockstep_attach_give_up_rank(client->attach, 1, "it hangs", kTimeoutMs, &client->error),
            LOCKSTEP_ATTACH_OK);

  EXPECT_TRUE(Eventually([this] {
    std::string accused;
    OnLoop([&] { accused = accused_; });
    return accused == "rank 0 gives up 1: it hangs";
  }));
}

TEST_F(AttachSurvivorsTest, WhoGivesUpItselfOrNobodyIsSentAway) {
  for (const int32_t rank : {0, 2}) {
    const auto client = Attach(cookies_[0]);
    ASSERT_EQ(lockstep_attach_give_up_rank(client->attach, rank, "", kTimeoutMs, &client->error),
              LOCKSTEP_ATTACH_OK);
    int fd = -1;
    EXPECT_NE(AskForSegment(*client, 4096, 0, &fd), LOCKSTEP_ATTACH_OK) << rank;
  }
  OnLoop([&] { EXPECT_EQ(accused_, ""); });
}

TEST_F(AttachSurvivorsTest, AWatcherCanBeInterruptedByAnotherThread) {
  const auto watching = Watch(0);
  std::thread other([&] { lockstep_attach_interrupt(watching->attach); });
  EXPECT_EQ(NextRound(*watching), "error " + std::to_string(LOCKSTEP_ATTACH_CLOSED));
  other.join();
}

}  // namespace
}  // namespace lockstep::launcher
