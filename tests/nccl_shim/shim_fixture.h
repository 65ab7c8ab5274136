// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_NCCL_SHIM_SHIM_FIXTURE_H_
#define LOCKSTEP_TESTS_NCCL_SHIM_SHIM_FIXTURE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/ring_evidence.h"
#include "collectives/recorder/ring_reader.h"
#include "launcher/attach/attach_fixture.h"
#include "runtime/process/process_look.h"

namespace lockstep::launcher {

inline constexpr int kSize = 3;
inline constexpr int kGuilty = 1;

inline std::string Runfile(const std::string& path) {
  return std::filesystem::absolute(path).string();
}

inline uint64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

inline std::string Tag(const lockstep_record& record) { return record.tag; }

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
        "TEST_TMPDIR=" + testing::TempDir(), "PATH=/usr/bin:/bin", "LD_PRELOAD=" + preload_};
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

  collectives::RingContent Read(int rank) const {
    auto content = collectives::ReadRingFrom(rings_[rank]->ring);
    EXPECT_TRUE(content.ok()) << content.status();
    return content.ok() ? *std::move(content) : collectives::RingContent();
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

  collectives::Evidence Look() const {
    collectives::Evidence evidence;
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

  std::vector<std::string> cookies_;
  std::vector<std::unique_ptr<Client>> rings_;
  std::vector<pid_t> pids_;
  std::string output_, id_, preload_ = Shim();
  uint32_t incarnation_ = 0;
  int size_ = kSize;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_TESTS_NCCL_SHIM_SHIM_FIXTURE_H_
