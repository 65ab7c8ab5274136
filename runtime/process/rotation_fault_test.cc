// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What rotated files hold when any one system call fails, and whenever their process dies.
#include <errno.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/random.h"
#include "runtime/process/output_budget.h"
#include "runtime/process/rotating_file.h"
#include "runtime/process/testing/rotated_files.h"
#include "runtime/process/testing/syscall_faults.h"

namespace lockstep::process {
namespace {

using testing::Joined;
using testing::RotatedPieces;
using testing::RunWithFaults;
using testing::SyscallFaults;

constexpr int kCallsMax = 500;
constexpr int kNumbersMax = 100;  // more than any file here has

std::string Line(uint64_t number) { return "line " + std::to_string(number) + "\n"; }

/// "" when `text` is whole lines from number `first` on, the last of which may be cut; else why
/// not. Counts the whole ones.
std::string CheckLines(const std::string& text, uint64_t first, uint64_t* whole) {
  *whole = 0;
  for (size_t at = 0; at < text.size(); ++*whole) {
    const std::string line = Line(first + *whole);
    const std::string found = text.substr(at, line.size());
    if (found != line) return line.starts_with(found) ? "" : "not " + line + "but " + found;
    at += line.size();
  }
  return "";
}

class RotationFaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // In memory: a disk takes 0.1 ms for each of some hundred thousand renames.
    folder_ = "/dev/shm/lockstep-rotation-XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// A folder that is empty.
  std::string MakeFolder(int number) const {
    const std::string folder = folder_ + "/" + std::to_string(number);
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    return folder;
  }

  std::string folder_;
};

/// Writes lines into two rounds' files, rotated and capped, while the k-th call is refused. Returns
/// what is wrong with what is there afterwards; "untouched" when no call was refused.
std::string WriteWithFault(SyscallFaults& faults, const std::string& folder, int k, int error,
                           std::set<long>* calls) {
  const FileLimits limits{.file_bytes_max = 40, .old_files_max = 5, .total_bytes_max = 4000};
  OutputBudget budget(limits, nullptr, [](const FileNotice&) {});
  int refusals = 0;
  const std::string path = folder + "/rank-0.stdout";
  RotatingFile file(path, limits, {.budget = &budget, .on_notice = [&](const FileNotice& notice) {
                                     refusals += notice.kind == FileNotice::Kind::kNotRotated;
                                   }});
  faults.Arm(k, error);
  uint64_t written = 0;
  base::Status outcome;
  while (outcome.ok() && written < 20) {
    outcome = file.Write(Line(written));
    if (outcome.ok()) ++written;
  }
  const std::optional<long> refused = faults.Disarm();

  const std::vector<std::string> pieces = RotatedPieces(path, kNumbersMax);
  uint64_t whole = 0;
  if (const std::string wrong = CheckLines(Joined(pieces), 0, &whole); !wrong.empty()) return wrong;
  if (whole < written) return "lost lines after " + std::to_string(whole);
  uint64_t bytes = 0;
  for (const std::string& piece : pieces) bytes += piece.size();
  if (outcome.ok() && budget.used_bytes() != bytes) return "the budget counts wrong";
  if (!refused) return written == 20 ? "untouched" : outcome.ToString();
  calls->insert(*refused);
  const bool renaming = *refused == SYS_rename || *refused == SYS_renameat;
  if (renaming && (!outcome.ok() || refusals != 1)) return "a rename is no reason to end the files";
  return "";
}

TEST_F(RotationFaultTest, NoCallThatFailsLosesOrDoublesALine) {
  for (const int error : {ENOSPC, EACCES, EIO}) {
    std::set<long> calls;
    for (int k = 0;; ++k) {
      ASSERT_LT(k, kCallsMax);
      const std::string folder = MakeFolder(k);
      // The calls are told through a file: what the child's memory holds is lost with it.
      const std::string outcome = RunWithFaults([&](SyscallFaults& faults) {
        std::set<long> refused;
        const std::string wrong = WriteWithFault(faults, folder, k, error, &refused);
        return wrong.empty() ? "refused " + std::to_string(*refused.begin()) : wrong;
      });
      if (outcome.starts_with("SKIP ")) GTEST_SKIP() << outcome;
      if (outcome == "untouched") break;
      ASSERT_TRUE(outcome.starts_with("refused "))
          << "error " << error << ", call " << k << ": " << outcome;
      calls.insert(std::stol(outcome.substr(8)));
    }
    EXPECT_TRUE(calls.contains(SYS_openat)) << error;
    EXPECT_TRUE(calls.contains(SYS_write)) << error;
    EXPECT_TRUE(calls.contains(SYS_rename)) << error;
  }
}

/// Shared with a child that is going to be killed.
struct Progress {
  std::atomic<uint64_t> written{0};
};

class KilledWriter {
 public:
  /// Writes so many lines at most, then waits for its end.
  KilledWriter(const std::string& path, FileLimits limits, uint64_t lines_max) {
    void* memory = ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    progress_ = new (memory) Progress;
    pid_ = ::fork();
    if (pid_ != 0) return;
    RotatingFile file(path, limits, {.on_notice = [](const FileNotice&) { ::_exit(3); }});
    for (uint64_t line = 0; line < lines_max; ++line) {
      if (!file.Write(Line(line)).ok()) ::_exit(2);
      progress_->written = line + 1;
    }
    while (true) ::pause();
  }
  ~KilledWriter() { ::munmap(progress_, sizeof(Progress)); }

  /// Kills it once so many lines are written. Returns how many then are for certain.
  uint64_t KillAfter(uint64_t lines) {
    int status = 0;
    while (progress_->written < lines) {
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        ADD_FAILURE() << "it has ended by itself, with " << WEXITSTATUS(status);
        return 0;
      }
    }
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
    return progress_->written;
  }

 private:
  Progress* progress_ = nullptr;
  pid_t pid_ = -1;
};

TEST_F(RotationFaultTest, NoByteIsLostOrDoubledWheneverItsProcessIsKilled) {
  base::Random random(20260418);
  for (int round = 0; round < 40; ++round) {
    const std::string path = MakeFolder(round) + "/rank-0.stdout";
    // Nearly all of its time goes into renames, and all files are kept: two lines in each.
    KilledWriter writer(path, {.file_bytes_max = 20, .old_files_max = 80}, 160);
    const uint64_t written = writer.KillAfter(random.Below(120));

    uint64_t whole = 0;
    ASSERT_EQ(CheckLines(Joined(RotatedPieces(path, kNumbersMax)), 0, &whole), "");
    ASSERT_GE(whole, written);
    ASSERT_LE(whole, written + 1);
  }
}

TEST_F(RotationFaultTest, OnlyTheOldestAreGivenUpWheneverItsProcessIsKilled) {
  base::Random random(20260419);
  for (int round = 0; round < 40; ++round) {
    const std::string path = MakeFolder(round) + "/rank-0.stdout";
    KilledWriter writer(path, {.file_bytes_max = 20, .old_files_max = 3}, UINT64_MAX);
    const uint64_t written = writer.KillAfter(20 + random.Below(1000));

    const std::string text = Joined(RotatedPieces(path, kNumbersMax));
    unsigned long first = 0;
    ASSERT_EQ(std::sscanf(text.c_str(), "line %lu\n", &first), 1) << text;
    uint64_t whole = 0;
    ASSERT_EQ(CheckLines(text, first, &whole), "");
    ASSERT_GE(first + whole, written);
    // Two of the three old ones and the file itself at the least, two lines each, less a new file.
    ASSERT_GE(whole, 4u);
  }
}

}  // namespace
}  // namespace lockstep::process
