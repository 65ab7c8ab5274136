// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/evidence_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/imports/flight_evidence.h"
#include "collectives/diagnosis/imports/json_tree.h"
#include "collectives/diagnosis/words.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::Rank;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Class = Finding::Class;
using Confidence = Finding::Confidence;

std::string Data(const std::string& name) {
  std::ifstream file("collectives/diagnosis/imports/testdata/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

/// An entry as NCCL's process group writes it, in JSON.
std::string Entry(int record, const std::string& group, const std::string& name, int seq,
                  const std::string& state, int elements = 16, bool is_p2p = false) {
  const std::string sizes = "[[" + std::to_string(elements) + "]]";
  return "{\"record_id\":" + std::to_string(record) + ",\"process_group\":[\"" + group +
         "\",\"undefined\"],\"profiling_name\":\"nccl:" + name +
         "\",\"collective_seq_id\":" + std::to_string(seq) +
         ",\"p2p_seq_id\":0,\"is_p2p\":" + (is_p2p ? "true" : "false") + ",\"state\":\"" + state +
         "\",\"retired\":false,\"input_sizes\":" + sizes + ",\"output_sizes\":" + sizes +
         ",\"input_dtypes\":[\"Float\"],\"output_dtypes\":[\"Float\"],\"time_created_ns\":" +
         std::to_string(1000 + record) + "}";
}

std::string Dump(const std::vector<std::string>& entries, const std::string& ranks = "[0, 1, 2]",
                 const std::string& group = "0") {
  std::string text = "{\"version\":\"2.10\",\"pg_config\":{\"" + group + "\":{\"name\":\"" + group +
                     "\",\"desc\":\"undefined\",\"ranks\":\"" + ranks + "\"}},\"entries\":[";
  for (size_t i = 0; i < entries.size(); ++i) text += (i > 0 ? "," : "") + entries[i];
  return text + "]}";
}

/// Files as a user names them, and what follows from them.
class EvidenceFilesTest : public ::testing::Test {
 protected:
  void AddData(const std::vector<std::string>& names) {
    for (const std::string& name : names) ASSERT_THAT(files_.Add(name, Data(name)), IsOk());
  }
  void AddDumps(const std::vector<std::string>& dumps) {
    for (size_t rank = 0; rank < dumps.size(); ++rank)
      ASSERT_THAT(files_.Add("rank_" + std::to_string(rank), dumps[rank]), IsOk());
  }
  Finding Find() {
    auto imported = files_.Take();
    EXPECT_THAT(imported, IsOk());
    if (!imported.ok()) return {};
    imported_ = *std::move(imported);
    return Diagnose(imported_.evidence,
                    {.least_wait = base::Duration(0), .grace = base::Duration(0)});
  }
  std::vector<Rank> CulpritsOf(const Finding& finding) {
    std::vector<Rank> ranks;
    for (const auto& culprit : finding.culprits) ranks.push_back(culprit.rank);
    return ranks;
  }

  EvidenceFiles files_;
  ImportedEvidence imported_;
};

TEST_F(EvidenceFilesTest, ARankIsMissedByGloo) {
  AddData({"gloo_missing/rank_0", "gloo_missing/rank_1", "gloo_missing/rank_2"});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_EQ(finding.confidence, Confidence::kHigh);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(1)));
  EXPECT_THAT(finding.victims, ElementsAre(Rank(0), Rank(2)));
  EXPECT_THAT(Summary(finding, imported_.evidence),
              HasSubstr("rank 1 has not come to all_reduce(f32, 16), op 4 of group default_pg: "
                        "what its process does instead is not known"));
  EXPECT_EQ(finding.op->call_site, "fault_rank.py:27") << "the first line that is not torch's";
  EXPECT_THAT(files_.lines(), Contains("gloo_missing/rank_1: PyTorch flight recorder, pickle of "
                                       "version 2.10, rank 1: 3 entries"));
}

TEST_F(EvidenceFilesTest, JsonSaysTheSameWithoutCallSites) {
  AddData({"gloo_missing/recorder_0.json", "gloo_missing/recorder_1.json",
           "gloo_missing/recorder_2.json"});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(1)));
  EXPECT_EQ(finding.op->call_site, "");
}

