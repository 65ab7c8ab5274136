// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/flight_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/imports/evidence_files.h"
#include "collectives/diagnosis/imports/json_tree.h"
#include "collectives/diagnosis/imports/pickle_reader.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Rank;
using base::testing::IsOk;
using ::testing::ElementsAre;

constexpr uint64_t kWorldId = 77;

lockstep_record Record(uint64_t index, OpKind kind, uint64_t seq, lockstep_record_state state) {
  lockstep_record record{};
  record.index = index;
  record.group_id = kWorldId;
  record.seq = seq;
  record.op = static_cast<uint8_t>(kind);
  record.dtype = static_cast<uint8_t>(Dtype::kF32);
  record.reduction = static_cast<uint8_t>(Reduction::kSum);
  record.state = static_cast<uint8_t>(state);
  record.root_or_peer = -1;
  record.count_in = record.count_out = 8;
  record.enqueued_ns = 1000 * (index + 1);
  record.timeout_ns = 30'000'000'000;
  std::snprintf(record.call_site, sizeof record.call_site, "train.cc:%d",
                10 + static_cast<int>(index));
  return record;
}

RingContent Ring(int rank, const std::vector<lockstep_record>& records) {
  RingContent ring;
  ring.head.rank = rank;
  ring.head.attached_monotonic_ns = 500;
  ring.head.attached_wall_ns = 1'000'500;
  lockstep_seat seat{};
  seat.group_id = kWorldId;
  seat.group_rank = rank;
  seat.group_size = 3;
  seat.stride = 1;
  std::snprintf(seat.name, sizeof seat.name, "world");
  ring.seats.push_back(seat);
  ring.records = records;
  return ring;
}

TEST(FlightExportTest, AnEntryHasWhatTorchWrites) {
  const auto dumps =
      ExportFlightDumps({Ring(1, {Record(0, OpKind::kInit, 1, LOCKSTEP_RECORD_COMPLETED),
                                  Record(1, OpKind::kAllReduce, 1, LOCKSTEP_RECORD_COMPLETED)})});
  const Tree& dump = *dumps.at(Rank(1));
  EXPECT_EQ(dump.TextAt("version"), "2.10");
  EXPECT_EQ(WriteJson(*dump.Find("pg_config")),
            "{\"77\":{\"name\":\"77\",\"desc\":\"default_pg\",\"ranks\":\"[0, 1, 2]\"}}");
  ASSERT_EQ(dump.ItemsAt("entries").size(), 1u) << "the making of a group is no entry of torch's";
  EXPECT_EQ(WriteJson(*dump.ItemsAt("entries")[0]),
            "{\"frames\":[{\"name\":\"\",\"filename\":\"train.cc\",\"line\":11}],\"pg_id\":0,"
            "\"process_group\":[\"77\",\"default_pg\"],\"thread_id\":\"0\",\"thread_name\":\"\","
            "\"profiling_name\":\"nccl:all_reduce\",\"time_created_ns\":1002000,"
            "\"input_sizes\":[[8]],\"input_dtypes\":[\"Float\"],\"output_sizes\":[[8]],"
            "\"output_dtypes\":[\"Float\"],\"state\":\"completed\","
            "\"time_discovered_started_ns\":null,\"time_discovered_completed_ns\":null,"
            "\"retired\":true,\"timeout_ms\":30000,\"is_p2p\":false,\"record_id\":0,"
            "\"collective_seq_id\":1,\"p2p_seq_id\":0,\"op_id\":1}");
}

TEST(FlightExportTest, WhatIsExportedGivesTheSameFinding) {
  const auto done = Record(0, OpKind::kAllReduce, 1, LOCKSTEP_RECORD_COMPLETED);
  const auto open = Record(1, OpKind::kReduceScatter, 2, LOCKSTEP_RECORD_STARTED);
  const auto dumps =
      ExportFlightDumps({Ring(0, {done, open}), Ring(1, {done}), Ring(2, {done, open})});
  for (const bool as_pickle : {true, false}) {
    EvidenceFiles files;
    for (const auto& [rank, dump] : dumps) {
      ASSERT_THAT(files.Add("no number", as_pickle ? WritePickle(*dump) : WriteJson(*dump)), IsOk())
          << "an export says whose it is";
    }
    const auto imported = files.Take();
    ASSERT_THAT(imported, IsOk());
    const Finding finding =
        Diagnose(imported->evidence, {.least_wait = base::Duration(0), .grace = base::Duration(0)});
    EXPECT_EQ(finding.verdict_class, Finding::Class::kMissingRank);
    ASSERT_EQ(finding.culprits.size(), 1u);
    EXPECT_EQ(finding.culprits[0].rank, Rank(1));
    EXPECT_THAT(finding.victims, ElementsAre(Rank(0), Rank(2)));
    EXPECT_EQ(finding.op->kind, OpKind::kReduceScatter);
    EXPECT_EQ(finding.op->call_site, "train.cc:11");
  }
}

TEST(FlightExportTest, SendsNameBothEnds) {
  lockstep_record send = Record(0, OpKind::kSend, 1, LOCKSTEP_RECORD_STARTED);
  send.root_or_peer = 2;
  lockstep_record recv = Record(1, OpKind::kRecv, 1, LOCKSTEP_RECORD_STARTED);
  recv.root_or_peer = 0;
  const auto dumps = ExportFlightDumps({Ring(1, {send, recv})});
  const auto& entries = dumps.at(Rank(1))->ItemsAt("entries");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0]->TextAt("profiling_name"), "nccl:send 1->2");
  EXPECT_EQ(entries[1]->TextAt("profiling_name"), "nccl:recv 1<-0");
  EXPECT_EQ(entries[1]->IntegerAt("p2p_seq_id"), 2);
}

TEST(FlightExportTest, AGroupWithoutASeatHasThoseWhoNameIt) {
  RingContent a = Ring(0, {Record(0, OpKind::kBarrier, 1, LOCKSTEP_RECORD_STARTED)});
  RingContent b = Ring(2, {Record(0, OpKind::kBarrier, 1, LOCKSTEP_RECORD_STARTED)});
  a.seats.clear();
  b.seats.clear();
  const auto dumps = ExportFlightDumps({a, b});
  EXPECT_EQ(WriteJson(*dumps.at(Rank(0))->Find("pg_config")),
            "{\"77\":{\"name\":\"77\",\"desc\":\"undefined\",\"ranks\":\"[0, 2]\"}}");
}

}  // namespace
}  // namespace lockstep::collectives
