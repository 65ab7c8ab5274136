// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What every GroupBoard does, members being threads, or ends in one thread, that share memory or
// talk over TCP; and what only those over TCP do.
#include "collectives/nccl/group_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/engine/error_record.h"
#include "collectives/engine/own_deadline.h"
#include "collectives/host/shm/local_segments.h"
#include "collectives/host/shm/segment.h"
#include "collectives/host/tcp/local_exchange.h"
#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_meeting.h"
#include "collectives/host/tcp/tcp_members.h"
#include "collectives/nccl/segment_boards.h"
#include "collectives/nccl/tcp_boards.h"
#include "collectives/testing/footprint.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::OpSeq;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
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

/// Likewise, while `board` asks `members`. Knows alone would not do: it is true once they have had
/// kAnswerTime, which is too little for their answers on a machine that is busy.
bool EventuallyKnown(GroupBoard& board, const std::vector<int>& members,
                     const std::function<bool()>& known) {
  return Eventually([&] {
    (void)board.Knows(members, Now());
    return known();
  });
}

GroupSpec SpecOf(int rank, int size, const std::string& name = "world") {
  GroupSpec spec{.job = "test", .host = "here", .name = name, .rank = base::GroupRank(rank)};
  for (int member = 0; member < size; ++member) spec.world_ranks.emplace_back(member);
  return spec;
}

std::shared_ptr<BoardSource> InMemory() {
  return std::make_shared<SegmentBoards>(std::make_shared<LocalSegments>());
}

std::shared_ptr<TcpService> Service(int32_t memory = -1) {
  TcpService::Config config = LocalTcpConfig();
  config.memory = memory;
  auto service = TcpService::Start(std::move(config));
  LOCKSTEP_CHECK(service.ok(), "loopback can be listened on");
  return *std::move(service);
}

using Boards = std::vector<std::unique_ptr<GroupBoard>>;

/// Opened by a thread each, from a source each.
Boards OpenAll(const std::vector<std::shared_ptr<BoardSource>>& sources) {
  const int size = static_cast<int>(sources.size());
  Boards boards(sources.size());
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      auto board = sources[static_cast<size_t>(rank)]->Open(SpecOf(rank, size),
                                                            OwnDeadline(seconds(20)).deadline);
      LOCKSTEP_CHECK(board.ok(), "all came");
      boards[static_cast<size_t>(rank)] = *std::move(board);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return boards;
}

struct Kind {
  std::string name;
  std::function<std::vector<std::shared_ptr<BoardSource>>(int size)> sources;
};

/// Each member on a machine of its own.
std::vector<std::shared_ptr<BoardSource>> OverTcp(int size) {
  const auto exchange = std::make_shared<LocalExchange>();
  std::vector<std::shared_ptr<BoardSource>> sources;
  for (int rank = 0; rank < size; ++rank)
    sources.push_back(std::make_shared<TcpBoards>(Service(), exchange, InMemory()));
  return sources;
}

class GroupBoardTest : public ::testing::TestWithParam<Kind> {
 protected:
  explicit GroupBoardTest(int size = 3)
      : sources_(GetParam().sources(size)), boards_(OpenAll(sources_)) {}

  /// Whether member 0, which goes on asking 1 and 2, comes to know what makes `known` true.
  bool Learns(const std::function<bool()>& known) {
    return EventuallyKnown(*boards_[0], {1, 2}, known);
  }

  const std::vector<std::shared_ptr<BoardSource>> sources_;
  Boards boards_;
};

INSTANTIATE_TEST_SUITE_P(All, GroupBoardTest,
                         ::testing::Values(Kind{"InMemory",
                                                [](int size) {
                                                  return std::vector<std::shared_ptr<BoardSource>>(
                                                      static_cast<size_t>(size), InMemory());
                                                }},
                                           Kind{"OverTcp", OverTcp}),
                         [](const auto& kind) { return kind.param.name; });

TEST_P(GroupBoardTest, AnInvitationComesToAll) {
  EXPECT_EQ(boards_[2]->invitation(), std::nullopt);
  GroupBoard::Invitation invitation;
  std::strcpy(invitation.id.bytes, "id");

  boards_[0]->Invite(invitation);

  for (const auto& board : boards_) {
    ASSERT_TRUE(Eventually([&] { return board->invitation().has_value(); }));
    EXPECT_FALSE(board->invitation()->from_parent);
    EXPECT_STREQ(board->invitation()->id.bytes, "id");
    EXPECT_THAT(board->NeverCame(), IsEmpty());
  }
}

