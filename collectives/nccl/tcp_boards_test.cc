// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What becomes of a board over TCP where connections fail: two ends, in one thread, of which one is
// told another address for the other.
#include "collectives/nccl/tcp_boards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "collectives/engine/own_deadline.h"
#include "collectives/host/shm/local_segments.h"
#include "collectives/host/tcp/local_exchange.h"
#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/tcp/tampering_proxy.h"
#include "collectives/host/tcp/tcp_frames.h"
#include "collectives/nccl/segment_boards.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/net/tcp_socket.h"

namespace lockstep::collectives::testing {
namespace {

using base::OpSeq;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;

base::SteadyTime Now() { return base::RealClock().Now(); }

bool Eventually(const std::function<bool()>& holds) {
  const base::SteadyTime until = Now() + seconds(20);
  while (!holds()) {
    if (Now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

GroupSpec SpecOf(int rank, const std::string& name) {
  return {.job = "test",
          .host = "here",
          .name = name,
          .rank = base::GroupRank(rank),
          .world_ranks = {base::Rank(0), base::Rank(1)}};
}

/// The cards of two members, of which member 0 gets the other's as `mislead` makes it.
class MisledExchange final : public AddressExchange {
 public:
  explicit MisledExchange(std::function<void(AddressCard&)> mislead)
      : mislead_(std::move(mislead)) {}
  base::Result<std::vector<std::optional<AddressCard>>> Exchange(
      const ExchangeRequest& request, const AddressCard& mine,
      const OpDeadline& deadline) override {
    ASSIGN_OR_RETURN(auto cards, exchange_.Exchange(request, mine, deadline));
    if (request.member == 0) mislead_(*cards[1]);
    return cards;
  }

 private:
  LocalExchange exchange_;
  const std::function<void(AddressCard&)> mislead_;
};

class TcpBoardsFailuresTest : public ::testing::Test {
 protected:
  void Open(const std::shared_ptr<AddressExchange>& exchange, bool sealed = false) {
    for (auto& source : sources_) {
      auto service = TcpService::Start(sealed ? LocalSealedTcpConfig() : LocalTcpConfig());
      ASSERT_OK(service);
      source = std::make_unique<TcpBoards>(
          *std::move(service), exchange,
          std::make_shared<SegmentBoards>(std::make_shared<LocalSegments>()));
    }
    std::thread other([this] { OpenOf(1); });
    OpenOf(0);
    other.join();
  }
  void OpenOf(int rank) {
    const auto place = static_cast<size_t>(rank);
    auto board = sources_[place]->Open(SpecOf(rank, "world"), OwnDeadline(seconds(20)).deadline);
    LOCKSTEP_CHECK(board.ok(), "all came");
    boards_[place] = *std::move(board);
  }
  /// Member 0 connects to a port that nobody listens on.
  void OpenWithAWrongPort() {
    uint16_t port = 0;
    {
      auto sockets = net::ListenTcp("127.0.0.1", net::PortRange{0, 0});
      ASSERT_OK(sockets);
      port = sockets->port;
    }
    Open(std::make_shared<MisledExchange>([port](AddressCard& card) { card.port = port; }));
  }

  std::unique_ptr<TcpBoards> sources_[2];
  std::unique_ptr<GroupBoard> boards_[2];
};

// Who had asked before there was one, and was not reached when there was, once waited for ever.
TEST_F(TcpBoardsFailuresTest, AnInvitationThatWasLostIsAskedForAgain) {
  OpenWithAWrongPort();
  ASSERT_TRUE(Eventually([&] { return boards_[1]->Called(0).has_value(); })) << "it has asked";
  boards_[0]->Invite({.from_parent = true});

  EXPECT_TRUE(Eventually([&] { return boards_[1]->invitation().has_value(); }));
}

TEST_F(TcpBoardsFailuresTest, WhoLeavesHandsItsInvitationOnInFrontOfThat) {
  OpenWithAWrongPort();
  ASSERT_TRUE(Eventually([&] { return boards_[1]->Called(0).has_value(); })) << "it has asked";
  boards_[0]->Invite({.from_parent = true});
  boards_[0]->Leave();

  EXPECT_TRUE(Eventually([&] { return boards_[1]->invitation().has_value(); }));
}

TEST_F(TcpBoardsFailuresTest, ALossIsNoNewsLater) {
  OpenWithAWrongPort();
  ASSERT_TRUE(Eventually([&] {
    (void)boards_[0]->Knows({1}, Now());
    return boards_[0]->WhyLost(1).has_value();
  }));

  EXPECT_FALSE(boards_[0]->WhyLostSince(1, Now() + seconds(1)).has_value());
}

// The kernel connects to no such address: as without descriptors, which is our trouble.
TEST_F(TcpBoardsFailuresTest, WhomThisEndCannotConnectToIsNotLost) {
  Open(std::make_shared<MisledExchange>([](AddressCard& card) { card.addresses = {"224.0.0.1"}; }));
  ASSERT_TRUE(Eventually([&] {
    (void)boards_[0]->Knows({1}, Now());
    return boards_[0]->WhyUnasked(1).has_value();
  }));

  EXPECT_THAT(boards_[0]->WhyUnasked(1), Optional(HasSubstr("cannot be reached from here: ")));
  EXPECT_FALSE(boards_[0]->WhyLost(1).has_value());
  EXPECT_FALSE(boards_[0]->IsSilent(1));
  EXPECT_FALSE(boards_[0]->Called(1).has_value());
}

TEST_F(TcpBoardsFailuresTest, WhoDoesNotAnswerMayHaveCome) {
  auto mute = net::ListenTcp("127.0.0.1", net::PortRange{0, 0});
  ASSERT_OK(mute);
  Open(std::make_shared<MisledExchange>(
      [port = mute->port](AddressCard& card) { card.port = port; }));
  ASSERT_OK_AND_ASSIGN(const auto part, sources_[0]->OpenDerived(
                                            SpecOf(0, "part"), OwnDeadline(seconds(20)).deadline));
  const base::SteadyTime since = Now();
  ASSERT_TRUE(Eventually([&] { return part->Knows({1}, since); }));

  EXPECT_TRUE(Eventually([&] { return part->IsSilent(1); }));
  EXPECT_THAT(part->NeverCame(), IsEmpty());
  EXPECT_FALSE(part->Called(1).has_value());
}

// Such an answer once passed for how the member was when it was asked, and it was blamed for an op
// that it had called meanwhile.
TEST_F(TcpBoardsFailuresTest, AnAnswerToAnEarlierQuestionSettlesNoLaterOne) {
  TamperingProxy proxy(nullptr);
  Open(std::make_shared<ProxiedExchange>(proxy));
  boards_[1]->PostCalled(OpSeq(1));
  const base::SteadyTime first = Now();
  ASSERT_TRUE(Eventually(
      [&] { return boards_[0]->Knows({1}, first) && boards_[0]->Called(1) == OpSeq(1); }));

  proxy.HoldAnswers(true);
  const size_t seen = proxy.seen().size();
  (void)boards_[0]->Knows({1}, Now());
  ASSERT_TRUE(Eventually([&] { return proxy.seen().size() >= seen + 2 * sizeof(FrameHeader); }))
      << "the question, and its answer";
  boards_[1]->PostCalled(OpSeq(2));
  const base::SteadyTime since = Now();
  (void)boards_[0]->Knows({1}, since);
  proxy.HoldAnswers(false);

  EXPECT_TRUE(Eventually([&] {
    (void)boards_[0]->Knows({1}, since);
    return boards_[0]->Called(1) == OpSeq(2);
  }));
  boards_[0].reset();  // with their connections, before the proxy ends
  sources_[0].reset();
}

// A card that the kernel had taken when its connection broke was once never sent again.
TEST_F(TcpBoardsFailuresTest, CardsThatAreLostWithTheirConnectionComeOverTheNext) {
  bool dropped = false;  // of the proxy's thread
  TamperingProxy proxy([&dropped](FlowPurpose, int number, std::string record) {
    if (number != 1 || std::exchange(dropped, true)) return record;
    return std::string();  // so that the next one is refused, with its connection
  });
  Open(std::make_shared<ProxiedExchange>(proxy), true);
  const auto post = [&](uint64_t seq) {
    boards_[0]->PostCard(OpSeq(seq), {.fingerprint = seq, .call_site = ""});
    boards_[0]->PostCalled(OpSeq(seq));
  };
  post(1);
  ASSERT_TRUE(Eventually([&] { return boards_[1]->Card(0, OpSeq(1)).has_value(); }));
  post(2);
  post(3);

  EXPECT_TRUE(Eventually([&] { return boards_[1]->Card(0, OpSeq(2)).has_value(); }));
  EXPECT_TRUE(Eventually([&] { return boards_[1]->Card(0, OpSeq(3)).has_value(); }));
  boards_[0].reset();  // with their connections, before the proxy ends
  sources_[0].reset();
}

}  // namespace
}  // namespace lockstep::collectives::testing
