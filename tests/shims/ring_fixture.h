// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_SHIMS_RING_FIXTURE_H_
#define LOCKSTEP_TESTS_SHIMS_RING_FIXTURE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/evidence.h"
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

/// Ranks of programs that know nothing of Lockstep, with a shim preloaded and an agent's rings.
/// Confined to the test's thread.
class RingFixture : public AttachFixture {
 protected:
  void SetUp() override {
    Start();
    Renew();
  }

  void TearDown() override {
    EndAll();
    rings_.clear();
  }

  /// Ends whatever was launched.
  virtual void EndAll() = 0;

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

  /// Starts a program, found on PATH; what it prints goes to the end of the file `output_`. With
  /// POSIX_SPAWN_SETSID or no flags.
  pid_t Spawn(std::vector<std::string> command, std::vector<std::string> block, short flags) const {
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
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, flags);
    pid_t pid = -1;
    EXPECT_EQ(posix_spawnp(&pid, command[0].c_str(), &actions, &attributes,
                           pointers(command).data(), pointers(block).data()),
              0)
        << command[0] << " is not installed";
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
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

  std::string Output() const {
    std::ostringstream text;
    text << std::ifstream(output_).rdbuf();
    return text.str();
  }

  static collectives::ProcessState StateOf(const std::optional<process::ProcessLook>& look) {
    using Doing = process::ProcessLook::Doing;
    if (!look.has_value() || look->doing == Doing::kEnded) return collectives::ProcessState::kEnded;
    if (look->doing == Doing::kStopped) return collectives::ProcessState::kStopped;
    return look->doing == Doing::kRuns ? collectives::ProcessState::kRuns
                                       : collectives::ProcessState::kSleeps;
  }

  std::vector<std::string> cookies_;
  std::vector<std::unique_ptr<Client>> rings_;
  std::string output_;
  uint32_t incarnation_ = 0;
  int size_ = kSize;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_TESTS_SHIMS_RING_FIXTURE_H_
