// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Ranks of two nodes meet: attach servers, the nodes' parts and the coordinator's part are the real
// ones, on one loop, and connected by calls instead of a network; ranks are threads with the real
// exchange.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/awake_clock.h"
#include "collectives/engine/op_deadline.h"
#include "collectives/host/tcp/attach_exchange.h"
#include "launcher/attach/attach_server.h"
#include "launcher/attach/node_cards.h"
#include "launcher/cluster/job_cards.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::testing::IsOk;
using base::testing::StatusIs;
using collectives::AddressCard;
using collectives::AttachExchange;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Cards = base::Result<std::vector<std::optional<AddressCard>>>;

struct TestNode {
  std::unique_ptr<NodeCards> cards;
  std::unique_ptr<AttachServer> server;
};

/// Two nodes with two ranks each, in round 3.
class MeetingTest : public ::testing::Test {
 protected:
  MeetingTest() {
    char folder[] = "/tmp/lsmeetXXXXXX";
    folder_ = ::mkdtemp(folder);
    std::promise<void> ready;
    thread_ = std::thread([&] {
      loop_ = *event::EpollLoop::Create(clock_);
      ready.set_value();
      loop_->Run();
    });
    ready.get_future().wait();
    OnLoop([this] {
      job_ =
          std::make_unique<JobCards>([this](base::NodeIndex node, const proto::ToAgent& message) {
            nodes_[static_cast<size_t>(node.value())].cards->OnTable(message.cards());
          });
      for (int index = 0; index < 2; ++index) Open(index);
      BeginRound(3);
    });
  }
  ~MeetingTest() override {
    OnLoop([this] {
      for (TestNode& node : nodes_) {
        node.server.reset();
        node.cards.reset();
      }
    });
    loop_->Quit();
    thread_.join();
    ::rmdir(folder_.c_str());
  }

  void OnLoop(const std::function<void()>& body) {
    std::promise<void> done;
    loop_->Post([&] {
      body();
      done.set_value();
    });
    done.get_future().wait();
  }
  std::string SocketOf(int node) const { return folder_ + "/s" + std::to_string(node); }

  void Open(int index) {
    TestNode& node = nodes_[static_cast<size_t>(index)];
    node.cards = std::make_unique<NodeCards>(NodeCards::Deps{
        *loop_,
        [this, index](const proto::Cards& cards) {
          EXPECT_THAT(job_->Take(base::NodeIndex(index), cards), IsOk());
        },
        [&node](uint64_t connection, const base::Status& error, int fd, uint64_t bytes) {
          node.server->AnswerCard(connection, error, fd, bytes);
        }});
    AttachServer::Config config;
    config.socket_path = SocketOf(index);
    config.job_id = "job-1";
    config.host = "node";
    config.cards = node.cards.get();
    node.server = *AttachServer::Create(std::move(config), *loop_);
  }
  /// On the loop.
  void BeginRound(uint32_t round) {
    job_->BeginRound(base::Round(round));
    for (int rank = 0; rank < 4; ++rank) {
      cookies_[static_cast<size_t>(rank)] = nodes_[static_cast<size_t>(rank / 2)].server->AddRank(
          {.rank = base::Rank(rank),
           .local_rank = base::LocalRank(rank % 2),
           .round = base::Round(round),
           .world_size = 4,
           .local_world_size = 2});
    }
    for (TestNode& node : nodes_) node.cards->BeginRound(base::Round(round), 2);
  }

  /// As rank `rank`, which is member `member`.
  Cards Meet(int rank, base::Duration timeout, int member_count = 4, uint32_t round = 3,
             std::optional<int> member = std::nullopt) {
    collectives::AwakeClock clock(clock_);
    collectives::OpDeadline deadline(clock);
    deadline.Set({.at = clock.Now() + timeout, .timeout = timeout});
    return MeetBy(deadline, rank, member_count, round, member.value_or(rank));
  }
  Cards MeetBy(const collectives::OpDeadline& deadline, int rank, int member_count, uint32_t round,
               int member) {
    AttachExchange exchange(SocketOf(rank / 2), cookies_[static_cast<size_t>(rank)]);
    AddressCard card;
    card.addresses = {"10.0.0." + std::to_string(rank)};
    card.port = static_cast<uint16_t>(1000 + rank);
    return exchange.Exchange({.group = base::GroupId(9),
                              .epoch = base::Round(round),
                              .member = member,
                              .member_count = member_count},
                             card, deadline);
  }
  std::future<Cards> Begin(int rank, base::Duration timeout) {
    return std::async(std::launch::async, [=, this] { return Meet(rank, timeout); });
  }
  /// The ports of who is there; 0 for who is not.
  static std::vector<int> PortsOf(const Cards& cards) {
    std::vector<int> ports;
    if (!cards.ok()) return ports;
    for (const auto& card : *cards) ports.push_back(card ? card->port : 0);
    return ports;
  }
  /// Waits until so many groups are at the coordinator, or members of its groups.
  bool AwaitGroups(size_t count) {
    return Await([&] { return job_->group_count() == count; });
  }
  bool AwaitMembers(size_t count) {
    return Await([&] { return job_->member_count() == count; });
  }
  bool Await(const std::function<bool()>& reached) {
    const auto by = std::chrono::steady_clock::now() + 30s;
    bool is_reached = false;
    do {
      OnLoop([&] { is_reached = reached(); });
    } while (!is_reached && std::chrono::steady_clock::now() < by);
    return is_reached;
  }

