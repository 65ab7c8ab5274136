// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/diagnose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/words.h"

namespace lockstep::collectives {
namespace {

using base::Rank;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Class = Finding::Class;
using Confidence = Finding::Confidence;

/// Evidence of ranks that have ended three ops of their world and then wait in the fourth, unless
/// told otherwise.
class Job {
 public:
  explicit Job(int size) {
    for (int rank = 0; rank < size; ++rank) {
      SeenRank seen{.rank = Rank(rank), .ring_read = true};
      seen.process = {.state = ProcessState::kSleeps, .host = "node-a", .pid = 100 + rank};
      evidence_.ranks.push_back(std::move(seen));
    }
    std::vector<int> all(static_cast<size_t>(size));
    for (int rank = 0; rank < size; ++rank) all[static_cast<size_t>(rank)] = rank;
    AddGroup(1, "world", all);
    for (int rank = 0; rank < size; ++rank) {
      for (int i = 0; i < 3; ++i) End(rank, 1);
    }
  }

  SeenRank& operator[](int rank) { return evidence_.ranks[static_cast<size_t>(rank)]; }
  const Evidence& evidence() const { return evidence_; }
  void SetWorldSize(int size) { evidence_.world_size = size; }
  Finding Find(const DiagnoseOptions& options = {}) const { return Diagnose(evidence_, options); }

  void AddGroup(uint64_t id, const std::string& name, const std::vector<int>& members) {
    std::vector<Rank> ranks;
    for (const int member : members) ranks.emplace_back(member);
    for (size_t place = 0; place < members.size(); ++place) {
      (*this)[members[place]].groups.push_back({.id = base::GroupId(id),
                                                .name = name,
                                                .rank = base::GroupRank(static_cast<int>(place)),
                                                .size = static_cast<int>(members.size()),
                                                .members = ranks});
    }
  }
  /// The next op of the group, which has ended well.
  SeenOp& End(int rank, uint64_t group) {
    SeenOp& op = Call(rank, group, seconds(60));
    op.state = LOCKSTEP_RECORD_COMPLETED;
    op.caller_waits = false;
    return op;
  }
  /// The next op of the group, in which its caller waits.
  SeenOp& Call(int rank, uint64_t group, base::Duration age = seconds(5)) {
    std::vector<SeenOp>& ops = (*this)[rank].ops;
    uint64_t seq = 1;
    for (const SeenOp& op : ops) seq += op.group == base::GroupId(group) && !op.is_transfer();
    ops.push_back({.group = base::GroupId(group),
                   .seq = base::OpSeq(seq),
                   .kind = OpKind::kAllReduce,
                   .dtype = Dtype::kF32,
                   .reduction = Reduction::kSum,
                   .count = 4,
                   .fingerprint = 1000 * group + seq,
                   .state = LOCKSTEP_RECORD_STARTED,
                   .caller_waits = true,
                   .age = age,
                   .call_site = "train.cc:" + std::to_string(10 * group)});
    return ops.back();
  }
  SeenOp& Transfer(int rank, OpKind kind, int peer, uint64_t seq, base::Duration age = seconds(5)) {
    (*this)[rank].ops.push_back({.group = base::GroupId(1),
                                 .seq = base::OpSeq(seq),
                                 .kind = kind,
                                 .dtype = Dtype::kF32,
                                 .root_or_peer = peer,
                                 .count = 4,
                                 .state = LOCKSTEP_RECORD_STARTED,
                                 .caller_waits = true,
                                 .age = age});
    return (*this)[rank].ops.back();
  }

