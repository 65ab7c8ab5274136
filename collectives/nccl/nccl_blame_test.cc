// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Whom a group blames, by what its board knows of the others.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/nccl/testing/nccl_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::FailureClass;
using base::GroupRank;
using base::Rank;
using base::Status;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr base::Duration kDeadline = milliseconds(300);

base::SteadyTime Now() { return base::RealClock().Now(); }

/// What boards say otherwise than they know.
struct Told {
  std::atomic<int> lost_long_ago{-1};     // member
  std::atomic<bool> nobody_knows{false};  // of the next member, how far it is
  std::atomic<bool> pairs_lost{false};    // the other end of a pair
  std::atomic<bool> knows_never{false};
  std::atomic<bool> failed{false};  // the group, and what concerns ops from the ninth on
};

class ToldBoard final : public GroupBoard {
 public:
  ToldBoard(const GroupSpec& spec, std::unique_ptr<GroupBoard> board,
            std::shared_ptr<const Told> told)
      : self_(spec.rank.value()),
        size_(static_cast<int>(spec.world_ranks.size())),
        pair_(spec.name.find('>') != std::string::npos),
        board_(std::move(board)),
        told_(std::move(told)) {}

  void Invite(const Invitation& invitation) override { board_->Invite(invitation); }
  std::optional<Invitation> invitation() override { return board_->invitation(); }
  std::vector<int> NeverCame() const override { return board_->NeverCame(); }
  bool Knows(const std::vector<int>& members, base::SteadyTime since) override {
    return !told_->knows_never && board_->Knows(members, since);
  }
  void PostCard(base::OpSeq seq, const CallCard& card) override { board_->PostCard(seq, card); }
  std::optional<CallCard> Card(int member, base::OpSeq seq) const override {
    return board_->Card(member, seq);
  }
  void PostCalled(base::OpSeq last) override { board_->PostCalled(last); }
  std::optional<base::OpSeq> Called(int member) const override {
    if (told_->nobody_knows && member == (self_ + 1) % size_) return std::nullopt;
    return board_->Called(member);
  }
  void PostLongPhase(base::SteadyTime until) override { board_->PostLongPhase(until); }
  base::SteadyTime LongPhase(int member) const override { return board_->LongPhase(member); }
  void Leave() override { board_->Leave(); }
  bool HasLeft(int member) const override { return board_->HasLeft(member); }
  std::optional<std::string> WhyLostSince(int member, base::SteadyTime since) const override {
    if (told_->pairs_lost && pair_ && member != self_) return "is gone";
    if (!pair_ && member == told_->lost_long_ago && since < made_) return "was reset long ago";
    return std::nullopt;
  }
  bool IsSilent(int member) const override { return board_->IsSilent(member); }
  std::optional<std::string> WhyUnasked(int member) const override {
    return board_->WhyUnasked(member);
  }
  void PostError(const ErrorRecord& error) override { board_->PostError(error); }
  std::optional<ErrorRecord> error() const override {
    if (!told_->failed) return board_->error();
    return ErrorRecord{.code = Code::kAborted, .from_seq = 9, .message = "the ninth was told"};
  }
  base::Subject SubjectOf(int member) const override { return board_->SubjectOf(member); }

 private:
  const int self_;
  const int size_;
  const bool pair_;
  const base::SteadyTime made_ = Now();
  const std::unique_ptr<GroupBoard> board_;
  const std::shared_ptr<const Told> told_;
};

class ToldBoards final : public BoardSource {
 public:
  explicit ToldBoards(std::shared_ptr<const Told> told)
      : boards_(std::make_shared<LocalSegments>()), told_(std::move(told)) {}
  base::Result<std::unique_ptr<GroupBoard>> Open(const GroupSpec& spec,
                                                 const OpDeadline& deadline) override {
    ASSIGN_OR_RETURN(auto board, boards_.Open(spec, deadline));
    return std::unique_ptr<GroupBoard>(std::make_unique<ToldBoard>(spec, std::move(board), told_));
  }

 private:
  SegmentBoards boards_;
  const std::shared_ptr<const Told> told_;
};

class NcclBlameTest : public ::testing::Test {
 protected:
  NcclBlameTest() : fake_("2_30"), gang_(3, fake_.Load()) {
    fake_.Script("");
    gang_.runtime_config.boards = std::make_shared<ToldBoards>(told_);
    gang_.timeout = kDeadline;
  }
  ~NcclBlameTest() override { fake_.Script(""); }

  const std::shared_ptr<Told> told_ = std::make_shared<Told>();
  const FakeGpu fake_;
  NcclGang gang_;
};

// Each look at the first op once began the second one's wait for answers anew.
TEST_F(NcclBlameTest, AnOpBehindAnExcusedOneEndsAtItsDeadline) {
  gang_.runtime_config.boards = LocalTcpBoards();
  std::atomic<int> ended{0};
  gang_.Run([&](Group& group) {
    const base::SteadyTime since = Now();
    if (group.rank() == GroupRank(1)) {
      const LongPhase phase(group, seconds(20));
      while (ended.load() < 2 && Now() - since < seconds(20)) std::this_thread::yield();
      return;
    }
    const auto first = group.Barrier();
    if (group.rank() == GroupRank(2)) {
      EXPECT_FALSE(first->Wait().ok());
    } else {
      const Status end = group.Barrier()->Wait();
      EXPECT_THAT(end.root(), StatusIs(Code::kDeadlineExceeded, HasSubstr("number 2 of group")));
      EXPECT_THAT(end.root(), HasSubject(Rank(2)));
    }
    EXPECT_LT(Now() - since, seconds(10));
    ++ended;
  });
}

