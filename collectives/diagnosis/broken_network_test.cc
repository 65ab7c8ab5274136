// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/broken_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/words.h"

namespace lockstep::collectives {
namespace {

using base::Rank;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Class = Finding::Class;

/// Evidence of ranks on machines of their own that wait in the first op of their world, to which
/// all have come; each is connected with each other one.
class Stall {
 public:
  explicit Stall(int size, int ranks_of_a_machine = 1) {
    std::vector<Rank> world;
    for (int rank = 0; rank < size; ++rank) world.emplace_back(rank);
    for (int rank = 0; rank < size; ++rank) {
      SeenRank seen{.rank = Rank(rank), .ring_read = true};
      seen.process = {.state = ProcessState::kSleeps,
                      .host = "node-" + std::to_string(rank / ranks_of_a_machine),
                      .pid = 100 + rank};
      seen.groups.push_back({.id = base::GroupId(1),
                             .name = "world",
                             .rank = base::GroupRank(rank),
                             .size = size,
                             .members = world});
      seen.ops.push_back({.group = base::GroupId(1),
                          .seq = base::OpSeq(1),
                          .kind = OpKind::kAllReduce,
                          .dtype = Dtype::kF32,
                          .reduction = Reduction::kSum,
                          .count = 4,
                          .fingerprint = 7,
                          .state = LOCKSTEP_RECORD_STARTED,
                          .caller_waits = true,
                          .age = seconds(3)});
      for (int peer = 0; peer < size; ++peer) {
        if (peer / ranks_of_a_machine == rank / ranks_of_a_machine) continue;
        seen.sockets.push_back({.local = Address(rank, peer), .remote = Address(peer, rank)});
      }
      evidence_.ranks.push_back(std::move(seen));
    }
  }

  SeenRank& operator[](int rank) { return evidence_.ranks[static_cast<size_t>(rank)]; }
  const Evidence& evidence() const { return evidence_; }
  /// What `from` sends to `to` is answered by nobody.
  void Break(int from, int to, uint32_t retransmits = 4) {
    for (SeenSocket& socket : (*this)[from].sockets) {
      if (socket.remote != Address(to, from)) continue;
      socket.unacked_bytes = 4096;
      socket.retransmits = retransmits;
      constexpr double kRtoMaxMs = 120e3;
      socket.rto_ms = static_cast<uint32_t>(std::min(200 * std::exp2(retransmits), kRtoMaxMs));
    }
  }
  Finding Find() const { return Diagnose(evidence_); }
  static std::string Address(int at, int to) {
    return "10.0.0." + std::to_string(at + 1) + ":" + std::to_string(5000 + to);
  }