TEST_P(GroupBoardTest, WhoAsksKnowsHowFarTheOthersAre) {
  GroupBoard& asks = *boards_[0];
  boards_[1]->PostCalled(OpSeq(7));
  const base::SteadyTime until = Now() + seconds(60);
  boards_[2]->PostLongPhase(until);

  EXPECT_TRUE(Learns([&] { return asks.Called(1) == OpSeq(7); }));
  EXPECT_TRUE(Learns([&] { return asks.LongPhase(2) >= until - milliseconds(1); }));
  EXPECT_THAT(asks.Called(2), Optional(OpSeq(0)));
  EXPECT_TRUE(Learns([&] { return asks.LongPhase(1) < Now(); }));

  boards_[1]->PostCalled(OpSeq(8));
  boards_[2]->PostLongPhase({});

  EXPECT_TRUE(Learns([&] { return asks.Called(1) == OpSeq(8); }));
  EXPECT_TRUE(Learns([&] { return asks.LongPhase(2) < Now(); }));
}

TEST_P(GroupBoardTest, WhatALeaverCalledIsKnownWithItsEnd) {
  GroupBoard& asks = *boards_[0];
  boards_[1]->PostCalled(OpSeq(3));
  boards_[1]->Leave();
  boards_[2]->PostCalled(OpSeq(4));
  boards_[2].reset();

  ASSERT_TRUE(Learns([&] { return asks.HasLeft(1); }));
  EXPECT_THAT(asks.Called(1), Optional(OpSeq(3)));
  EXPECT_TRUE(Learns([&] { return asks.Called(2) == OpSeq(4); })) << "of one whose board is gone";
  EXPECT_FALSE(asks.WhyLost(1).has_value());
  EXPECT_FALSE(asks.IsSilent(1));
  EXPECT_FALSE(asks.HasLeft(0));
}

TEST_P(GroupBoardTest, CardsComeToAllAndTheLastAreKept) {
  for (uint64_t seq = 1; seq <= 70; ++seq) {
    boards_[1]->PostCard(OpSeq(seq), {.fingerprint = seq, .call_site = "train.cc:7"});
    boards_[1]->PostCalled(OpSeq(seq));
  }

  ASSERT_TRUE(Eventually([&] { return boards_[0]->Card(1, OpSeq(70)).has_value(); }));
  const auto last = boards_[0]->Card(1, OpSeq(70)), first = boards_[0]->Card(1, OpSeq(7));
  EXPECT_EQ(last->fingerprint, 70u);
  EXPECT_STREQ(last->call_site, "train.cc:7");
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->fingerprint, 7u);
  EXPECT_FALSE(boards_[0]->Card(1, OpSeq(71)).has_value());
  EXPECT_FALSE(boards_[0]->Card(2, OpSeq(1)).has_value());
}

TEST_P(GroupBoardTest, TheFirstErrorIsEverybodysWithWhomItBlames) {
  EXPECT_EQ(boards_[0]->error(), std::nullopt);
  ErrorRecord error{.code = Code::kUnavailable,
                    .failure_class = base::FailureClass::kPeerDead,
                    .op_seq = 6,
                    .from_seq = 5,
                    .message = "ranks 2 and 0 burn",
                    .blamed = {{2, "train.cc:7"}, {0, ""}}};
  error.op.kind = OpKind::kAllReduce;
  error.op.dtype = Dtype::kF32;
  error.op.reduction = Reduction::kSum;
  error.op.count = 9;
  boards_[1]->PostError(error);

  for (const auto& board : boards_) {
    ASSERT_TRUE(Eventually([&] { return board->error().has_value(); }));
    board->PostError({.code = Code::kAborted, .from_seq = 8, .message = "another"});
    const base::Status told = StatusOf(*board->error(), base::GroupId(1), base::Round(2),
                                       [&](int member) { return board->SubjectOf(member); });
    EXPECT_THAT(told, StatusIs(Code::kUnavailable, HasSubstr("ranks 2 and 0 burn")));
    EXPECT_EQ(told.failure_class(), base::FailureClass::kPeerDead);
    ASSERT_EQ(told.subjects().size(), 2u);
    EXPECT_EQ(told.subjects()[0].rank, base::Rank(2));
    EXPECT_EQ(told.subjects()[0].pid, getpid());
    EXPECT_EQ(told.subjects()[0].host, "here");
    EXPECT_EQ(told.subjects()[0].call_site, "train.cc:7");
    EXPECT_EQ(told.subjects()[1].rank, base::Rank(0));
    EXPECT_EQ(told.op(),
              (base::OpRef{base::GroupId(1), base::Round(2), OpSeq(6), "all_reduce(f32, sum, 9)"}));
    EXPECT_EQ(board->error()->from_seq, 5u);
  }
}