// A connection that was lost while nobody needed it once made its member NCCL's culprit.
TEST_F(NcclBlameTest, WhoWasLostLongBeforeNcclFailedIsNotBlamed) {
  fake_.Script("async_error=0:1");
  gang_.timeout = seconds(30);
  told_->lost_long_ago = 2;
  gang_.Run([&](Group& group) {
    Status end;
    for (int i = 0; i < 5 && end.ok(); ++i) end = group.Barrier()->Wait();
    EXPECT_THAT(end.root(), StatusIs(Code::kUnavailable, HasSubstr("result 6")));
    EXPECT_THAT(end.root().message(), Not(HasSubstr("long ago")));
    EXPECT_THAT(end.root(), Not(HasSubject(Rank(2))));
  });
}

TEST_F(NcclBlameTest, OfWhomNothingIsKnownIsNotSaidToHaveCalled) {
  fake_.Script("in_progress=1:0");
  told_->nobody_knows = true;
  gang_.Run([&](Group& group) {
    EXPECT_THAT(group.Barrier()->Wait().root(),
                StatusIs(Code::kDeadlineExceeded,
                         HasSubstr("2 of 3 members have called it, of the others this one knows "
                                   "nothing, and NCCL has not ended it")));
  });
}

// In a large group the two ends of a pair may look after each other on their own board alone.
TEST_F(NcclBlameTest, WhomAPairsBoardHasLostIsNamed) {
  gang_.timeout = seconds(30);
  told_->pairs_lost = true;
  gang_.Run([&](Group& group) {
    if (group.rank() != GroupRank(0)) return;
    const std::shared_ptr<std::byte> memory = gang_.Allocate(64);
    const Buffer buffer{memory.get(), 16, Dtype::kF32, gang_.device()};
    const base::SteadyTime since = Now();
    const Status end = group.Recv(buffer, GroupRank(1))->Wait();
    EXPECT_THAT(end, StatusIs(Code::kUnavailable, HasSubstr("rank 1 is gone")));
    EXPECT_THAT(end, HasSubject(Rank(1)));
    EXPECT_EQ(end.failure_class(), FailureClass::kPeerDead);
    EXPECT_LT(Now() - since, seconds(20));
  });
}

// What ended on the member with the error may never end here.
TEST_F(NcclBlameTest, AnOpThatEndedElsewhereIsNotAwaitedForLong) {
  gang_.timeout = seconds(60);
  gang_.Run([&](Group& group) {
    if (group.rank() == GroupRank(0)) return;
    const base::SteadyTime since = Now();
    const auto work = group.Barrier();
    told_->failed = true;
    EXPECT_THAT(work->Wait(), StatusIs(Code::kAborted, HasSubstr("the ninth was told")));
    EXPECT_GE(Now() - since, NcclEngine::kEndTime);
    EXPECT_LT(Now() - since, seconds(20));
  });
}

// Of collectives alone there are some that may still end well.
TEST_F(NcclBlameTest, ATransferAfterAnErrorFailsAtOnce) {
  gang_.timeout = seconds(60);
  gang_.Run([&](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() != GroupRank(0)) return;
    told_->failed = true;
    const std::shared_ptr<std::byte> memory = gang_.Allocate(64);
    const Buffer buffer{memory.get(), 16, Dtype::kF32, gang_.device()};
    const base::SteadyTime since = Now();
    for (const auto& work : {group.Send(buffer, GroupRank(1)), group.Recv(buffer, GroupRank(1))}) {
      const Status end = work->Wait();
      EXPECT_THAT(end, StatusIs(Code::kAborted, HasSubstr("failed before this call")));
      EXPECT_EQ(end.root().message(), "the ninth was told");
    }
    EXPECT_LT(Now() - since, seconds(30));
  });
}

// The ends of a route wait for each other in a thread of their own: who receives for an invitation,
// who sends in NCCL.
class NcclMeetingBlameTest : public NcclBlameTest, public ::testing::WithParamInterface<bool> {};

TEST_P(NcclMeetingBlameTest, AMeetingEndsThoughNobodyKnowsWhyItShould) {
  told_->knows_never = true;
  gang_.Run([&](Group& group) {
    if (group.rank() != GroupRank(0)) return;
    const std::shared_ptr<std::byte> memory = gang_.Allocate(64);
    const Buffer buffer{memory.get(), 16, Dtype::kF32, gang_.device()};
    const base::SteadyTime since = Now();
    const auto work =
        GetParam() ? group.Send(buffer, GroupRank(1)) : group.Recv(buffer, GroupRank(1));
    const Status end = work->Wait();
    EXPECT_THAT(end, StatusIs(Code::kDeadlineExceeded,
                              HasSubstr("its communicator with rank 1 was not made")));
    EXPECT_THAT(end, HasSubject(Rank(1)));
    EXPECT_LT(Now() - since, seconds(20));
  });
}

INSTANTIATE_TEST_SUITE_P(Ends, NcclMeetingBlameTest, ::testing::Bool(),
                         [](const auto& tested) { return tested.param ? "Sends" : "Receives"; });

}  // namespace
}  // namespace lockstep::collectives::testing