 private:
  Evidence evidence_;
};

std::vector<int> Named(const Finding& finding) {
  std::vector<int> ranks;
  for (const Finding::Culprit& culprit : finding.culprits) ranks.push_back(culprit.rank.value());
  return ranks;
}

TEST(BrokenNetworkTest, BothEndsOfALinkAreNamedWithTheFiguresOfTheirKernels) {
  Stall stall(2);
  stall.Break(0, 1);

  const Finding finding = stall.Find();

  EXPECT_EQ(finding.verdict_class, Class::kNetworkStall);
  EXPECT_TRUE(finding.is_provable);
  EXPECT_EQ(finding.confidence, Finding::Confidence::kHigh);
  EXPECT_THAT(Named(finding), ElementsAre(0, 1));
  ASSERT_EQ(finding.links.size(), 1u);
  EXPECT_EQ(finding.links[0].from, Rank(0));
  EXPECT_EQ(finding.links[0].to, Rank(1));
  EXPECT_EQ(WhatItDid(finding, finding.culprits[0], stall.evidence()),
            "reaches rank 1 no longer over the network, in all_reduce(f32, sum, 4), op 1 of group "
            "world");
  EXPECT_EQ(WhatItDid(finding, finding.culprits[1], stall.evidence()),
            "is no longer reached by rank 0 over the network, in all_reduce(f32, sum, 4), op 1 of "
            "group world");
  EXPECT_THAT(WhatItRestsOn(finding, stall.evidence()),
              Contains("rank 0 to rank 1, 10.0.0.1:5001 to 10.0.0.2:5000: 4096 bytes "
                       "unacknowledged, sent again 4 times in vain, rto 3200 ms"));
  EXPECT_THAT(WhatToDo(finding, stall.evidence()),
              HasSubstr("the network from node-0 10.0.0.1:5001 to 10.0.0.2:5000"));
}

TEST(BrokenNetworkTest, WhoIsAtTheEndOfAllBrokenLinksIsNamedAlone) {
  Stall stall(4, 2);  // two machines
  stall.Break(0, 2);
  stall.Break(1, 2);
  EXPECT_THAT(Named(stall.Find()), ElementsAre(0, 1, 2)) << "machines, not ranks, have links";

  Stall three(4);
  three.Break(1, 0);
  three.Break(2, 1);
  const Finding finding = three.Find();
  EXPECT_EQ(finding.verdict_class, Class::kNetworkStall) << "1 and 3 may still reach each other";
  EXPECT_THAT(Named(finding), ElementsAre(1));
}

TEST(BrokenNetworkTest, TwoPartsAreAPartitionAndTheSmallerIsNamed) {
  Stall stall(3);
  stall.Break(1, 0);
  stall.Break(2, 1);

  const Finding finding = stall.Find();

  EXPECT_EQ(finding.verdict_class, Class::kPartition);
  EXPECT_THAT(finding.parts, ElementsAre(ElementsAre(Rank(1)), ElementsAre(Rank(0), Rank(2))));
  EXPECT_THAT(Named(finding), ElementsAre(1));
  EXPECT_FALSE(finding.is_tie);
  EXPECT_THAT(WhatItRestsOn(finding, stall.evidence()),
              AllOf(Contains("rank 1 is on one side"), Contains("ranks 0, 2 are on one side")));
}

TEST(BrokenNetworkTest, OfTwoEqualPartsBothAreNamed) {
  Stall stall(4);
  for (const auto& [from, to] : {std::pair(0, 2), {0, 3}, {3, 1}, {1, 2}}) stall.Break(from, to);

  const Finding finding = stall.Find();

  EXPECT_EQ(finding.verdict_class, Class::kPartition);
  EXPECT_TRUE(finding.is_tie);
  EXPECT_THAT(Named(finding), ElementsAre(0, 1, 2, 3));
}

TEST(BrokenNetworkTest, FewerRetransmitsOrNothingToAcknowledgeAreNoProof) {
  Stall stall(2);
  for (const uint32_t retransmits : {1u, 2u}) {
    stall.Break(0, 1, retransmits);
    EXPECT_EQ(stall.Find().verdict_class, Class::kLibraryStall);
  }
  stall.Break(0, 1);
  EXPECT_EQ(stall.Find().verdict_class, Class::kNetworkStall);
  stall[0].sockets[0].unacked_bytes = 0;
  EXPECT_EQ(stall.Find().verdict_class, Class::kLibraryStall);
}

TEST(BrokenNetworkTest, ItIsTheTimeWithoutAnAnswerThatCounts) {
  const auto find = [](uint32_t retransmits, uint32_t rto_ms) {
    Stall stall(2);
    stall.Break(0, 1, retransmits);
    stall[0].sockets[0].rto_ms = rto_ms;
    return stall.Find().verdict_class;
  };
  EXPECT_EQ(find(4, 0), Class::kNetworkStall) << "3 s with the usual rto";
  EXPECT_EQ(find(3, 0), Class::kNetworkStall) << "1.4 s";
  EXPECT_EQ(find(6, 640), Class::kLibraryStall) << "a route with a rto of 10 ms: 0.6 s";
  EXPECT_EQ(find(8, 2560), Class::kNetworkStall);
  EXPECT_EQ(find(3, 3200), Class::kNetworkStall) << "a round trip of 0.2 s";
  EXPECT_EQ(find(2, 4000), Class::kLibraryStall) << "whatever the time";
  EXPECT_EQ(find(0xffffffff, 0xffffffff), Class::kNetworkStall);
}

TEST(BrokenNetworkTest, WhereAnotherConnectionOfTheTwoDeliversTheNetworkIsWhole) {
  for (const bool is_back : {false, true}) {
    Stall stall(2);
    stall.Break(0, 1);
    for (const int rank : {0, 1}) stall[rank].ops[0].age = seconds(20);
    const int from = is_back ? 1 : 0;
    const std::string near = Stall::Address(from, 77), far = Stall::Address(1 - from, 77);
    stall[from].sockets.push_back({.local = near, .remote = far});
    stall[1 - from].sockets.push_back({.local = far, .remote = near});
    SeenSocket& other = stall[from].sockets.back();

    other.unacked_bytes = 100;
    EXPECT_EQ(stall.Find().verdict_class, Class::kLibraryStall);
    other.retransmits = 1;
    EXPECT_EQ(stall.Find().verdict_class, Class::kLibraryStall) << "it may be a loss";
    other.retransmits = 2;
    EXPECT_EQ(stall.Find().verdict_class, Class::kNetworkStall) << "it stands as well";
    other.unacked_bytes = 0;
    EXPECT_EQ(stall.Find().verdict_class, Class::kNetworkStall) << "nothing is on its way there";
  }
}

/// Links that are cut one after the other: of the second one less has been sent again by then.
TEST(BrokenNetworkTest, ALinkThatIsCutLaterMakesAPartitionOnceItCounts) {
  Stall stall(3);
  stall.Break(1, 0, 5);
  stall.Break(2, 1, 2);
  EXPECT_EQ(stall.Find().verdict_class, Class::kNetworkStall);
  EXPECT_THAT(Named(stall.Find()), ElementsAre(0, 1));
  stall.Break(2, 1, 4);
  EXPECT_EQ(stall.Find().verdict_class, Class::kPartition);
  EXPECT_THAT(Named(stall.Find()), ElementsAre(1));
}

TEST(BrokenNetworkTest, WhatWasSentBackLaterOverABrokenConnectionIsNotDelivered) {
  Stall stall(2);
  stall.Break(0, 1);
  stall.Break(1, 0, 0);
  EXPECT_EQ(stall.Find().verdict_class, Class::kNetworkStall);
}

TEST(BrokenNetworkTest, OfANetworkThatLosesPacketsNothingIsSaidForALongTime) {
  for (const int loser : {0, 1}) {
    Stall stall(2);
    stall.Break(0, 1);
    SeenProcess& process = stall[loser].process;
    process.segments_sent = 1000;
    process.segments_lost = 100;
    EXPECT_EQ(stall.Find().verdict_class, Class::kNone) << "3 s";
    for (const int rank : {0, 1}) stall[rank].ops[0].age = seconds(11);
    stall.Break(0, 1, 5);
    EXPECT_EQ(stall.Find().verdict_class, Class::kNone);
    for (const int rank : {0, 1}) stall[rank].ops[0].age = seconds(23);
    EXPECT_EQ(stall.Find().verdict_class, Class::kNone) << "the kernel tells of 6 s";
    for (const int rank : {0, 1}) stall[rank].ops[0].age = seconds(25);
    EXPECT_EQ(stall.Find().verdict_class, Class::kLibraryStall);
    stall.Break(0, 1, 6);
    const Finding finding = stall.Find();
    EXPECT_EQ(finding.verdict_class, Class::kNetworkStall) << "12.6 s";
    EXPECT_THAT(WhatItRestsOn(finding, stall.evidence()),
                Contains(HasSubstr("the network of node-" + std::to_string(loser) +
                                   " loses packets: 100 of 1000 TCP segments")));
  }
}

TEST(BrokenNetworkTest, WhatAnyNetworkLosesIsNotMuch) {
  const auto find = [](uint64_t sent, uint64_t lost) {
    Stall stall(2);
    stall.Break(0, 1);
    stall[0].process.segments_sent = sent;
    stall[0].process.segments_lost = lost;
    return stall.Find().verdict_class;
  };
  EXPECT_EQ(find(300, 2), Class::kNetworkStall);
  EXPECT_EQ(find(300, 3), Class::kNone);
  EXPECT_EQ(find(0, 3), Class::kNone);
  EXPECT_EQ(find(10'000, 50), Class::kNetworkStall) << "one of 200";
  EXPECT_EQ(find(10'000, 51), Class::kNone);
}

TEST(BrokenNetworkTest, AShortWaitIsNoStall) {
  Stall stall(2);
  stall.Break(0, 1);
  for (const int rank : {0, 1}) stall[rank].ops[0].age = std::chrono::milliseconds(1100);
  EXPECT_EQ(stall.Find().verdict_class, Class::kNone);
}

TEST(BrokenNetworkTest, ARankThatHasNotComeIsTheCauseWhateverTheNetworkDoes) {
  Stall stall(3);
  stall.Break(0, 1);
  stall[2].ops.clear();
  const Finding finding = stall.Find();
  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_THAT(Named(finding), ElementsAre(2));
}

TEST(BrokenNetworkTest, AnEndThatIsNotHeardMayBeGone) {
  for (const bool agent_answers : {false, true}) {
    Stall stall(2);
    stall.Break(0, 1);
    if (agent_answers) {
      stall[1].process.state = ProcessState::kUnknown;
    } else {
      stall[1].ring_read = false;
    }
    EXPECT_THAT(stall.Find().links, IsEmpty());
  }
}

TEST(BrokenNetworkTest, ConnectionsToStrangersSayNothing) {
  Stall stall(2);
  stall[0].sockets.push_back(
      {.local = "10.0.0.1:6000", .remote = "10.9.9.9:443", .unacked_bytes = 100, .retransmits = 9});
  EXPECT_EQ(stall.Find().verdict_class, Class::kLibraryStall);
}

TEST(BrokenNetworkTest, OfSeveralConnectionsOfTwoRanksTheOneWithMostUnderWayIsShown) {
  Stall stall(2);
  stall.Break(0, 1);
  for (const uint64_t bytes : {10, 9999, 20}) {
    const std::string port = std::to_string(bytes + 20000);
    stall[0].sockets.push_back({.local = "10.0.0.1:" + port,
                                .remote = "10.0.0.2:" + port,
                                .unacked_bytes = bytes,
                                .retransmits = 4});
    stall[1].sockets.push_back({.local = "10.0.0.2:" + port, .remote = "10.0.0.1:" + port});
  }
  const Finding finding = stall.Find();
  ASSERT_EQ(finding.links.size(), 1u);
  EXPECT_EQ(finding.links[0].socket.unacked_bytes, 9999u);
}

TEST(BrokenNetworkTest, AddressesThatAreWrittenInTwoWaysAreTheSame) {
  Stall stall(2);
  stall.Break(0, 1);
  stall[1].sockets[0].local = "[::ffff:10.0.0.2]:5000";
  stall[1].sockets[0].remote = "[::ffff:10.0.0.1]:5001";
  EXPECT_EQ(stall.Find().verdict_class, Class::kNetworkStall);
}

TEST(BrokenNetworkTest, WhereNothingIsBrokenItIsSaidForWhomTheLibraryWaits) {
  Stall stall(2);
  stall[0].ops[0].waits_for = Rank(1);
  const Finding finding = stall.Find();
  EXPECT_EQ(finding.verdict_class, Class::kLibraryStall);
  EXPECT_THAT(WhatItRestsOn(finding, stall.evidence()),
              Contains(HasSubstr("op 1 of group world, for rank 1")));
}

TEST(BrokenNetworkTest, ThatNotAllConnectionsWereSeenIsToldOnceForAMachine) {
  Stall stall(4, 2);
  const auto told = HasSubstr("node-0 has more connections than were looked at");
  EXPECT_THAT(WhatItRestsOn(stall.Find(), stall.evidence()), Not(Contains(told)));
  for (const int rank : {0, 1}) stall[rank].sockets_cut = true;
  EXPECT_THAT(WhatItRestsOn(stall.Find(), stall.evidence()), Contains(told).Times(1));
  stall.Break(0, 2);
  EXPECT_THAT(WhatItRestsOn(stall.Find(), stall.evidence()), Not(Contains(told)));
}

TEST(KillsForWantOfMemoryTest, AreToldOnceForAMachine) {
  Stall stall(4, 2);
  for (const int rank : {0, 1, 2, 3}) stall[rank].process.memory_kills = 1;
  for (const int rank : {0, 1}) stall[rank].ops.clear();
  const std::vector<std::string> lines = WhatItRestsOn(stall.Find(), stall.evidence());
  const std::string told =
      "on node-0 the kernel has killed 1 process for want of memory that no rank is: one that a "
      "rank started, perhaps";
  EXPECT_EQ(std::count(lines.begin(), lines.end(), told), 1);
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                          [](const std::string& line) { return line.starts_with("on node-"); }),
            1)
      << "of the machine of those who are named";
}

}  // namespace
}  // namespace lockstep::collectives
