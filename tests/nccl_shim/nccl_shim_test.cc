// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/ring_evidence.h"
#include "collectives/diagnosis/words.h"
#include "collectives/recorder/ring_reader.h"
#include "launcher/attach/attach_fixture.h"
#include "runtime/process/process_look.h"

/// Programs over the fake NCCL, with the shim preloaded and an agent's rings: what the rings say
/// then, and what the diagnosis makes of it.
namespace lockstep::launcher {
namespace {

using collectives::Absence;
using collectives::Evidence;
using collectives::Finding;
using collectives::OpKind;
using collectives::RingContent;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kSize = 3;
constexpr int kGuilty = 1;

std::string Runfile(const std::string& path) { return std::filesystem::absolute(path).string(); }

uint64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::string Tag(const lockstep_record& record) { return record.tag; }

std::vector<std::string> Tags(const RingContent& ring) {
  std::vector<std::string> tags;
  for (const lockstep_record& record : ring.records) tags.push_back(Tag(record));
  return tags;
}

bool IsOpen(const lockstep_record& record) {
  return record.state == LOCKSTEP_RECORD_ENQUEUED || record.state == LOCKSTEP_RECORD_STARTED;
}

class NcclShimTest : public AttachFixture {
 protected:
  void SetUp() override {
    Start();
    Renew();
  }

  void TearDown() override {
    EndAll();
    rings_.clear();
  }

  /// Ranks that nobody has started yet, with empty rings.
  void Renew(int size = kSize) {
    EndAll();
    size_ = size;
    cookies_.clear();
    rings_.clear();
    for (int rank = 0; rank < size_; ++rank) {
      cookies_.push_back(Add(rank, size_, incarnation_));
      rings_.push_back(Attach(cookies_.back()));
      ASSERT_EQ(rings_.back()->result, LOCKSTEP_ATTACH_OK);
    }
    ++incarnation_;
  }

  static std::string Shim() { return Runfile("collectives/nccl/shim/liblockstep_nccl.so"); }
  static std::string File(const std::string& name) { return Runfile("tests/nccl_shim/" + name); }

  void Launch(const std::string& mode, const std::string& detail = "") {
    LaunchProgram({File("shim_rank_2_30")}, mode, detail);
  }

  void LaunchProgram(std::vector<std::string> command, const std::string& mode,
                     const std::string& detail = "") {
    output_ = testing::TempDir() + "nccl_shim_output";
    id_ = testing::TempDir() + "nccl_shim_id";
    std::filesystem::remove(output_);
    std::filesystem::remove(id_);
    command.insert(command.end(), {mode, id_, detail});
    for (int rank = 0; rank < size_; ++rank) pids_.push_back(Spawn(command, rank));
  }

  pid_t Spawn(std::vector<std::string> command, int rank) {
    std::vector<std::string> block = {
        "RANK=" + std::to_string(rank), "WORLD_SIZE=" + std::to_string(size_),
        "TEST_TMPDIR=" + testing::TempDir(), "PATH=/usr/bin:/bin", "LD_PRELOAD=" + Shim()};
    if (!config.socket_path.empty()) block.push_back("LOCKSTEP_SOCKET=" + config.socket_path);
    block.push_back("LOCKSTEP_COOKIE=" + cookies_[rank]);
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> all;
      for (std::string& text : texts) all.push_back(text.data());
      all.push_back(nullptr);
      return all;
    };
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, output_.c_str(), O_WRONLY | O_APPEND | O_CREAT,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t pid = -1;
    EXPECT_EQ(posix_spawn(&pid, command[0].c_str(), &actions, nullptr, pointers(command).data(),
                          pointers(block).data()),
              0)
        << command[0];
    posix_spawn_file_actions_destroy(&actions);
    return pid;
  }

  /// All ranks' ends; true: each ended well.
  bool Await() {
    bool well = true;
    for (pid_t& pid : pids_) {
      int status = -1;
      const bool ended = Within(60, [&] { return waitpid(pid, &status, WNOHANG) == pid; });
      EXPECT_TRUE(ended) << "a rank does not end";
      if (ended) pid = -1;
      well = well && ended && status == 0;
    }
    return well;
  }

