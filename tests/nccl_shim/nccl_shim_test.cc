// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <cmath>
#include <optional>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/nccl_shim/shim_fixture.h"

/// What the rings of unmodified NCCL programs say.
namespace lockstep::launcher {
namespace {

using collectives::Finding;
using collectives::OpKind;
using collectives::RingContent;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(NcclShimTest, CollectivesAreRecordedAlikeOnAllRanks) {
  const std::vector<std::string> old = {"CommInitRank", "AllReduce", "Reduce",       "Broadcast",
                                        "Bcast",        "AllGather", "ReduceScatter"};
  std::vector<std::string> all = old;
  all.insert(all.end(), {"AlltoAll", "Gather", "Scatter"});
  const struct {
    std::string program, mode;
    std::vector<std::string> names;
  } runs[] = {{"shim_rank_2_14", "collectives", old},
              {"shim_rank_2_30", "collectives", all},
              {"shim_rank_2_30", "init_in_group", all},
              {"shim_rank_2_30", "init_by_many", all}};
  for (const auto& run : runs) {
    SCOPED_TRACE(run.program + " " + run.mode);
    Renew();
    LaunchProgram({File(run.program)}, run.mode);
    ASSERT_TRUE(Await()) << Output();

    std::vector<std::string> expected = run.names;
    expected.push_back("Finalize");
    const RingContent first = Read(0);
    for (int rank = 0; rank < kSize; ++rank) {
      SCOPED_TRACE(rank);
      const RingContent ring = Read(rank);
      EXPECT_EQ(Tags(ring), expected);
      for (size_t i = 0; i < ring.records.size(); ++i) {
        const lockstep_record& record = ring.records[i];
        SCOPED_TRACE(Tag(record));
        EXPECT_EQ(record.seq, i);
        EXPECT_EQ(record.group_id, first.records[0].group_id);
        EXPECT_EQ(record.group_size, unsigned{kSize});
        EXPECT_EQ(record.fingerprint, first.records[i].fingerprint);
        EXPECT_EQ(record.state, LOCKSTEP_RECORD_COMPLETED);
        EXPECT_GE(record.ended_ns, record.started_ns);
        EXPECT_THAT(record.call_site, HasSubstr(run.program + "+0x"));
      }
      const lockstep_record& sum = ring.records.at(1);
      EXPECT_EQ(sum.op, static_cast<int>(OpKind::kAllReduce));
      EXPECT_EQ(sum.dtype, static_cast<int>(collectives::Dtype::kF32));
      EXPECT_EQ(sum.reduction, static_cast<int>(collectives::Reduction::kSum));
      EXPECT_EQ(sum.count_in, 8u);
      EXPECT_EQ(sum.root_or_peer, -1);
      EXPECT_EQ(ring.records[2].reduction, static_cast<int>(collectives::Reduction::kMax));
      EXPECT_EQ(ring.records[3].root_or_peer, 2);  // of the broadcast
      EXPECT_TRUE(ring.seats.empty()) << "it was destroyed";
    }
    EXPECT_EQ(collectives::Diagnose(Look()).verdict_class, Finding::Class::kNone);
  }
}

TEST_F(NcclShimTest, SendsAndReceivesInGroupsAreCountedByPair) {
  Launch("groups");
  ASSERT_TRUE(Await()) << Output();

  for (int rank = 0; rank < kSize; ++rank) {
    SCOPED_TRACE(rank);
    std::map<std::tuple<int, int>, std::vector<uint64_t>> seqs;
    for (const lockstep_record& record : Read(rank).records) {
      EXPECT_EQ(record.state, LOCKSTEP_RECORD_COMPLETED) << Tag(record) << " " << record.seq;
      seqs[{record.op, record.root_or_peer}].push_back(record.seq);
    }
    const int right = (rank + 1) % kSize, left = (rank + kSize - 1) % kSize;
    const int send = static_cast<int>(OpKind::kSend), receive = static_cast<int>(OpKind::kRecv);
    const int sum = static_cast<int>(OpKind::kAllReduce);
    EXPECT_THAT((seqs[{send, right}]), ElementsAre(1, 2, 3));
    EXPECT_THAT((seqs[{receive, left}]), ElementsAre(1, 2, 3));
    EXPECT_THAT((seqs[{sum, -1}]), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  }
}

TEST_F(NcclShimTest, CommunicatorsAreGroupsOfTheSameIdOnAllTheirMembers) {
  Launch("communicators");
  ASSERT_TRUE(Await()) << Output();

  std::map<uint64_t, std::map<uint64_t, std::vector<lockstep_record>>> groups;  // by seq
  for (int rank = 0; rank < kSize; ++rank) {
    for (const lockstep_record& record : Read(rank).records)
      groups[record.group_id][record.seq].push_back(record);
    EXPECT_TRUE(Read(rank).seats.empty());
  }
  std::vector<std::pair<int, size_t>> sizes;  // of each group: members, ops
  for (const auto& [_, ops] : groups) {
    for (const auto& [seq, records] : ops) {
      EXPECT_EQ(records.size(), records[0].group_size) << Tag(records[0]) << " " << seq;
      for (const lockstep_record& record : records) {
        EXPECT_EQ(record.fingerprint, records[0].fingerprint) << Tag(record);
        EXPECT_EQ(record.state, LOCKSTEP_RECORD_COMPLETED) << Tag(record);
      }
    }
    sizes.emplace_back(ops.begin()->second[0].group_size, ops.size());
  }
  std::sort(sizes.begin(), sizes.end());
  // Of splits: one of rank 1 alone, one of ranks 0 and 2 twice; the shrinks, with their making; the
  // world, with its making and two splits.
  EXPECT_EQ(sizes,
            (std::vector<std::pair<int, size_t>>{{1, 2}, {2, 2}, {2, 2}, {2, 3}, {2, 3}, {3, 4}}));
}

TEST_F(NcclShimTest, CommunicatorsThatDoNotBlockAreRecordedToo) {
  Launch("without_blocking");
  ASSERT_TRUE(Await()) << Output();

  const RingContent first = Read(0);
  for (int rank = 0; rank < kSize; ++rank) {
    const RingContent ring = Read(rank);
    EXPECT_THAT(Tags(ring), ElementsAre("CommInitRank", "AllReduce", "AllReduce", "CommSplit",
                                        "AllReduce", "Finalize", "Finalize"));
    for (size_t i = 0; i < ring.records.size(); ++i) {
      EXPECT_EQ(ring.records[i].state, LOCKSTEP_RECORD_COMPLETED) << Tag(ring.records[i]);
      EXPECT_EQ(ring.records[i].group_id, first.records.at(i).group_id);
      EXPECT_EQ(ring.records[i].group_size, unsigned{kSize});
    }
    EXPECT_TRUE(ring.seats.empty());
  }
}

TEST_F(NcclShimTest, OfSeveralRanksInAProcessTheFirstIsRecorded) {
  Launch("two_ranks");
  ASSERT_TRUE(Await()) << Output();

  for (int rank = 0; rank < kSize; ++rank) {
    const RingContent ring = Read(rank);
    EXPECT_THAT(Tags(ring), ElementsAre("CommInitRank", "AllReduce", "Finalize"));
    for (const lockstep_record& record : ring.records) {
      EXPECT_EQ(record.group_size, 2u * kSize);
      EXPECT_EQ(record.state, LOCKSTEP_RECORD_COMPLETED);
    }
  }
  EXPECT_EQ(collectives::Diagnose(Look()).verdict_class, Finding::Class::kNone);
}

TEST_F(NcclShimTest, ThreadsAreRecordedSideBySide) {
  constexpr uint64_t kThreads = 3, kTimes = 300;  // of shim_rank
  Launch("threads");
  ASSERT_TRUE(Await()) << Output();

  std::map<std::pair<uint64_t, uint64_t>, std::vector<uint64_t>> sums;  // fingerprints
  for (int rank = 0; rank < kSize; ++rank) {
    const RingContent ring = Read(rank);
    EXPECT_EQ(ring.head.record_count, 1 + kThreads + kThreads * (kTimes + 1) + 1);
    EXPECT_EQ(ring.head.dropped_count, 0u);
    EXPECT_EQ(ring.torn_count, 0u);
    EXPECT_TRUE(ring.seats.empty());
    for (const lockstep_record& record : ring.records) {
      EXPECT_EQ(record.state, LOCKSTEP_RECORD_COMPLETED) << Tag(record) << " " << record.seq;
      if (Tag(record) == "AllReduce")
        sums[{record.group_id, record.seq}].push_back(record.fingerprint);
    }
  }
  EXPECT_EQ(sums.size(), kThreads * kTimes);
  for (const auto& [_, fingerprints] : sums) EXPECT_EQ(fingerprints.size(), size_t{kSize});
}

TEST_F(NcclShimTest, AStreamThatStandsHidesNoOther) {
  Launch("ahead");
  EXPECT_TRUE(Within(60, [&] {
    const RingContent ring = Read(0);
    return ring.records.size() == 103 && !IsOpen(ring.records.back()) &&
           ring.records[2].state == LOCKSTEP_RECORD_STARTED;
  })) << Output();

  const RingContent ring = Read(0);
  EXPECT_EQ(ring.records.back().state, LOCKSTEP_RECORD_COMPLETED);
  for (size_t i = 3; i < 102; ++i) {
    EXPECT_EQ(ring.records[i].state, LOCKSTEP_RECORD_ENQUEUED) << i;
  }
}

TEST_F(NcclShimTest, AnAbortEndsWhatIsOnStreams) {
  Launch("aborts");
  EXPECT_TRUE(Within(60, [&] {
    return Read(0).head.record_count > 0 && Read(0).seats.empty() && Read(2).seats.empty() &&
           !Read(2).records.empty();
  })) << Output();

  for (const int rank : {0, 2}) {
    EXPECT_THAT(Tags(Read(rank)), ElementsAre("CommInitRank", "AllReduce"));
    EXPECT_EQ(Read(rank).records.at(1).state, LOCKSTEP_RECORD_ABORTED);
  }
}

TEST_F(NcclShimTest, WhatGoesIntoAGraphIsOverWhenItWasCalled) {
  Launch("captures");
  EXPECT_TRUE(Within(60, [&] {
    return Read(0).records.size() == 2 && !IsOpen(Read(0).records[1]);
  })) << Output();

  EXPECT_EQ(Read(0).records.at(1).state, LOCKSTEP_RECORD_COMPLETED);
  EXPECT_EQ(Read(0).seats.at(0).stream_waiters, 0);
}

TEST_F(NcclShimTest, AForkedChildWritesNothing) {
  Launch("forks");
  ASSERT_TRUE(Await()) << Output();

  for (int rank = 0; rank < kSize; ++rank)
    EXPECT_THAT(Tags(Read(rank)), ElementsAre("CommInitRank", "AllReduce", "Finalize"));
}

TEST_F(NcclShimTest, AnNcclThatAPluginBringsForItselfIsFound) {
  LaunchProgram({Runfile("tests/mpi_shim/rank_loader"), File("shim_rank.so")}, "collectives");
  ASSERT_TRUE(Await()) << Output();

  for (int rank = 0; rank < kSize; ++rank) {
    const std::vector<lockstep_record> records = Read(rank).records;
    ASSERT_EQ(records.size(), 11u) << Output();
    EXPECT_THAT(records[1].call_site, HasSubstr("shim_rank.so+0x"));
    for (const lockstep_record& record : records)
      EXPECT_EQ(record.state, LOCKSTEP_RECORD_COMPLETED) << Tag(record);
  }
}

TEST_F(NcclShimTest, InProgramsWithoutNcclNothingHappens) {
  Renew(1);
  LaunchProgram({"/bin/sh", "-c", "ls / >/dev/null; python3 -c 'print(6 * 7)'"}, "sh");
  ASSERT_TRUE(Await()) << Output();

  EXPECT_EQ(Output(), "42\n");
  EXPECT_EQ(Read(0).head.pid, 0);
}

TEST_F(NcclShimTest, WithoutAnAgentNothingHappens) {
  config.socket_path.clear();
  Launch("collectives");
  ASSERT_TRUE(Await()) << Output();

  EXPECT_EQ(Output().find("lockstep"), std::string::npos) << Output();
  for (int rank = 0; rank < kSize; ++rank) EXPECT_EQ(Read(rank).head.pid, 0);
}

TEST_F(NcclShimTest, AnAgentThatIsGoneIsToldOfAndTheProgramRuns) {
  config.socket_path = "/nowhere";
  Launch("collectives");
  ASSERT_TRUE(Await()) << Output();

  EXPECT_THAT(Output(), HasSubstr("lockstep: the NCCL calls of this process (pid "));
  EXPECT_THAT(Output(),
              HasSubstr("are not recorded: attaching to the agent: connecting to the agent "
                        "at /nowhere: No such file or directory"));
}

/// What a recorded call may cost, in readings of the clock, besides CUDA's own part.
constexpr double kCallsClocks = 15;

/// In readings of the clock, the dearer of what the program measures; nullopt: it has not.
std::optional<double> CostIn(const std::string& printed) {
  std::istringstream output(printed);
  std::optional<double> cost;
  int seen = 0;
  for (std::string line; std::getline(output, line);) {
    double ns = 0, clock_ns = 0;
    if (sscanf(line.c_str(), "cost %lf ns a call, clock %lf", &ns, &clock_ns) != 2) continue;
    std::cout << line << "\n";
    cost = std::max(cost.value_or(0), ns / clock_ns);
    ++seen;
  }
  return seen == 2 ? cost : std::nullopt;
}

// Where others want the processors all the time, the shim's thread and the caller's share one in
// all rounds of a run; not in all runs.
TEST_F(NcclShimTest, ACallCostsLittle) {
  constexpr int kRuns = 4;
  double least = HUGE_VAL;
  for (int run = 0; run < kRuns && least >= kCallsClocks; ++run) {
    Renew(1);
    LaunchProgram({File("cost_rank")}, "");
    ASSERT_TRUE(Await()) << Output();
    const auto cost = CostIn(Output());
    ASSERT_TRUE(cost.has_value()) << Output();
    EXPECT_GT(Read(0).head.record_count, 50'000u);
    least = std::min(least, *cost);
  }
  EXPECT_LT(least, kCallsClocks);
}

}  // namespace
}  // namespace lockstep::launcher