TEST_P(GroupBoardTest, ASecondErrorConcernsItsOpsToo) {
  boards_[1]->PostError({.code = Code::kUnavailable, .from_seq = 5, .message = "first"});
  ASSERT_TRUE(Eventually([&] { return boards_[0]->error().has_value(); }));
  boards_[0]->PostError({.code = Code::kAborted, .from_seq = 3, .message = "second"});

  EXPECT_EQ(boards_[0]->error()->message, "first");
  EXPECT_EQ(boards_[0]->error()->from_seq, 3u);
}

TEST(SegmentBoardsTest, AMemberWithAnotherLayoutIsRefused) {
  class Written final : public SegmentSource {
   public:
    base::Result<std::shared_ptr<Segment>> Open(const SegmentRequest& request,
                                                base::Duration) override {
      ASSIGN_OR_RETURN(auto segment, Segment::Anonymous(request.bytes));
      segment->data()[0] = std::byte{0x7f};
      return segment;
    }
  };
  SegmentBoards boards(std::make_shared<Written>());
  EXPECT_THAT(boards.Open(SpecOf(0, 2), OwnDeadline(seconds(20)).deadline),
              StatusIs(Code::kFailedPrecondition, HasSubstr("of another release")));
}

TEST_P(GroupBoardTest, OfADerivedGroupWhoComesLateIsMissedAndThenInvited) {
  std::vector<std::unique_ptr<GroupBoard>> part(3);
  for (const int rank : {0, 1}) {
    ASSERT_OK_AND_ASSIGN(part[static_cast<size_t>(rank)],
                         sources_[static_cast<size_t>(rank)]->OpenDerived(
                             SpecOf(rank, 3, "part"), OwnDeadline(seconds(20)).deadline));
  }
  part[0]->Invite({.from_parent = true});
  ASSERT_TRUE(EventuallyKnown(*part[0], {1, 2}, [&] {
    return part[0]->NeverCame() == std::vector{2};
  })) << ::testing::PrintToString(part[0]->NeverCame());

  ASSERT_OK_AND_ASSIGN(
      part[2], sources_[2]->OpenDerived(SpecOf(2, 3, "part"), OwnDeadline(seconds(20)).deadline));

  ASSERT_TRUE(Eventually([&] { return part[2]->invitation().has_value(); }));
  EXPECT_TRUE(part[2]->invitation()->from_parent);
  EXPECT_TRUE(Eventually([&] { return part[0]->NeverCame().empty(); }));
}

TEST_P(GroupBoardTest, NothingIsLeftOfBoardsThatAreGone) {
  const auto open_and_drop = [&] {
    for (int i = 0; i < 30; ++i) {
      const std::string name = "g" + std::to_string(i);
      Boards boards;
      for (int rank = 0; rank < 3; ++rank) {
        auto board = sources_[static_cast<size_t>(rank)]->OpenDerived(
            SpecOf(rank, 3, name), OwnDeadline(seconds(20)).deadline);
        ASSERT_OK(board);
        boards.push_back(*std::move(board));
      }
      boards[0]->Invite({});
      ASSERT_TRUE(Eventually([&] { return boards[2]->invitation().has_value(); }));
      boards[1]->PostError({.code = Code::kAborted, .message = "over"});
    }
  };
  open_and_drop();
  const Footprint before = Footprint::Settled();
  open_and_drop();
  const Footprint after = Footprint::Settled();

  EXPECT_LE(after.descriptors, before.descriptors) << before.ToString() << after.ToString();
  EXPECT_LE(after.threads, before.threads);
}

TEST(TcpBoardsTest, WhoNeverComesIsNamed) {
  TcpBoards boards(Service(), std::make_shared<LocalExchange>(), InMemory());
  const auto opened = boards.Open(SpecOf(0, 2), OwnDeadline(milliseconds(200)).deadline);
  EXPECT_THAT(opened, StatusIs(Code::kDeadlineExceeded, HasSubstr("rank 1 never came")));
  EXPECT_THAT(opened.status(), HasSubject(base::Rank(1)));
}