TEST_F(EvidenceFilesTest, OfTwoFormsThePickleIsRead) {
  AddData({"gloo_missing/rank_0", "gloo_missing/recorder_0.json", "gloo_missing/recorder_1.json",
           "gloo_missing/rank_1", "gloo_missing/rank_2"});
  EXPECT_EQ(Find().op->call_site, "fault_rank.py:27");
}

TEST_F(EvidenceFilesTest, WhoseDumpIsAbsentIsNotBlamed) {
  AddData({"gloo_missing/rank_0", "gloo_missing/rank_2"});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kUnknown);
  EXPECT_THAT(finding.culprits, IsEmpty());
  EXPECT_THAT(finding.unheard, ElementsAre(Rank(1)));
  EXPECT_THAT(imported_.notes, Contains("of rank 1 there is no dump, of 3 ranks"));
}

TEST_F(EvidenceFilesTest, AnotherCountIsAMismatchThoughAllIsOver) {
  AddData({"gloo_count/rank_0", "gloo_count/rank_1", "gloo_count/rank_2"});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kMismatch);
  EXPECT_EQ(finding.field, Finding::Field::kCount);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(1)));
  EXPECT_EQ(finding.op->count, 16u);
  EXPECT_EQ(finding.other_op->count, 32u);
}

TEST_F(EvidenceFilesTest, WhatGlooGaveUpIsNotTakenForDone) {
  AddData({"gloo_fails/rank_0", "gloo_fails/rank_1", "gloo_fails/rank_2"});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(1)));
  EXPECT_EQ(imported_.confidence_max, Confidence::kMedium);
  EXPECT_THAT(imported_.notes, Contains(HasSubstr("is over though rank 1 never came")));
}

TEST_F(EvidenceFilesTest, GroupsInDifferentOrdersAreACircle) {
  AddData({"nccl_deadlock/rank_0.json", "nccl_deadlock/rank_1.json", "nccl_deadlock/rank_2.json",
           "nccl_deadlock/rank_3.json"});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kCrossGroupDeadlock);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(0), Rank(1)));
  EXPECT_THAT(finding.victims, ElementsAre(Rank(2), Rank(3)));
  EXPECT_EQ(GroupName(finding.cycle[0].group, base::Round(0), imported_.evidence), "tp (1)");
}

TEST_F(EvidenceFilesTest, OneCallAheadIsAnOrder) {
  const auto first = Entry(0, "0", "_all_gather_base", 1, "started");
  AddDumps({Dump({first, Entry(1, "0", "all_reduce", 2, "scheduled")}),
            Dump({Entry(0, "0", "all_reduce", 1, "started")}),
            Dump({first, Entry(1, "0", "all_reduce", 2, "scheduled")})});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kMismatch);
  EXPECT_EQ(finding.field, Finding::Field::kOrder);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(1)));
}

TEST_F(EvidenceFilesTest, ReceivesThatNobodySendsAreWaits) {
  const auto recv = [](const char* ends) { return Entry(0, "0", ends, 0, "started", 4, true); };
  AddDumps({Dump({recv("recv 0<-1")}), Dump({recv("recv 1<-0")}), Dump({})});
  EXPECT_EQ(Find().verdict_class, Class::kCrossGroupDeadlock);
}

TEST_F(EvidenceFilesTest, ABatchIsItsSendsAndReceives) {
  const auto dump = [](const char* first, const char* second) {
    return Dump({Entry(0, "0", first, 0, "completed", 4, true),
                 Entry(1, "0", second, 0, "started", 4, true),
                 Entry(2, "0", "coalesced", 0, "started", 4, true)},
                "[0, 1]");
  };
  AddDumps({dump("send 0->1", "recv 0<-1"),
            Dump({Entry(0, "0", "recv 1<-0", 0, "completed", 4, true)}, "[0, 1]")});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(1)));
}

TEST_F(EvidenceFilesTest, SeveralEntriesOfOneNumberAreOneCall) {
  const auto coalesced = [](int elements) {
    return Dump({Entry(0, "0", "reduce_scatter_tensor_coalesced", 1, "started"),
                 Entry(1, "0", "reduce_scatter_tensor_coalesced", 1, "started", elements),
                 Entry(2, "0", "coalesced", 1, "started", elements)});
  };
  AddDumps({coalesced(8), coalesced(8), coalesced(4)});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kMismatch);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(2)));
  EXPECT_EQ(finding.op->count, 24u);
}

