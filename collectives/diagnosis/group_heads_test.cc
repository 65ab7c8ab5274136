// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/group_heads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/words.h"

namespace lockstep::collectives {
namespace {

using base::Rank;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using State = GroupHead::State;

/// Ranks that sit in the group "world", number 1, and have called nothing.
class Gang {
 public:
  explicit Gang(int size) {
    std::vector<Rank> all;
    for (int rank = 0; rank < size; ++rank) all.emplace_back(rank);
    for (int rank = 0; rank < size; ++rank) {
      SeenRank seen{.rank = Rank(rank), .ring_read = true};
      seen.process.state = ProcessState::kSleeps;
      evidence_.ranks.push_back(std::move(seen));
    }
    Sit(1, "world", all);
  }

  SeenRank& operator[](int rank) { return evidence_.ranks[static_cast<size_t>(rank)]; }
  std::vector<GroupHead> Heads() const { return GroupHeads(evidence_); }
  GroupHead Head() const { return Heads().at(0); }

  void Sit(uint64_t id, const std::string& name, const std::vector<Rank>& members) {
    for (size_t place = 0; place < members.size(); ++place) {
      (*this)[members[place].value()].groups.push_back(
          {.id = base::GroupId(id),
           .name = name,
           .rank = base::GroupRank(static_cast<int>(place)),
           .size = static_cast<int>(members.size()),
           .members = members});
    }
  }
  SeenOp& Ended(int rank, uint64_t group, uint64_t seq) {
    SeenOp& op = Add(rank, group, seq);
    op.state = LOCKSTEP_RECORD_COMPLETED;
    return op;
  }
  SeenOp& Waits(int rank, uint64_t group, uint64_t seq, base::Duration age) {
    SeenOp& op = Add(rank, group, seq);
    op.state = LOCKSTEP_RECORD_STARTED;
    op.caller_waits = true;
    op.age = age;
    return op;
  }

 private:
  SeenOp& Add(int rank, uint64_t group, uint64_t seq) {
    return (*this)[rank].ops.emplace_back(SeenOp{.group = base::GroupId(group),
                                                 .seq = base::OpSeq(seq),
                                                 .kind = OpKind::kAllReduce,
                                                 .dtype = Dtype::kF32,
                                                 .reduction = Reduction::kSum,
                                                 .count = 1000});
  }

  Evidence evidence_;
};

TEST(GroupHeadsTest, WhoHasNotComeIsAwaitedSinceTheFirstCame) {
  Gang gang(3);
  for (const int rank : {0, 1, 2}) gang.Ended(rank, 1, 11);
  gang.Waits(0, 1, 12, seconds(4));
  gang.Waits(2, 1, 12, seconds(5));

  const GroupHead head = gang.Head();

  EXPECT_EQ(head.state, State::kWaiting);
  EXPECT_EQ(head.name, "world");
  EXPECT_EQ(head.size, 3);
  EXPECT_THAT(head.called, ElementsAre(Rank(0), Rank(2)));
  EXPECT_THAT(head.awaited, ElementsAre(Rank(1)));
  EXPECT_EQ(head.waited, seconds(5));
  EXPECT_EQ(PlaceText(*head.op, head.name), "all_reduce(f32, sum, 1000), op 12 of group world");
}

TEST(GroupHeadsTest, WhereAllHaveComeItMoves) {
  Gang gang(2);
  gang.Waits(0, 1, 12, seconds(1));
  gang.Ended(1, 1, 12);  // over for this one, and not yet for the other
  gang.Ended(1, 1, 13);

  EXPECT_EQ(gang.Head().state, State::kMoving);
  EXPECT_EQ(gang.Head().op->seq, base::OpSeq(12));
  EXPECT_THAT(gang.Head().called, SizeIs(2));
  EXPECT_THAT(gang.Head().awaited, IsEmpty());
}

TEST(GroupHeadsTest, OfAnIdleGroupTheLastOpIsToldAndNobodyIsAwaited) {
  Gang gang(2);
  gang.Ended(0, 1, 12);
  gang.Ended(0, 1, 13);
  gang.Ended(1, 1, 12);

  const GroupHead head = gang.Head();

  EXPECT_EQ(head.state, State::kIdle);
  EXPECT_EQ(head.op->seq, base::OpSeq(13));
  EXPECT_THAT(head.called, ElementsAre(Rank(0)));
  EXPECT_THAT(head.awaited, IsEmpty());
  EXPECT_EQ(head.waited, seconds(0));
}

TEST(GroupHeadsTest, AGroupThatHasCalledNothingIsNew) {
  EXPECT_EQ(Gang(2).Head().state, State::kNew);
  EXPECT_FALSE(Gang(2).Head().op.has_value());
}

TEST(GroupHeadsTest, NobodyIsAwaitedOfWhomTooLittleIsKnown) {
  Gang gang(3);
  gang.Waits(0, 1, 12, seconds(5));
  gang[1].ring_read = false;
  gang[2].ring_overflowed = true;  // it has called other things since, or nothing of this group

  EXPECT_EQ(gang.Head().state, State::kUnknown);
  EXPECT_EQ(gang.Head().unheard, 2);
  EXPECT_THAT(gang.Head().awaited, IsEmpty());
}

TEST(GroupHeadsTest, WhatARankThatHasEndedLeftOpenHoldsNobody) {
  Gang gang(2);
  gang.Waits(0, 1, 3, seconds(5));
  gang[0].process.state = ProcessState::kEnded;

  EXPECT_EQ(gang.Head().state, State::kIdle);
}

TEST(GroupHeadsTest, AReceiveWaitsForItsSender) {
  Gang gang(2);
  gang.Ended(0, 1, 4);
  SeenOp& receive = gang.Waits(1, 1, 7, seconds(2));
  receive.kind = OpKind::kRecv;
  receive.root_or_peer = 0;

  EXPECT_EQ(gang.Head().state, State::kWaiting);
  EXPECT_THAT(gang.Head().called, ElementsAre(Rank(1)));
  EXPECT_THAT(gang.Head().awaited, ElementsAre(Rank(0)));
  EXPECT_TRUE(gang.Head().op->is_transfer());

  SeenOp& send = gang.Waits(0, 1, 7, seconds(1));
  send.kind = OpKind::kSend;
  send.root_or_peer = 1;
  EXPECT_EQ(gang.Head().state, State::kMoving);
  EXPECT_THAT(gang.Head().called, ElementsAre(Rank(0), Rank(1)));
}

TEST(GroupHeadsTest, WhoWaitsLongestComesFirstAndGroupsThatWereLeftDoNot) {
  Gang gang(4);
  gang.Sit(2, "tp", {Rank(0), Rank(1)});
  gang.Sit(3, "dp", {Rank(2), Rank(3)});
  gang.Ended(0, 1, 1);
  gang.Waits(0, 2, 5, seconds(2));
  gang.Waits(2, 3, 8, seconds(9));
  gang.Ended(1, 77, 4);  // nobody sits there any more

  std::vector<std::string> names;
  for (const GroupHead& head : gang.Heads()) names.push_back(head.name);

  EXPECT_THAT(names, ElementsAre("dp", "tp", "world"));
}

}  // namespace
}  // namespace lockstep::collectives
