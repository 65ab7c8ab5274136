// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/flight_merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/imports/flight_dump_file.h"
#include "launcher/diagnosis/evidence_folder.h"
#include "launcher/diagnosis/testing/dump_text.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {
namespace {

using base::Rank;
using collectives::Evidence;
using collectives::Finding;
using collectives::SeenRank;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kAskedNs = 9'000'000'000;

/// Of a rank that has called all_reduce once or twice, 8 s before it was asked.
std::string DumpText(int calls) { return testing::DumpText(calls, 1, 1'000'000'000); }

collectives::FlightDump Dump(int calls) {
  return collectives::ReadFlightDumpFile("rank", DumpText(calls)).value();
}

Evidence ThreeRanks() {
  Evidence evidence;
  for (const int rank : {0, 1, 2})
    evidence.ranks.push_back(
        {.rank = Rank(rank), .process = {.pid = 100 + rank}, .ring_read = true});
  return evidence;
}

AskedFlights Asked(const std::vector<std::string>& dumps) {
  AskedFlights asked{.asked_ns = kAskedNs, .dumps = {}, .left_out = {}};
  for (size_t rank = 0; rank < dumps.size(); ++rank)
    asked.dumps[Rank(static_cast<int>(rank))] = std::make_shared<const std::string>(dumps[rank]);
  return asked;
}

std::vector<Rank> RanksOf(const AskedFlights& flights) {
  std::vector<Rank> ranks;
  for (const auto& [rank, dump] : flights.dumps) ranks.push_back(rank);
  return ranks;
}

TEST(FlightMergeTest, WhatTorchSaysIsOfTheRanksThatAreThere) {
  Evidence evidence = ThreeRanks();
  evidence.ranks[1].process.state = collectives::ProcessState::kSleeps;

  AddFlightDumps({{Rank(0), Dump(2)}, {Rank(1), Dump(1)}, {Rank(2), Dump(2)}},
                 {.asked_ns = kAskedNs}, evidence);

  EXPECT_EQ(evidence.ranks[0].process.pid, 100);
  const Finding finding = collectives::Diagnose(evidence);
  EXPECT_EQ(finding.verdict_class, Finding::Class::kMissingRank);
  EXPECT_EQ(finding.waited, std::chrono::seconds(8));
  EXPECT_EQ(finding.confidence, Finding::Confidence::kHigh);
}

TEST(FlightMergeTest, WhereARingTellsItIsRightForAll) {
  Evidence evidence = ThreeRanks();
  evidence.ranks[1].ops.push_back({.group = base::GroupId(7), .seq = base::OpSeq(1)});

  AddFlightDumps({{Rank(0), Dump(2)}}, {.asked_ns = kAskedNs}, evidence);

  EXPECT_THAT(evidence.ranks[0].ops, IsEmpty());
  EXPECT_TRUE(evidence.ranks[2].ring_read);
  EXPECT_THAT(evidence.notes, IsEmpty());
}

/// Gloo lets go of an op that failed as of one that ended well.
TEST(FlightMergeTest, WhereDumpsLeaveADoubtNothingIsSure) {
  const auto gloos = [](int calls) {
    std::string text = DumpText(calls);
    for (const auto& [theirs, ours] :
         {std::pair("nccl:", "gloo:"), std::pair("scheduled", "completed")}) {
      const std::string_view word = theirs;
      for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at))
        text.replace(at, word.size(), ours);
    }
    return collectives::ReadFlightDumpFile("rank", text).value();
  };
  Evidence evidence = ThreeRanks();

  const auto confidence_max =
      AddFlightDumps({{Rank(0), gloos(2)}, {Rank(1), gloos(1)}, {Rank(2), gloos(2)}},
                     {.asked_ns = kAskedNs}, evidence);

  EXPECT_EQ(confidence_max, Finding::Confidence::kMedium);
  EXPECT_THAT(evidence.notes, Contains(HasSubstr("is over though rank 1 never came")));
}

TEST(FlightMergeTest, OfARecorderThatHasForgottenItsFirstCallsThatIsKnown) {
  std::string text = DumpText(2);
  text.replace(text.find("\"record_id\":0"), 13, "\"record_id\":7");
  Evidence evidence = ThreeRanks();

  AddFlightDumps(
      {{Rank(0), collectives::ReadFlightDumpFile("rank", text).value()}, {Rank(1), Dump(2)}},
      {.asked_ns = kAskedNs}, evidence);

  EXPECT_TRUE(evidence.ranks[0].ring_overflowed);
  EXPECT_FALSE(evidence.ranks[1].ring_overflowed);
}

TEST(FlightMergeTest, WhoHasNotAnsweredIsUnknown) {
  Evidence evidence = ThreeRanks();

  AddFlightDumps({{Rank(0), Dump(2)}, {Rank(2), Dump(2)}}, {.asked_ns = kAskedNs}, evidence);

  EXPECT_FALSE(evidence.ranks[1].ring_read);
  EXPECT_THAT(collectives::Diagnose(evidence).culprits, IsEmpty());
  EXPECT_THAT(evidence.notes, Contains(HasSubstr("ranks 0, 2 were asked")));
}

TEST(FlightMergeTest, KeptEvidenceSaysTheSameAndADamagedDumpIsSaid) {
  storage::RealFileSystem files;
  const std::string folder = ::testing::TempDir() + "/kept";
  const AskedFlights asked = Asked({DumpText(2), DumpText(1), DumpText(2)});
  ASSERT_OK(SaveEvidence(folder, {.job = "train", .grace = std::chrono::seconds(7)}, ThreeRanks(),
                         {}, asked, files));
  const auto without = LoadEvidence(folder, files);
  ASSERT_OK(without.status());
  EXPECT_THAT(without->evidence.notes,
              Contains(HasSubstr("rank 1: what torch had recorded is not")));
  ASSERT_OK(SaveFlights(folder, asked, files));

  const auto saved = LoadEvidence(folder, files);

  ASSERT_OK(saved.status());
  EXPECT_EQ(saved->facts.grace, std::chrono::seconds(7));
  const Finding finding = collectives::Diagnose(saved->evidence);
  EXPECT_EQ(finding.verdict_class, Finding::Class::kMissingRank);
  ASSERT_THAT(finding.culprits, SizeIs(1));
  EXPECT_EQ(finding.culprits.front().rank, Rank(1));

  std::filesystem::resize_file(folder + "/rank-1.flight", 20);
  const auto damaged = LoadEvidence(folder, files);
  ASSERT_OK(damaged.status());
  EXPECT_THAT(collectives::Diagnose(damaged->evidence).culprits, IsEmpty());
  EXPECT_THAT(damaged->evidence.notes, Contains(HasSubstr("rank-1.flight")));
}

TEST(FlightMergeTest, WhereThereIsNoRoomForAllDumpsThoseThatMatterAreKept) {
  const AskedFlights asked = Asked({"0000", "1111", "2222", "3"});
  AskedFlights all = asked, some = asked, none = asked;

  KeepWithin(13, {}, all);
  EXPECT_THAT(RanksOf(all), ElementsAre(Rank(0), Rank(1), Rank(2), Rank(3)));
  EXPECT_EQ(LeftOutText(all.left_out), "");

  KeepWithin(9, {Rank(2), Rank(1), Rank(2), Rank(7)}, some);
  EXPECT_THAT(RanksOf(some), ElementsAre(Rank(1), Rank(2), Rank(3))) << "which has room";
  EXPECT_THAT(some.left_out, ElementsAre(Rank(0)));

  KeepWithin(0, {Rank(2)}, none);
  EXPECT_THAT(RanksOf(none), IsEmpty());
  EXPECT_THAT(LeftOutText(none.left_out), HasSubstr("ranks 0, 1, 2, 3 was looked at and is not"));
}

TEST(FlightMergeTest, WhoseDumpWasNotKeptIsSaidWhenTheEvidenceIsLookedAtAgain) {
  storage::RealFileSystem files;
  const std::string folder = ::testing::TempDir() + "/left_out";
  AskedFlights asked = Asked({DumpText(2), DumpText(1), DumpText(2)});
  KeepWithin(DumpText(1).size() + DumpText(2).size(), {Rank(1)}, asked);
  ASSERT_OK(SaveEvidence(folder, {.job = "train"}, ThreeRanks(), {}, asked, files));
  ASSERT_OK(SaveFlights(folder, asked, files));

  const auto saved = LoadEvidence(folder, files);

  ASSERT_OK(saved.status());
  EXPECT_THAT(saved->evidence.notes, Contains(HasSubstr("recorded of rank 2 was looked at")));
}

TEST(FlightMergeTest, OfAnEarlierLookNothingIsJudgedThatTheNewOneHasNot) {
  storage::RealFileSystem files;
  const std::string folder = ::testing::TempDir() + "/twice";
  AskedFlights asked = Asked({DumpText(2), DumpText(1), DumpText(2)});
  ASSERT_OK(SaveEvidence(folder, {.job = "train"}, ThreeRanks(), {}, asked, files));
  ASSERT_OK(SaveFlights(folder, asked, files));

  asked.dumps.erase(Rank(1));  // it is silent now
  ASSERT_OK(SaveEvidence(folder, {.job = "train"}, ThreeRanks(), {}, asked, files));
  ASSERT_OK(SaveFlights(folder, asked, files));

  const auto saved = LoadEvidence(folder, files);
  ASSERT_OK(saved.status());
  EXPECT_FALSE(saved->evidence.ranks[1].ring_read);
  EXPECT_THAT(collectives::Diagnose(saved->evidence).culprits, IsEmpty());
}

}  // namespace
}  // namespace lockstep::launcher