TEST_F(EvidenceFilesTest, WhereAllHaveComeAndNothingMovesNobodyIsNamed) {
  const std::string stands = Dump(
      {Entry(0, "0", "all_reduce", 1, "completed"), Entry(1, "0", "all_reduce", 2, "started")});
  AddDumps({stands, stands, stands});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kLibraryStall);
  EXPECT_THAT(finding.culprits, IsEmpty());
  EXPECT_THAT(finding.victims, ElementsAre(Rank(0), Rank(1), Rank(2)));
  EXPECT_EQ(finding.op->seq, base::OpSeq(2));
}

TEST_F(EvidenceFilesTest, AnUnevenAllToAllIsNoMismatch) {
  const auto call = [](int count) {
    return Dump({Entry(0, "0", "all_to_all", 1, "completed", count)});
  };
  AddDumps({call(1), call(2), call(3)});
  EXPECT_EQ(Find().verdict_class, Class::kNone);
}

TEST_F(EvidenceFilesTest, WhoIsInAGroupMayBeUnknown) {
  const std::string nobody = "[]";
  AddDumps({Dump({Entry(0, "7", "all_reduce", 1, "started")}, nobody, ""),
            Dump({Entry(0, "8", "all_reduce", 1, "completed")}, "[0, 1, 2]", "8")});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kUnknown);
  EXPECT_THAT(finding.culprits, IsEmpty());
  EXPECT_THAT(imported_.notes, Contains("who is in group 7 stands in no dump"));
}

TEST_F(EvidenceFilesTest, RanksAreToldByTheNames) {
  EXPECT_EQ(RankOfFileName("/tmp/nccl_trace_rank_3"), Rank(3));
  EXPECT_EQ(RankOfFileName("a.7/trace12.json"), Rank(12));
  EXPECT_EQ(RankOfFileName("/tmp/7/trace"), std::nullopt);
  EXPECT_EQ(RankOfFileName("rank_99999999999"), std::nullopt);
  EXPECT_THAT(files_.Add("trace", Dump({})),
              StatusIs(Code::kInvalidArgument, HasSubstr("of which rank is it?")));
  ASSERT_THAT(files_.Add("a/rank_1", Dump({})), IsOk());
  EXPECT_THAT(files_.Add("b/rank_1", Dump({})),
              StatusIs(Code::kAlreadyExists, HasSubstr("a second dump of rank 1, as a/rank_1")));
}

TEST_F(EvidenceFilesTest, ANameThatCannotBeIsRefused) {
  std::string dump = Dump({Entry(0, "0", "all_reduce", 1, "started")});
  dump.replace(dump.find("\"undefined\",\"ranks"), 11, "\"default_pg\"");
  ASSERT_THAT(files_.Add("rank_7", dump), IsOk());
  EXPECT_THAT(files_.Take(), StatusIs(Code::kInvalidArgument,
                                      HasSubstr("said to be of rank 7 is of a job with ranks 0")));
}

TEST_F(EvidenceFilesTest, DumpsWithoutEntriesSayWhatToDo) {
  AddDumps({Dump({}), Dump({})});
  EXPECT_THAT(files_.Take(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("TORCH_FR_BUFFER_SIZE=2000")));
}

TEST_F(EvidenceFilesTest, ForeignFilesAreNamedForWhatTheyLookLike) {
  const auto refusal = [&](std::string_view bytes) {
    const base::Status status = files_.Add("f", bytes);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status;
    return status.message();
  };
  EXPECT_THAT(refusal(""), HasSubstr("f: it is empty"));
  EXPECT_THAT(refusal("\x1f\x8b\x08"), HasSubstr("a gzip file: unpack it first"));
  EXPECT_THAT(refusal("LCSRING1"), HasSubstr("a recorder ring of Lockstep's: name its folder"));
  EXPECT_THAT(refusal("PK\x03\x04"), HasSubstr("zip archive"));
  EXPECT_THAT(refusal("root:x:0:0"), HasSubstr("what is read is a PyTorch flight recorder's dump"));
  EXPECT_THAT(refusal("{\"a\": 1}"), HasSubstr("JSON, but of something else"));
  EXPECT_THAT(refusal("{\"entries\": ["), HasSubstr("no JSON object"));
  EXPECT_THAT(refusal("{\"entries\": [3]}"), HasSubstr("entry 0: it has no group"));
  EXPECT_THAT(refusal(Data("pickle_fuzz/stack_global")),
              HasSubstr("f: pickle, byte 28: it wants to call posix.system: refused"));
}