  void EndAll() {
    for (const pid_t pid : pids_) {
      if (pid > 0) kill(pid, SIGKILL);
    }
    for (const pid_t pid : pids_) {
      if (pid > 0) waitpid(pid, nullptr, 0);
    }
    pids_.clear();
  }

  static bool Within(int seconds, const std::function<bool()>& holds) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > limit) return false;
      poll(nullptr, 0, 2);
    }
    return true;
  }

  RingContent Read(int rank) const {
    auto content = collectives::ReadRingFrom(rings_[rank]->ring);
    EXPECT_TRUE(content.ok()) << content.status();
    return content.ok() ? *std::move(content) : RingContent();
  }

  /// As the watch sees it four times a second.
  bool Waits(int rank) const {
    std::vector<uint64_t> memory(LOCKSTEP_RING_HEADER_BYTES / sizeof(uint64_t));
    EXPECT_EQ(pread(rings_[rank]->ring, memory.data(), LOCKSTEP_RING_HEADER_BYTES, 0),
              ssize_t{LOCKSTEP_RING_HEADER_BYTES});
    const auto pulse = collectives::ReadRingPulse(std::as_bytes(std::span(memory)));
    return pulse.ok() && pulse->waits;
  }

  std::string Output() const {
    std::ostringstream text;
    text << std::ifstream(output_).rdbuf();
    return text.str();
  }

  Evidence Look() const {
    Evidence evidence;
    for (int rank = 0; rank < size_; ++rank) {
      collectives::SeenRank seen = collectives::FromRing(Read(rank), MonotonicNs());
      seen.process.state = StateOf(pids_[rank]);
      evidence.ranks.push_back(std::move(seen));
    }
    return evidence;
  }

  static collectives::ProcessState StateOf(pid_t pid) {
    using Doing = process::ProcessLook::Doing;
    const auto look = pid > 0 ? process::LookAtProcess(pid) : std::nullopt;
    if (!look.has_value() || look->doing == Doing::kEnded) return collectives::ProcessState::kEnded;
    if (look->doing == Doing::kStopped) return collectives::ProcessState::kStopped;
    return look->doing == Doing::kRuns ? collectives::ProcessState::kRuns
                                       : collectives::ProcessState::kSleeps;
  }

  /// The first finding in which all others are victims.
  Finding AwaitFinding() {
    Finding finding;
    EXPECT_TRUE(Within(60,
                       [&] {
                         finding = collectives::Diagnose(Look());
                         return finding.verdict_class != Finding::Class::kNone &&
                                finding.victims.size() + 1 == kSize;
                       }))
        << Output() << static_cast<int>(finding.verdict_class);
    return finding;
  }

  std::vector<std::string> cookies_;
  std::vector<std::unique_ptr<Client>> rings_;
  std::vector<pid_t> pids_;
  std::string output_, id_;
  uint32_t incarnation_ = 0;
  int size_ = kSize;
};

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

TEST_F(NcclShimTest, ACallThatDiffersNamesItsRankAndHow) {
  struct Expected {
    std::string mistake;
    Finding::Field field;
    std::string call;  // of the one
  };
  const Expected all[] = {
      {"count", Finding::Field::kCount, "all_reduce(f32, sum, 4)"},
      {"dtype", Finding::Field::kDtype, "all_reduce(i32, sum, 8)"},
      {"reduction", Finding::Field::kReduction, "all_reduce(f32, max, 8)"},
      {"root", Finding::Field::kRoot, "broadcast(f32, root 1, 8)"},
      {"kind", Finding::Field::kOp, "broadcast(f32, root 0, 8)"},
      {"finalize", Finding::Field::kOp, "Finalize"},
  };
  for (const Expected& expected : all) {
    SCOPED_TRACE(expected.mistake);
    Renew();
    Launch("mismatch", expected.mistake);
    Finding finding;
    EXPECT_TRUE(Within(60, [&] {
      finding = collectives::Diagnose(Look());
      return finding.verdict_class == Finding::Class::kMismatch && !finding.is_tie;
    })) << Output();

    EXPECT_TRUE(finding.is_provable);
    EXPECT_EQ(finding.field, expected.field);
    ASSERT_EQ(finding.culprits.size(), 1u) << Output();
    EXPECT_EQ(finding.culprits[0].rank, base::Rank(kGuilty));
    EXPECT_THAT(collectives::Summary(finding, Look()),
                HasSubstr("rank 1 called " + expected.call + " at shim_rank_2_30+0x"));
  }
}

