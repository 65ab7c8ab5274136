// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_NCCL_SHIM_SHIM_FIXTURE_H_
#define LOCKSTEP_TESTS_NCCL_SHIM_SHIM_FIXTURE_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/ring_evidence.h"
#include "collectives/recorder/ring_reader.h"
#include "runtime/process/process_look.h"
#include "tests/shims/ring_fixture.h"

namespace lockstep::launcher {

inline std::vector<std::string> Tags(const collectives::RingContent& ring) {
  std::vector<std::string> tags;
  for (const lockstep_record& record : ring.records) tags.push_back(Tag(record));
  return tags;
}

inline bool IsOpen(const lockstep_record& record) {
  return record.state == LOCKSTEP_RECORD_ENQUEUED || record.state == LOCKSTEP_RECORD_STARTED;
}

/// Ranks of programs over the fake NCCL, with the shim preloaded and an agent's rings. Confined to
/// the test's thread.
class NcclShimTest : public RingFixture {
 protected:
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
    for (int rank = 0; rank < size_; ++rank) pids_.push_back(SpawnRank(command, rank));
  }

  pid_t SpawnRank(std::vector<std::string> command, int rank) {
    std::vector<std::string> block = {
        "RANK=" + std::to_string(rank), "WORLD_SIZE=" + std::to_string(size_),
        "TEST_TMPDIR=" + testing::TempDir(), "PATH=/usr/bin:/bin", "LD_PRELOAD=" + preload_};
    if (!config.socket_path.empty()) block.push_back("LOCKSTEP_SOCKET=" + config.socket_path);
    block.push_back("LOCKSTEP_COOKIE=" + cookies_[rank]);
    return Spawn(std::move(command), std::move(block), 0);
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

  void EndAll() override {
    for (const pid_t pid : pids_) {
      if (pid > 0) kill(pid, SIGKILL);
    }
    for (const pid_t pid : pids_) {
      if (pid > 0) waitpid(pid, nullptr, 0);
    }
    pids_.clear();
  }

  /// As the watch sees it four times a second.
  bool Waits(int rank) const {
    std::vector<uint64_t> memory(LOCKSTEP_RING_HEADER_BYTES / sizeof(uint64_t));
    EXPECT_EQ(pread(rings_[rank]->ring, memory.data(), LOCKSTEP_RING_HEADER_BYTES, 0),
              ssize_t{LOCKSTEP_RING_HEADER_BYTES});
    const auto pulse = collectives::ReadRingPulse(std::as_bytes(std::span(memory)));
    return pulse.ok() && pulse->waits;
  }

  collectives::Evidence Look() const {
    collectives::Evidence evidence;
    for (int rank = 0; rank < size_; ++rank) {
      collectives::SeenRank seen = collectives::FromRing(Read(rank), MonotonicNs());
      seen.process.state =
          StateOf(pids_[rank] > 0 ? process::LookAtProcess(pids_[rank]) : std::nullopt);
      evidence.ranks.push_back(std::move(seen));
    }
    return evidence;
  }

  /// The first finding in which all others are victims.
  collectives::Finding AwaitFinding() {
    collectives::Finding finding;
    EXPECT_TRUE(Within(60,
                       [&] {
                         finding = collectives::Diagnose(Look());
                         return finding.verdict_class != collectives::Finding::Class::kNone &&
                                finding.victims.size() + 1 == kSize;
                       }))
        << Output() << static_cast<int>(finding.verdict_class);
    return finding;
  }

  std::vector<pid_t> pids_;
  std::string id_, preload_ = Shim();
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_TESTS_NCCL_SHIM_SHIM_FIXTURE_H_