TEST_F(EvidenceFilesTest, NoPartOfAJsonDumpIsADump) {
  const std::string whole = Data("gloo_missing/recorder_0.json");
  for (size_t size = 0; size < whole.size(); ++size) {
    ASSERT_THAT(files_.Add("rank_0", std::string_view(whole).substr(0, size)),
                StatusIs(Code::kInvalidArgument))
        << size;
  }
}

TEST_F(EvidenceFilesTest, JsonHasItsLimits) {
  const std::string deep = std::string(33, '[') + std::string(33, ']');
  EXPECT_THAT(files_.Add("rank_0", "{\"entries\": " + deep + "}"),
              StatusIs(Code::kOutOfRange, HasSubstr("deeper than 32 levels")));
  EXPECT_THAT(files_.Add("rank_0", "{\"entries\": " + std::string(100000, '[')),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(files_.Add("rank_0", Dump({}, "[99999999]")),
              StatusIs(Code::kInvalidArgument, HasSubstr("a group with rank 99999999")));
}

TEST_F(EvidenceFilesTest, ALargeWorldIsNotMultipliedByItsGroups) {
  std::string groups;
  for (int group = 0; group < 20; ++group)
    groups += "\"" + std::to_string(group) + "\":{\"desc\":\"default_pg\",\"ranks\":\"\"},";
  ASSERT_THAT(files_.Add("rank_65535", "{\"pg_config\":{" + groups + "\"x\":{}},\"entries\":[" +
                                           Entry(0, "0", "all_reduce", 1, "started") + "]}"),
              IsOk());
  EXPECT_THAT(files_.Take(), StatusIs(Code::kOutOfRange, HasSubstr("too many groups")));

  std::string report = "{\"communicators\":[";
  for (int i = 0; i < 17; ++i)
    report += std::string(i > 0 ? "," : "") + "{\"hash\":\"0x1\",\"size\":65536}";
  EXPECT_THAT(EvidenceFiles().Add("ras", report + "]}"),
              StatusIs(Code::kOutOfRange, HasSubstr("too many ranks")));
}

TEST_F(EvidenceFilesTest, DumpsAndReportsDoNotMix) {
  AddData({"ras/late.json"});
  EXPECT_THAT(files_.Add("rank_0", Dump({})), StatusIs(Code::kFailedPrecondition));
  EvidenceFiles others;
  ASSERT_THAT(others.Add("rank_0", Dump({})), IsOk());
  EXPECT_THAT(others.Add("ras", Data("ras/text_2.24")), StatusIs(Code::kFailedPrecondition));
}

TEST_F(EvidenceFilesTest, TwoReportsOfRasNameWhoHasLaunchedLess) {
  AddData({"ras/late.json", "ras/early.json"});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(2)));
  EXPECT_EQ(imported_.confidence_max, Confidence::kHigh);
  EXPECT_EQ(finding.op->name, "AllReduce");
  EXPECT_EQ(imported_.evidence.ranks[2].process.pid, 4002);
}

TEST_F(EvidenceFilesTest, OneReportOfRasIsNotSure) {
  AddData({"ras/late.json"});
  EXPECT_THAT(CulpritsOf(Find()), ElementsAre(Rank(2)));
  EXPECT_EQ(imported_.confidence_max, Confidence::kMedium);
  EXPECT_THAT(imported_.notes, Contains(HasSubstr("give two, taken seconds apart")));
}

TEST_F(EvidenceFilesTest, CountsThatGrowAreNoHang) {
  std::string earlier = Data("ras/early.json");
  earlier.replace(earlier.find("\"AllReduce\": 41"), 15, "\"AllReduce\": 30");
  ASSERT_THAT(files_.Add("early", earlier), IsOk());
  AddData({"ras/late.json"});
  EXPECT_EQ(Find().verdict_class, Class::kNone);
  EXPECT_THAT(imported_.notes, Contains(HasSubstr("moves: its counts have grown")));
}