  std::string folder_;
  base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  std::thread thread_;
  std::array<TestNode, 2> nodes_;
  std::unique_ptr<JobCards> job_;
  std::array<std::string, 4> cookies_;
};

// They meet in the next one, without those who are gone.
TEST_F(MeetingTest, ThoseWhoWaitAreToldThatSurvivorsHaveBegunARound) {
  std::vector<std::future<Cards>> waiting;
  for (const int rank : {0, 1, 2}) waiting.push_back(Begin(rank, 20s));
  ASSERT_TRUE(AwaitGroups(1));
  OnLoop([this] {
    job_->BeginRound(base::Round(4));
    for (TestNode& node : nodes_) {
      node.cards->BeginRound(base::Round(4), 2);
      node.server->GoOn(base::Round(4), {{base::Rank(3), "killed"}});
    }
  });

  int aborted = 0;
  for (auto& one : waiting) {
    const Cards cards = one.get();
    aborted += cards.status().code() == base::Code::kAborted;
    // Whose card comes later is refused.
    EXPECT_THAT(cards.status().message(),
                AnyOf(HasSubstr("round 4 has begun"), HasSubstr("round 4 is in force")));
  }
  EXPECT_GE(aborted, 1) << "one had come";
  std::vector<std::future<Cards>> again;
  for (const int rank : {0, 1, 2}) {
    again.push_back(std::async(std::launch::async, [this, rank] { return Meet(rank, 20s, 3, 4); }));
  }
  for (auto& one : again) EXPECT_THAT(PortsOf(one.get()), ElementsAre(1000, 1001, 1002));
  EXPECT_THAT(Meet(0, 20s, 3, 3),
              StatusIs(base::Code::kFailedPrecondition, HasSubstr("round 4 is in force")));
}

TEST_F(MeetingTest, AllFindAll) {
  std::vector<std::future<Cards>> ranks;
  for (int rank = 0; rank < 4; ++rank) ranks.push_back(Begin(rank, 20s));

  for (auto& rank : ranks) EXPECT_THAT(PortsOf(rank.get()), ElementsAre(1000, 1001, 1002, 1003));

  EXPECT_TRUE(AwaitGroups(0));
}

// Their deadlines come when all three are there, and together. With 300 ms for each, the third one
// came after the first had given up when the machine was busy.
TEST_F(MeetingTest, AtTheDeadlineWhoIsMissingIsKnownOnAllNodes) {
  collectives::AwakeClock clock(clock_);
  collectives::OpDeadline deadline(clock);
  deadline.Set({.at = clock.Now() + 60s, .timeout = 60s});
  std::vector<std::future<Cards>> ranks;
  for (int rank = 0; rank < 3; ++rank)
    ranks.push_back(
        std::async(std::launch::async, [&, rank] { return MeetBy(deadline, rank, 4, 3, rank); }));
  ASSERT_TRUE(AwaitMembers(3));

  const auto since = std::chrono::steady_clock::now();
  deadline.BringForward({.at = clock.Now(), .timeout = 60s});

  for (auto& rank : ranks) EXPECT_THAT(PortsOf(rank.get()), ElementsAre(1000, 1001, 1002, 0));
  EXPECT_LT(std::chrono::steady_clock::now() - since, 10s);
  EXPECT_TRUE(AwaitGroups(0));
}

TEST_F(MeetingTest, ARankThatDiesTakesItsCardBack) {
  auto first = Begin(0, 20s);
  ASSERT_TRUE(AwaitGroups(1));

  OnLoop([this] {  // an earlier incarnation's connections are cut
    cookies_[0] = nodes_[0].server->AddRank({.rank = base::Rank(0),
                                             .incarnation = base::Incarnation(1),
                                             .round = base::Round(3),
                                             .world_size = 4,
                                             .local_world_size = 2});
  });

  EXPECT_THAT(first.get(), StatusIs(base::Code::kUnavailable, HasSubstr("closed the connection")));
  EXPECT_TRUE(AwaitGroups(0));
}