// A board that is dropped says that it has left; a process that dies does not.
TEST(TcpBoardsTest, AProcessThatIsGoneIsLost) {
  const auto exchange = std::make_shared<LocalExchange>();
  TcpBoards source(Service(), exchange, InMemory());
  std::shared_ptr<TcpService> dies = Service();
  std::shared_ptr<TcpEnd> end;
  std::thread other([&] {
    const OwnDeadline own(seconds(20));
    auto cards = MeetOverTcp(*dies, *exchange, SpecOf(1, 2), own.deadline);
    LOCKSTEP_CHECK(cards.ok(), "all came");
    end =
        std::make_shared<TcpEnd>(TcpMembers(SpecOf(1, 2), *std::move(cards)), TcpEnd::Bells::kNone);
    dies->Register(end);
  });
  const auto opened = source.Open(SpecOf(0, 2), OwnDeadline(seconds(20)).deadline);
  other.join();
  ASSERT_OK(opened);
  GroupBoard& board = **opened;
  end->called_seq = 9;
  ASSERT_TRUE(EventuallyKnown(board, {1}, [&] { return board.Called(1) == OpSeq(9); }));
  EXPECT_FALSE(board.WhyLost(1).has_value());

  dies.reset();

  ASSERT_TRUE(EventuallyKnown(board, {1}, [&] { return board.WhyLost(1).has_value(); }));
  EXPECT_THAT(*board.WhyLost(1), HasSubstr("cannot be reached"));
  EXPECT_FALSE(board.HasLeft(1));
  EXPECT_THAT(board.Called(1), Optional(OpSeq(9)));
}

// Of members on two machines, those of one meet in memory: nobody else could know their board.
TEST(TcpBoardsTest, MembersOfOneMachineMeetInMemory) {
  const auto exchange = std::make_shared<LocalExchange>();
  const auto first = std::make_shared<TcpBoards>(Service(0), exchange, InMemory());
  const auto second = std::make_shared<TcpBoards>(Service(1), exchange, InMemory());
  const Boards world = OpenAll({first, first, second});

  GroupSpec spec = SpecOf(0, 2, "near");
  ASSERT_OK_AND_ASSIGN(const auto here,
                       first->OpenDerived(spec, OwnDeadline(seconds(20)).deadline));
  EXPECT_THAT(here->NeverCame(), ElementsAre(1));
  spec.rank = base::GroupRank(1);
  ASSERT_OK_AND_ASSIGN(const auto there,
                       first->OpenDerived(spec, OwnDeadline(seconds(20)).deadline));
  there->PostCalled(OpSeq(4));
  EXPECT_THAT(here->Called(1), Optional(OpSeq(4))) << "without a question";
  EXPECT_THAT(here->NeverCame(), IsEmpty());

  GroupSpec far = SpecOf(0, 2, "far");
  far.world_ranks = {base::Rank(0), base::Rank(2)};
  ASSERT_OK_AND_ASSIGN(const auto over_tcp,
                       first->OpenDerived(far, OwnDeadline(seconds(20)).deadline));
  EXPECT_EQ(over_tcp->Called(1), std::nullopt) << "nobody was asked";
}

/// Says of all members that they are in this process.
class CrowdExchange final : public AddressExchange {
 public:
  base::Result<std::vector<std::optional<AddressCard>>> Exchange(const ExchangeRequest& request,
                                                                 const AddressCard& mine,
                                                                 const OpDeadline&) override {
    return std::vector<std::optional<AddressCard>>(static_cast<size_t>(request.member_count), mine);
  }
};

TEST(TcpBoardsTest, OfALargeGroupSomeAreLookedAfter) {
  TcpBoards boards(Service(), std::make_shared<CrowdExchange>(), InMemory());
  constexpr int kSize = TcpBoards::kAskedMax + 36;
  ASSERT_OK_AND_ASSIGN(const auto board,
                       boards.Open(SpecOf(50, kSize), OwnDeadline(seconds(20)).deadline));
  ASSERT_OK_AND_ASSIGN(const auto near,
                       boards.Open(SpecOf(49 + 36, kSize), OwnDeadline(seconds(20)).deadline));
  ASSERT_OK_AND_ASSIGN(const auto before,
                       boards.Open(SpecOf(49, kSize), OwnDeadline(seconds(20)).deadline));
  near->PostCalled(OpSeq(2));
  before->PostCalled(OpSeq(2));
  std::vector<int> others;
  for (int member = 0; member < kSize; ++member) {
    if (member != 50) others.push_back(member);
  }

  const auto known = [&] {
    return std::count_if(others.begin(), others.end(),
                         [&](int member) { return board->Called(member).has_value(); });
  };
  const base::SteadyTime since = Now();
  ASSERT_TRUE(Eventually([&] {
    return board->Knows(others, since) && board->Called(49 + 36) == OpSeq(2) &&
           known() >= TcpBoards::kAskedMax;
  }));

  EXPECT_EQ(known(), TcpBoards::kAskedMax);
  EXPECT_EQ(board->Called(49), std::nullopt) << "51 others ask that one";
}

}  // namespace
}  // namespace lockstep::collectives::testing