 private:
  Evidence evidence_;
};

std::vector<int> Named(const Finding& finding) {
  std::vector<int> ranks;
  for (const Finding::Culprit& culprit : finding.culprits) ranks.push_back(culprit.rank.value());
  return ranks;
}

std::vector<int> Victims(const Finding& finding) {
  std::vector<int> ranks;
  for (const Rank rank : finding.victims) ranks.push_back(rank.value());
  return ranks;
}

/// The failure seen: a rank that closed its descriptors went on to sleep, and who was told so by
/// its library failed first, and was named.
TEST(DiagnoseTest, WhoIsSaidToBeGoneIsNamedAndNotWhoWasToldOfIt) {
  Job job(3);
  for (const int rank : {0, 1}) {
    job.Call(rank, 1, milliseconds(10)).state = LOCKSTEP_RECORD_REMOTE_ERROR;
    job[rank].process.state = ProcessState::kEnded;
    job[rank].process.exit_code = 1;
  }
  const Finding finding = job.Find();
  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_THAT(Named(finding), ElementsAre(2));
  EXPECT_EQ(finding.culprits[0].absence, Absence::kSleepsElsewhere);

  for (const int rank : {0, 1}) job[rank].ops.back().state = LOCKSTEP_RECORD_ERROR;
  EXPECT_EQ(job.Find().verdict_class, Class::kDeadRank) << "an error of its own";
}

/// The failure seen: rings of another machine were read just before a rank there made the call by
/// which it was told, and it was named for its exit code.
TEST(DiagnoseTest, OfOneThatEndedAndOneThatFailedTheFirstIsNamed) {
  Job job(3);
  job.Call(0, 1, milliseconds(10)).state = LOCKSTEP_RECORD_REMOTE_ERROR;
  job[1].process = {.state = ProcessState::kEnded, .exit_code = 1, .ended_ago = milliseconds(5)};
  job[2].process = {.state = ProcessState::kEnded, .ended_ago = milliseconds(9)};
  EXPECT_EQ(job.Find().verdict_class, Class::kMissingRank);
  EXPECT_THAT(Named(job.Find()), ElementsAre(2));

  job[1].process.ended_ago = milliseconds(12);
  EXPECT_EQ(job.Find().verdict_class, Class::kDeadRank);
  EXPECT_THAT(Named(job.Find()), ElementsAre(1));
}

TEST(DiagnoseTest, NobodyWaitsNobodyIsNamed) {
  Job job(3);
  EXPECT_EQ(job.Find().verdict_class, Class::kNone);
  job.Call(0, 1, milliseconds(300));
  EXPECT_EQ(job.Find().verdict_class, Class::kNone) << "rings are not read in one instant";
}

TEST(DiagnoseTest, AStoppedRankIsNamedAtOnceByThoseThatWaitForIt) {
  Job job(3);
  job.Call(0, 1, milliseconds(700));
  job.Call(2, 1, milliseconds(600));
  job[1].process.state = ProcessState::kStopped;

  const Finding finding = job.Find();

  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_TRUE(finding.is_provable);
  EXPECT_EQ(finding.culprits, (std::vector<Finding::Culprit>{{Rank(1), Absence::kStopped}}));
  EXPECT_THAT(Victims(finding), ElementsAre(0, 2));
  EXPECT_EQ(finding.op->seq, base::OpSeq(4));
  EXPECT_EQ(Summary(finding, job.evidence()),
            "rank 1 has not come to all_reduce(f32, sum, 4), op 4 of group world: its process is "
            "stopped by a signal; ranks 0, 2 have waited for 700ms");
  EXPECT_EQ(WhatToDo(finding, job.evidence()), "kill -CONT 101 lets it go on");
  EXPECT_THAT(WhatItRestsOn(finding, job.evidence()),
              ElementsAre("rank 1 called last, 1m00s ago, all_reduce(f32, sum, 4), op 3 of group "
                          "world at train.cc:10",
                          "rank 0 has waited 700ms in all_reduce(f32, sum, 4), op 4 of group world "
                          "at train.cc:10",
                          "rank 2 has waited 600ms in all_reduce(f32, sum, 4), op 4 of group world "
                          "at train.cc:10"));
}

TEST(DiagnoseTest, AStoppedRankIsNamedAlsoInsideTheOp) {
  Job job(3);
  for (const int rank : {0, 1, 2}) job.Call(rank, 1);
  job[1].process.state = ProcessState::kFrozen;

  const Finding finding = job.Find();

  EXPECT_EQ(finding.culprits, (std::vector<Finding::Culprit>{{Rank(1), Absence::kFrozen}}));
  EXPECT_THAT(Summary(finding, job.evidence()), HasSubstr("rank 1 stands still in all_reduce("));
  EXPECT_THAT(WhatItRestsOn(finding, job.evidence()),
              Contains("rank 1 is in all_reduce(f32, sum, 4), op 4 of group world at train.cc:10, "
                       "called 5s ago"));
  job[1].process = {.state = ProcessState::kEnded, .signal = SIGKILL};
  job[1].step = 7;
  EXPECT_THAT(WhatItRestsOn(job.Find(), job.evidence()),
              Contains("rank 1 was in all_reduce(f32, sum, 4), op 4 of group world at train.cc:10, "
                       "called 5s ago in step 7"));
}

/// The failure seen: what had ended on a stream just before its rank did was not recorded any more.
TEST(DiagnoseTest, AStreamThatWaitedForLongWhenItsRankEndedStoodThere) {
  Job job(3);
  for (const int rank : {0, 2}) job.Call(rank, 1);
  SeenOp& last = job[1].ops.back();
  last.state = LOCKSTEP_RECORD_STARTED;
  last.stream_waits = true;
  last.age = milliseconds(500);
  job[1].process = {.state = ProcessState::kEnded, .ended_ago = milliseconds(495)};
  EXPECT_THAT(WhatItRestsOn(job.Find(), job.evidence()),
              Contains(HasSubstr("rank 1 called last, 500ms ago, all_reduce(")));
  job[1].process.ended_ago = milliseconds(100);
  EXPECT_THAT(WhatItRestsOn(job.Find(), job.evidence()),
              Contains(HasSubstr("rank 1 was in all_reduce(")));
}

TEST(DiagnoseTest, ADebuggerIsNoReasonToAct) {
  Job job(2);
  job.Call(0, 1);
  job[1].process.state = ProcessState::kTraced;
  EXPECT_THAT(Named(job.Find()), ElementsAre(1));
  EXPECT_FALSE(job.Find().is_provable);
}

TEST(DiagnoseTest, ABusyRankIsNamedAfterTheGraceAndProvesNothing) {
  Job job(3);
  job.Call(0, 1, milliseconds(1900));
  job.Call(2, 1, milliseconds(1900));
  job[1].process.state = ProcessState::kRuns;
  EXPECT_EQ(job.Find().verdict_class, Class::kNone);

  const Finding finding = job.Find({.grace = seconds(1)});

  EXPECT_EQ(finding.culprits, (std::vector<Finding::Culprit>{{Rank(1), Absence::kRunsElsewhere}}));
  EXPECT_FALSE(finding.is_provable);
  EXPECT_EQ(finding.confidence, Confidence::kHigh);
}

TEST(DiagnoseTest, TheCauseIsWhoWaitsForNobodyNotWhoIsWaitedForLast) {
  Job job(4);
  job.AddGroup(2, "left", {0, 1});
  job.AddGroup(3, "right", {1, 2});
  job.Call(0, 2, seconds(3));  // for 1
  job.Call(1, 3, seconds(4));  // for 2
  job.Call(3, 1, seconds(9));  // for all, the longest

  const Finding finding = job.Find();

  EXPECT_THAT(Named(finding), ElementsAre(2));
  EXPECT_THAT(Victims(finding), ElementsAre(0, 1, 3));
}

TEST(DiagnoseTest, ACircleThroughGroupsIsADeadlockEdgeByEdge) {
  Job job(3);
  job.AddGroup(2, "left", {0, 1});
  job.AddGroup(3, "right", {1, 2});
  job.AddGroup(4, "outer", {0, 2});
  job.Call(0, 2);  // for 1
  job.Call(1, 3);  // for 2
  job.Call(2, 4);  // for 0

  const Finding finding = job.Find();

  EXPECT_EQ(finding.verdict_class, Class::kCrossGroupDeadlock);
  EXPECT_TRUE(finding.is_provable);
  EXPECT_THAT(Named(finding), ElementsAre(0, 1, 2));
  ASSERT_EQ(finding.cycle.size(), 3u);
  EXPECT_THAT(WhatItRestsOn(finding, job.evidence()),
              ElementsAre("rank 0 waits for rank 1 in all_reduce(f32, sum, 4), op 1 of group left "
                          "at train.cc:20",
                          "rank 1 waits for rank 2 in all_reduce(f32, sum, 4), op 1 of group right "
                          "at train.cc:30",
                          "rank 2 waits for rank 0 in all_reduce(f32, sum, 4), op 1 of group outer "
                          "at train.cc:40"));
}

TEST(DiagnoseTest, ACircleOfStreamsIsLikelyAndNotProvable) {
  Job job(2);
  job.AddGroup(2, "a", {0, 1});
  job.AddGroup(3, "b", {0, 1});
  for (SeenOp* const op : {&job.Call(0, 2), &job.Call(1, 3)}) {
    op->caller_waits = false;
    op->stream_waits = true;
  }

  const Finding finding = job.Find();

  EXPECT_EQ(finding.verdict_class, Class::kCrossGroupDeadlock);
  EXPECT_FALSE(finding.is_provable) << "both may only be late";
  EXPECT_EQ(finding.confidence, Confidence::kMedium);
}

TEST(DiagnoseTest, WhoseStreamWaitsIsAVictim) {
  Job job(3);
  for (const int rank : {0, 2}) {
    SeenOp& op = job.Call(rank, 1);
    op.caller_waits = false;
    op.stream_waits = true;
  }

  const Finding finding = job.Find();

  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_THAT(Named(finding), ElementsAre(1));
  EXPECT_THAT(Victims(finding), ElementsAre(0, 2));
}

TEST(DiagnoseTest, OfAGroupWhoseMembersNobodyNamesAllOthersAreUnheard) {
  Job job(4);
  job.AddGroup(2, "part", {0, 1});
  job[1].groups.pop_back();  // has not come to its making
  job[0].groups.back().members.clear();
  job.Call(0, 2);

  const Finding finding = job.Find();

  EXPECT_EQ(finding.verdict_class, Class::kUnknown);
  EXPECT_THAT(finding.unheard, ElementsAre(Rank(1), Rank(2), Rank(3)));
}

TEST(DiagnoseTest, OpsInTheBackgroundHoldNobody) {
  Job job(2);
  job.AddGroup(2, "a", {0, 1});
  job.AddGroup(3, "b", {0, 1});
  job.Call(0, 2).caller_waits = false;
  job.Call(1, 3).caller_waits = false;
  EXPECT_EQ(job.Find().verdict_class, Class::kNone) << "both compute, and come later";
  job.Call(1, 1);
  EXPECT_THAT(Named(job.Find()), ElementsAre(0));
}

TEST(DiagnoseTest, AWaitStandsInTheFirstOpOfItsGroupThatIsOpen) {
  Job job(3);
  for (const int rank : {0, 1}) {
    job.Call(rank, 1, seconds(6)).caller_waits = false;
    job.Call(rank, 1, seconds(5));
  }
  const Finding finding = job.Find();
  EXPECT_THAT(Named(finding), ElementsAre(2));
  EXPECT_EQ(finding.op->seq, base::OpSeq(4));
}

TEST(DiagnoseTest, TheMinorityIsGuiltyAlsoOfAnOpThatEndedWell) {
  Job job(3);
  for (const int rank : {0, 1, 2}) {
    SeenOp& op = job.End(rank, 1);
    if (rank != 2) continue;
    op.dtype = Dtype::kI32;
    op.fingerprint = 7;
    op.call_site = "eval.cc:5";
  }
  const Finding finding = job.Find();

  EXPECT_EQ(finding.verdict_class, Class::kMismatch);
  EXPECT_TRUE(finding.is_provable);
  EXPECT_THAT(Named(finding), ElementsAre(2));
  EXPECT_EQ(finding.field, Finding::Field::kDtype);
  EXPECT_EQ(Summary(finding, job.evidence()),
            "rank 2 called all_reduce(i32, sum, 4) at eval.cc:5 where the others called "
            "all_reduce(f32, sum, 4) at train.cc:10 as op 4 of group world: the dtypes differ");
}

TEST(DiagnoseTest, OfTwoEqualSidesBothAreNamed) {
  Job job(2);
  job.Call(0, 1);
  SeenOp& op = job.Call(1, 1);
  op.count = 8;
  op.fingerprint = 7;
  const Finding finding = job.Find();
  EXPECT_TRUE(finding.is_tie);
  EXPECT_EQ(finding.confidence, Confidence::kMedium);
  EXPECT_EQ(finding.field, Finding::Field::kCount);
  EXPECT_THAT(Named(finding), ElementsAre(0, 1));
}

TEST(DiagnoseTest, AMajorityThatTheUnknownCouldTurnIsNotSure) {
  Job job(4);
  for (const int rank : {0, 1, 2}) job.Call(rank, 1);
  job[2].ops.back().fingerprint = 7;
  job[3].ring_read = false;
  job[3].ops.clear();
  job[3].groups.clear();
  const Finding finding = job.Find();
  EXPECT_THAT(Named(finding), ElementsAre(2));
  EXPECT_EQ(finding.confidence, Confidence::kMedium);
  EXPECT_THAT(finding.unheard, ElementsAre(Rank(3)));
}

TEST(DiagnoseTest, WhoIsACallAheadHasAnotherOrder) {
  Job job(3);
  for (const int rank : {0, 1, 2}) {
    SeenOp broadcast = job.Call(rank, 1);
    job[rank].ops.pop_back();
    broadcast.kind = OpKind::kBroadcast;
    broadcast.reduction = Reduction::kNone;
    broadcast.root_or_peer = 0;
    broadcast.state = LOCKSTEP_RECORD_COMPLETED;
    broadcast.fingerprint = 5;
    if (rank == 1) {  // leaves the broadcast out
      job.Call(rank, 1);
      continue;
    }
    job[rank].ops.push_back(broadcast);
    job.Call(rank, 1);
  }
  const Finding finding = job.Find();
  EXPECT_THAT(Named(finding), ElementsAre(1));
  EXPECT_EQ(finding.field, Finding::Field::kOrder);
}

TEST(DiagnoseTest, AKilledRankComesBeforeAllElse) {
  Job job(3);
  job.Call(0, 1);
  job[1].process.state = ProcessState::kEnded;
  job[1].process.signal = SIGKILL;
  job[2].process.state = ProcessState::kEnded;  // its peer vanished
  job[2].process.exit_code = 1;
  job[2].process.ended_ago = seconds(1);
  const Finding finding = job.Find();
  EXPECT_EQ(finding.verdict_class, Class::kDeadRank);
  EXPECT_THAT(Named(finding), ElementsAre(1));
}

TEST(DiagnoseTest, AnExitOfOneWhoseOpFailedSaysLessThanWhyItFailed) {
  Job job(3);
  for (const int rank : {0, 1}) {
    job.Call(rank, 1).state = LOCKSTEP_RECORD_TIMED_OUT;
    job[rank].process.state = ProcessState::kEnded;
    job[rank].process.exit_code = 1;
  }
  job[2].process.state = ProcessState::kRuns;
  const Finding finding = job.Find();
  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_THAT(Named(finding), ElementsAre(2));
}

TEST(DiagnoseTest, WhoEndsEarlyIsNamedByThoseThatStillWait) {
  Job job(3);
  job[1].process.state = ProcessState::kEnded;
  EXPECT_EQ(job.Find().verdict_class, Class::kNone) << "it may be done";
  job.Call(0, 1, milliseconds(600));
  const Finding finding = job.Find();
  EXPECT_TRUE(finding.is_provable);
  EXPECT_EQ(finding.culprits, (std::vector<Finding::Culprit>{{Rank(1), Absence::kEndedEarly}}));
}

TEST(DiagnoseTest, WhoNeverCameToTheMakingOfTheWorldIsNamed) {
  Job job(3);
  for (const int rank : {0, 1, 2}) job[rank].ops.clear();
  job[1].groups.clear();
  for (const int rank : {0, 2}) {
    SeenOp& op = job.Call(rank, 1);
    op.kind = OpKind::kInit;
    op.seq = base::OpSeq(0);
  }
  const Finding finding = job.Find();
  EXPECT_EQ(finding.culprits,
            (std::vector<Finding::Culprit>{{Rank(1), Absence::kNeverInitialised}}));
  EXPECT_THAT(Summary(finding, job.evidence()),
              HasSubstr("rank 1 has not come to the making of group world: its process has made "
                        "no group yet"));
}

TEST(DiagnoseTest, ADeclaredPhaseIsSaidAndOthersAreNamedFirst) {
  Job job(3);
  job.Call(0, 1);
  job[1].phase = "checkpoint";
  job[2].phase = "checkpoint";
  EXPECT_EQ(job.Find().culprits,
            (std::vector<Finding::Culprit>{{Rank(1), Absence::kInDeclaredPhase},
                                           {Rank(2), Absence::kInDeclaredPhase}}));
  job[2].phase.clear();
  EXPECT_THAT(Named(job.Find()), ElementsAre(2));
}

TEST(DiagnoseTest, AReceiveWaitsForItsSender) {
  Job job(3);
  job.Transfer(0, OpKind::kRecv, 2, 1).state = LOCKSTEP_RECORD_COMPLETED;
  job.Transfer(2, OpKind::kSend, 0, 1).state = LOCKSTEP_RECORD_COMPLETED;
  job.Transfer(0, OpKind::kRecv, 2, 2);
  EXPECT_THAT(Named(job.Find()), ElementsAre(2));
  job.Transfer(2, OpKind::kSend, 0, 2);
  EXPECT_EQ(job.Find().verdict_class, Class::kLibraryStall) << "both are there";
}

TEST(DiagnoseTest, WithoutTheRingOfTheOneThatMattersNobodyIsNamed) {
  Job job(3);
  job.Call(0, 1);
  job[1].ring_read = false;
  job[1].ops.clear();
  job[1].groups.clear();
  job.Call(2, 1);

  const Finding finding = job.Find();

  EXPECT_EQ(finding.verdict_class, Class::kUnknown);
  EXPECT_THAT(Named(finding), IsEmpty());
  EXPECT_THAT(finding.unheard, ElementsAre(Rank(1)));
  EXPECT_THAT(Summary(finding, job.evidence()),
              AllOf(HasSubstr("ranks 0, 2 wait in "), HasSubstr("too little is known of rank 1")));
}

TEST(DiagnoseTest, NothingMovesThoughAllHaveCome) {
  Job job(2);
  for (const int rank : {0, 1}) job.Call(rank, 1);
  const Finding finding = job.Find();
  EXPECT_EQ(finding.verdict_class, Class::kLibraryStall);
  EXPECT_THAT(Summary(finding, job.evidence()), HasSubstr("all have come to all_reduce("));
}

TEST(DiagnoseTest, ACallThatDiffersAmongCallsThatAreAlikeIsNotOneAhead) {
  Job job(3);
  for (int rank = 0; rank < 3; ++rank) {
    SeenOp& op = job.End(rank, 1);
    if (rank == 1) {
      op.count = 2;
      ++op.fingerprint;
    }
    job.End(rank, 1);  // as the ones before
  }
  const Finding finding = job.Find();
  EXPECT_EQ(finding.verdict_class, Class::kMismatch);
  ASSERT_EQ(finding.culprits.size(), 1u);
  EXPECT_EQ(finding.culprits[0].rank, Rank(1));
  EXPECT_EQ(finding.field, Finding::Field::kCount);
}

/// As an agent has it of a job on two hosts: ranks 0 and 1 of four.
TEST(DiagnoseTest, OfAPartOfTheRanksNobodyIsTakenForAMemberThatIsNone) {
  for (const int world_size : {0, 4}) {
    Job job(2);
    job.SetWorldSize(world_size);
    job[0].groups.push_back({.id = base::GroupId(2),
                             .name = "pair",
                             .rank = base::GroupRank(0),
                             .size = 2,
                             .members = std::vector<Rank>{Rank(0), Rank(2)}});
    job.Call(0, 2);

    const Finding finding = job.Find();

    EXPECT_EQ(finding.verdict_class, Class::kUnknown) << world_size;
    EXPECT_THAT(finding.culprits, IsEmpty());
    EXPECT_THAT(finding.unheard, ElementsAre(Rank(2)));
  }
}

TEST(DiagnoseTest, OfAPartOfTheRanksAGroupOfAllHasTheOthersToo) {
  Job job(2);
  job.SetWorldSize(4);
  for (const int rank : {0, 1}) {
    job[rank].groups.push_back({.id = base::GroupId(3),
                                .name = "unnamed",
                                .rank = base::GroupRank(rank),
                                .size = 4,
                                .members = {}});
    job.Call(rank, 3);
  }
  const Finding finding = job.Find();
  EXPECT_EQ(finding.verdict_class, Class::kUnknown);
  EXPECT_THAT(finding.unheard, ElementsAre(Rank(2), Rank(3)));
}

}  // namespace
}  // namespace lockstep::collectives