TEST_F(MeetingTest, AnotherRoundIsRefused) {
  EXPECT_THAT(Meet(0, 5s, 4, 2), StatusIs(base::Code::kFailedPrecondition,
                                          HasSubstr("in epoch 2, but round 3 is in force")));
}

TEST_F(MeetingTest, TwoProcessesOfOneMemberAreToldSo) {
  auto first = Begin(0, 2s);
  ASSERT_TRUE(AwaitGroups(1));
  EXPECT_THAT(Meet(1, 5s, 4, 3, 0), StatusIs(base::Code::kAlreadyExists, HasSubstr("member 0")));
  EXPECT_THAT(Meet(2, 5s, 4, 3, 0), StatusIs(base::Code::kAlreadyExists, HasSubstr("on node 0")));
  EXPECT_THAT(PortsOf(first.get()), ElementsAre(1000, 0, 0, 0));
}

TEST_F(MeetingTest, MembersThatDisagreeAboutTheirNumberAreToldSo) {
  auto first = Begin(0, 500ms);
  ASSERT_TRUE(AwaitGroups(1));
  EXPECT_THAT(Meet(1, 5s, 3),
              StatusIs(base::Code::kFailedPrecondition, HasSubstr("3, and before 4")));
  EXPECT_THAT(Meet(2, 5s, 3),
              StatusIs(base::Code::kFailedPrecondition, HasSubstr("3, and before 4")));
  EXPECT_THAT(PortsOf(first.get()), ElementsAre(1000, 0, 0, 0));
}

TEST_F(MeetingTest, AGroupOfTooManyIsRefusedBeforeAnybodyIsAsked) {
  EXPECT_THAT(Meet(0, 5s, 1025),
              StatusIs(base::Code::kInvalidArgument, HasSubstr("up to 1024 members")));
}

TEST_F(MeetingTest, GroupsThatWaitOnOneNodeAreBounded) {
  OnLoop([this] {
    for (size_t group = 0; group < NodeCards::kGroupsMax; ++group) {
      EXPECT_THAT(nodes_[0].cards->Publish({.connection = 1'000'000 + group,
                                            .group = 100 + group,
                                            .member_count = 4,
                                            .member = 0,
                                            .content = "x"}),
                  IsOk());
    }
  });
  EXPECT_THAT(Meet(0, 5s), StatusIs(base::Code::kResourceExhausted, HasSubstr("256, the limit")));
}

// ----------------------------------------------------------------------------------- how to listen

TEST_F(MeetingTest, ARankLearnsWhereToListenAndTheKeyOfTheRound) {
  const auto ask = [this] {
    lockstep_attach* client = nullptr;
    lockstep_attach_world world{};
    lockstep_attach_error error{};
    int ring = -1;
    EXPECT_EQ(lockstep_attach_open(SocketOf(0).c_str(), cookies_[0].c_str(), 10'000, &client,
                                   &world, &ring, &error),
              LOCKSTEP_ATTACH_OK)
        << error.text;
    ::close(ring);
    auto network = collectives::AskForNetwork(*client, "job-1", "node", 10s);
    lockstep_attach_close(client);
    return network;
  };
  EXPECT_THAT(ask().status(), StatusIs(base::Code::kFailedPrecondition,
                                       HasSubstr("knows no other machine of the job")));
  OnLoop([this] {
    nodes_[0].server->SetNetwork({.round = base::Round(3),
                                  .key = net::Secret(std::string(32, 'k')),
                                  .ports = {29400, 29409},
                                  .host_id = "boot",
                                  .listen_address = "10.0.0.1",
                                  .address = "192.0.2.1"});
  });

  const auto network = ask();

  ASSERT_THAT(network, IsOk());
  EXPECT_EQ(network->key.view(), std::string(32, 'k'));
  EXPECT_EQ(network->ports, (net::PortRange{29400, 29409}));
  EXPECT_EQ(network->listen_host, "10.0.0.1");
  EXPECT_THAT(network->addresses, ElementsAre("192.0.2.1", "10.0.0.1"));
  EXPECT_EQ(network->host_id, "boot");
  OnLoop([this] {
    nodes_[0].server->EndRound();
    BeginRound(4);
  });
  EXPECT_FALSE(ask().ok()) << "the key of an ended round";
}

}  // namespace
}  // namespace lockstep::launcher