TEST_F(EvidenceFilesTest, AsManyOfOtherKindsIsAMismatch) {
  std::string report = Data("ras/late.json");
  report.replace(report.find("\"AllReduce\": 40"), 15, "\"AllReduce\": 41");
  const size_t first = report.find("\"Broadcast\": 4");
  report.replace(first, 14, "\"Broadcast\": 5");
  const size_t reduce = report.find("\"AllReduce\": 41");
  report.replace(reduce, 15, "\"AllReduce\": 40");
  ASSERT_THAT(files_.Add("ras", report), IsOk());
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kMismatch);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(0)));
  EXPECT_EQ(finding.op->name, "AllReduce");
  EXPECT_EQ(finding.other_op->name, "Broadcast");
}

TEST_F(EvidenceFilesTest, TheTextOfNccl224NamesTheOutliers) {
  AddData({"ras/text_2.24"});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(5), Rank(7)));
  EXPECT_EQ(finding.victims.size(), 30u);
  EXPECT_EQ(finding.op->seq, base::OpSeq(6650));
  EXPECT_EQ(imported_.evidence.ranks[5].process.host, "172.16.64.210");
  EXPECT_THAT(files_.lines(), Contains(HasSubstr("NCCL RAS, text of NCCL 2.24.3: 1 communicator")));
}

TEST_F(EvidenceFilesTest, TheTextOfNccl226TellsOfKindsAndOfWhoIsMissing) {
  AddData({"ras/text_2.26"});
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(1)));
  EXPECT_EQ(finding.op->name, "AllReduce");
  EXPECT_THAT(finding.unheard, ElementsAre(Rank(3)));
  EXPECT_THAT(imported_.notes,
              Contains("rank 3, process 4003 on 10.0.0.1, is considered dead by NCCL's RAS"));
}

TEST_F(EvidenceFilesTest, AHostOfWhichNobodyAnswersIsLost) {
  std::string report = Data("ras/text_2.26");
  for (size_t at = 0; (at = report.find("4003 on node 10.0.0.1", at)) != std::string::npos;)
    report.replace(at, 21, "4003 on node 10.0.0.9");
  ASSERT_THAT(files_.Add("ras", report), IsOk());
  const Finding finding = Find();
  EXPECT_EQ(finding.verdict_class, Class::kNodeLost);
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(3)));
}

TEST_F(EvidenceFilesTest, OfAHugeCommunicatorNotAllWhoWaitAreTold) {
  std::string report = Data("ras/text_2.24");
  report.replace(report.find("        32        32   RUNNING"), 20, "     65536     65536");
  ASSERT_THAT(files_.Add("ras", report), IsOk());
  const Finding finding = Find();
  EXPECT_THAT(CulpritsOf(finding), ElementsAre(Rank(5), Rank(7)));
  EXPECT_EQ(finding.victims.size(), 256u);
  EXPECT_THAT(imported_.notes, Contains(HasSubstr("65278 ranks that wait are not told of")));
}

TEST_F(EvidenceFilesTest, ATextThatWasCutOffSaysSo) {
  const std::string whole = Data("ras/text_2.24");
  const std::string cut = whole.substr(0, whole.find("Group "));
  EXPECT_THAT(files_.Add("ras", cut),
              StatusIs(Code::kDataLoss, HasSubstr("ends before its table of communicators")));
  // Wherever it is cut, nobody is blamed who is not by the whole.
  for (size_t size = whole.find("Group "); size < whole.size(); ++size) {
    EvidenceFiles files;
    if (!files.Add("ras", std::string_view(whole).substr(0, size)).ok()) continue;
    const auto imported = files.Take();
    if (!imported.ok()) continue;
    const Finding finding =
        Diagnose(imported->evidence, {.least_wait = base::Duration(0), .grace = base::Duration(0)});
    for (const auto& culprit : finding.culprits)
      EXPECT_TRUE(culprit.rank == Rank(5) || culprit.rank == Rank(7)) << size << culprit.rank;
  }
}

TEST_F(EvidenceFilesTest, ARankOutsideItsCommunicatorIsRefused) {
  std::string report = Data("ras/late.json");
  report.replace(report.find("\"rank\": 2"), 9, "\"rank\": 9");
  EXPECT_THAT(files_.Add("ras", report),
              StatusIs(Code::kInvalidArgument, HasSubstr("of 4 has no rank 9")));
}