TEST_F(NcclShimTest, ARankThatDoesNotComeIsNamed) {
  const std::pair<std::string, Absence> all[] = {{"stops", Absence::kStopped},
                                                 {"ends", Absence::kEndedEarly},
                                                 {"sleeps", Absence::kSleepsElsewhere},
                                                 {"computes", Absence::kRunsElsewhere}};
  for (const auto& [what, absence] : all) {
    SCOPED_TRACE(what);
    Renew();
    Launch("missing", what);

    const Finding finding = AwaitFinding();

    EXPECT_EQ(finding.verdict_class, Finding::Class::kMissingRank);
    EXPECT_THAT(finding.culprits, ElementsAre(Finding::Culprit{base::Rank(kGuilty), absence}));
    EXPECT_THAT(finding.victims, ElementsAre(base::Rank(0), base::Rank(2)));
    ASSERT_TRUE(finding.op.has_value());
    EXPECT_EQ(finding.op->seq, base::OpSeq(2));
    // The others called three ahead of their streams, which stand in the first of these.
    for (const int rank : {0, 2}) {
      const RingContent ring = Read(rank);
      ASSERT_EQ(ring.records.size(), 5u);
      EXPECT_EQ(ring.records[2].state, LOCKSTEP_RECORD_STARTED);
      EXPECT_GE(ring.records[2].started_ns, ring.records[2].enqueued_ns);
      EXPECT_EQ(ring.records[3].state, LOCKSTEP_RECORD_ENQUEUED);
      ASSERT_EQ(ring.seats.size(), 1u);
      EXPECT_EQ(ring.seats[0].waiters, 0) << "no call of NCCL holds its thread";
      EXPECT_EQ(ring.seats[0].stream_waiters, 1);
      EXPECT_TRUE(Waits(rank)) << "so that the watch looks";
    }
    // Where the guilty's process is held at once, the shim's thread is held with it.
    if (what == "sleeps" || what == "computes") {
      EXPECT_EQ(Read(kGuilty).records.at(1).state, LOCKSTEP_RECORD_COMPLETED);
    }
  }
}

TEST_F(NcclShimTest, ARankThatNeverInitialisesIsNamed) {
  Launch("never_init");

  const Finding finding = AwaitFinding();

  EXPECT_EQ(finding.verdict_class, Finding::Class::kMissingRank);
  EXPECT_THAT(finding.culprits,
              ElementsAre(Finding::Culprit{base::Rank(kGuilty), Absence::kNeverInitialised}));
  ASSERT_TRUE(finding.op.has_value());
  EXPECT_EQ(finding.op->kind, OpKind::kInit);
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

TEST_F(NcclShimTest, ACallCostsLittle) {
  Renew(1);
  LaunchProgram({File("cost_rank")}, "");
  ASSERT_TRUE(Await()) << Output();

  std::istringstream output(Output());
  int seen = 0;
  for (std::string line; std::getline(output, line);) {
    double ns = 0, clock_ns = 0;
    if (sscanf(line.c_str(), "cost %lf ns a call, clock %lf", &ns, &clock_ns) != 2) continue;
    std::cout << line << "\n";
    EXPECT_LT(ns, kCallsClocks * clock_ns);
    ++seen;
  }
  EXPECT_EQ(seen, 2);
  EXPECT_GT(Read(0).head.record_count, 50'000u);
}

}  // namespace
}  // namespace lockstep::launcher