/// Of ranks 0 to 2, whose entries are of group 0; the first one's time_created_ns is 1000.
std::map<Rank, FlightDump> DumpsOf(const std::vector<std::vector<std::string>>& entries) {
  std::map<Rank, FlightDump> dumps;
  for (size_t rank = 0; rank < entries.size(); ++rank) {
    const auto tree = ReadJson(Dump(entries[rank]));
    EXPECT_THAT(tree, IsOk());
    dumps.emplace(Rank(static_cast<int32_t>(rank)), ReadFlightDump(**tree).value());
  }
  return dumps;
}

TEST(FlightQuestionTest, WaitsAreTakenFromWhenItWasAsked) {
  const std::string over = Entry(0, "0", "all_reduce", 1, "completed");
  const auto dumps = DumpsOf({{over, Entry(1, "0", "all_reduce", 2, "started")},
                              {over},
                              {over, Entry(1, "0", "all_reduce", 2, "scheduled"),
                               Entry(2, "0", "all_reduce", 3, "scheduled"),
                               Entry(9'000, "0", "all_reduce", 4, "scheduled")}});

  const auto imported = FromFlightDumps(dumps, FlightQuestion{.asked_ns = 5'000'001'001});

  ASSERT_THAT(imported, IsOk());
  EXPECT_THAT(imported->notes, IsEmpty());
  const std::vector<SeenOp>& ops = imported->evidence.ranks.at(2).ops;
  EXPECT_EQ(ops.at(1).age, std::chrono::seconds(5));
  EXPECT_TRUE(ops.at(1).stream_waits && !ops.at(1).caller_waits) << "its caller may have gone on";
  EXPECT_FALSE(ops.at(2).is_waited_in()) << "its stream has not come to it";
  const Finding finding = Diagnose(imported->evidence);
  EXPECT_EQ(finding.verdict_class, Class::kMissingRank);
  ASSERT_EQ(finding.culprits.size(), 1U);
  EXPECT_EQ(finding.culprits.front().rank, Rank(1));
  EXPECT_EQ(finding.waited, std::chrono::seconds(5));
}

TEST(FlightQuestionTest, ACallOfWhichTheBeginningIsLostIsNotCompared) {
  const auto dumps = DumpsOf(
      {{Entry(5, "0", "all_reduce", 3, "completed"), Entry(6, "0", "all_reduce", 3, "completed"),
        Entry(7, "0", "all_reduce", 4, "started")},
       {Entry(6, "0", "all_reduce", 3, "completed"), Entry(7, "0", "all_reduce", 4, "started")}});

  const auto imported = FromFlightDumps(dumps, FlightQuestion{.asked_ns = 5'000'001'001});

  ASSERT_THAT(imported, IsOk());
  EXPECT_NE(Diagnose(imported->evidence).verdict_class, Class::kMismatch);
}

TEST(FlightQuestionTest, WhatWasCalledAfterItIsNoWait) {
  const std::string over = Entry(0, "0", "all_reduce", 1, "completed");
  const auto dumps = DumpsOf({{over, Entry(1, "0", "all_reduce", 2, "started")}, {over}, {over}});

  const auto imported = FromFlightDumps(dumps, FlightQuestion{.asked_ns = 900});

  ASSERT_THAT(imported, IsOk());
  EXPECT_EQ(imported->evidence.ranks.at(0).ops.at(1).age, base::Duration(0));
  EXPECT_EQ(Diagnose(imported->evidence).verdict_class, Class::kNone);
}

TEST(FlightQuestionTest, OnlyWhatWasOpenAtTheQuestionBeforeIsWaitedIn) {
  const std::string over = Entry(0, "0", "all_reduce", 1, "completed");
  const std::string open = Entry(1, "0", "all_reduce", 2, "started");
  const auto dumps = DumpsOf({{over, open}, {over}, {over, open}});
  FlightQuestion question{.asked_ns = 5'000'000'000, .open_before = OpenEntries{{Rank(0), {1}}}};

  const auto imported = FromFlightDumps(dumps, question);

  ASSERT_THAT(imported, IsOk());
  EXPECT_TRUE(imported->evidence.ranks.at(0).ops.at(1).is_waited_in());
  EXPECT_FALSE(imported->evidence.ranks.at(2).ops.at(1).is_waited_in());
  EXPECT_EQ(OpenEntriesOf(dumps), (OpenEntries{{Rank(0), {1}}, {Rank(2), {1}}}));
}

}  // namespace
}  // namespace lockstep::collectives
