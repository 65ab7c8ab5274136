// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/log_pieces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/process/rotated_name.h"
#include "runtime/process/rotating_file.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LogPiecesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::string(::getenv("TEST_TMPDIR")) + "/pieces_XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/rank-0.stdout";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(int number, const std::string& text) const {
    std::ofstream(process::RotatedName(path_, number)) << text;
  }
  std::vector<uint64_t> Sizes(int highest_number = 0) const {
    auto pieces = OpenLogPieces(path_, highest_number);
    EXPECT_OK(pieces);
    std::vector<uint64_t> sizes;
    for (const LogPiece& piece : *pieces) sizes.push_back(piece.bytes);
    return sizes;
  }
  /// The text from where the tail begins.
  std::string Tail(uint64_t lines) const {
    auto pieces = OpenLogPieces(path_, 0);
    EXPECT_OK(pieces);
    const LogPosition tail = FindTail(*pieces, lines);
    std::string text;
    for (size_t i = tail.piece; i < pieces->size(); ++i) {
      std::ifstream file(process::RotatedName(path_, static_cast<int>(pieces->size() - 1 - i)));
      if (i == tail.piece) file.seekg(static_cast<std::streamoff>(tail.offset));
      text.append(std::istreambuf_iterator<char>(file), {});
    }
    return text;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(LogPiecesTest, TheOldestComesFirst) {
  EXPECT_THAT(Sizes(), IsEmpty());
  Write(0, "0");
  EXPECT_THAT(Sizes(), ElementsAre(1));
  Write(1, "11");
  Write(2, "222");
  EXPECT_THAT(Sizes(), ElementsAre(3, 2, 1));
}

TEST_F(LogPiecesTest, ANumberMayBeMissing) {
  Write(0, "0");
  Write(2, "222");
  EXPECT_THAT(Sizes(), ElementsAre(3, 1));
  std::filesystem::remove(path_);
  EXPECT_THAT(Sizes(2), ElementsAre(3));
  Write(9, "9");
  EXPECT_THAT(Sizes(9), ElementsAre(1, 3));
}

TEST_F(LogPiecesTest, AFileIsKnownUnderItsNextName) {
  Write(0, "0");
  const FileIdentity before = OpenLogPiece(path_).value()->identity;
  std::filesystem::rename(path_, path_ + ".1");
  Write(0, "0");

  EXPECT_EQ(OpenLogPiece(path_ + ".1").value()->identity, before);
  EXPECT_NE(OpenLogPiece(path_).value()->identity, before);
  EXPECT_EQ(OpenLogPiece(path_ + ".2").value(), std::nullopt);
}

// Each line is a file of its own, so that nearly every look meets a rotation.
TEST_F(LogPiecesTest, FilesFollowEachOtherWhileTheyAreRotated) {
  constexpr int kLines = 2'000;
  std::atomic<bool> written = false;
  std::jthread writer([&] {
    process::RotatingFile file(path_, {.file_bytes_max = 1, .old_files_max = 20},
                               {.on_notice = [](const process::FileNotice&) {}});
    for (int i = 100'000; i < 100'000 + kLines; ++i) {
      EXPECT_OK(file.Write(std::to_string(i) + "\n"));
    }
    written = true;
  });
  for (bool last = false; !last;) {
    last = written;
    const auto pieces = OpenLogPieces(path_, 20);
    if (pieces.status().code() == Code::kResourceExhausted) continue;
    ASSERT_OK(pieces);
    int before = 0;
    for (const LogPiece& piece : *pieces) {
      char line[16] = {};
      if (::pread(piece.fd.get(), line, sizeof line - 1, 0) == 0) continue;  // just made
      const int number = std::stoi(line);
      ASSERT_TRUE(before == 0 || number == before + 1) << number << " after " << before;
      before = number;
    }
    EXPECT_TRUE(!last || pieces->size() == 21) << pieces->size();
  }
}

TEST_F(LogPiecesTest, WhatIsNoRegularFileIsRefused) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(OpenLogPiece(path_), StatusIs(Code::kFailedPrecondition));
  Write(2, "secret");
  std::filesystem::create_symlink(path_ + ".2", path_ + ".1");
  EXPECT_FALSE(OpenLogPiece(path_ + ".1").ok());
}

TEST_F(LogPiecesTest, TailIsTheLastLines) {
  Write(0, "one\ntwo\nthree\n");

  EXPECT_EQ(Tail(0), "");
  EXPECT_EQ(Tail(1), "three\n");
  EXPECT_EQ(Tail(2), "two\nthree\n");
  EXPECT_EQ(Tail(3), "one\ntwo\nthree\n");
  EXPECT_EQ(Tail(99), "one\ntwo\nthree\n");
}

TEST_F(LogPiecesTest, TailGoesOverFiles) {
  Write(2, "one\ntwo\n");
  Write(1, "three\n");
  Write(0, "four\nfive");

  EXPECT_EQ(Tail(1), "five");
  EXPECT_EQ(Tail(2), "four\nfive");
  EXPECT_EQ(Tail(3), "three\nfour\nfive");
  EXPECT_EQ(Tail(4), "two\nthree\nfour\nfive");
  EXPECT_EQ(Tail(5), "one\ntwo\nthree\nfour\nfive");
  EXPECT_EQ(Tail(6), "one\ntwo\nthree\nfour\nfive");
}

TEST_F(LogPiecesTest, TailOfAFileThatHasJustBeenRotatedIsInTheOldOne) {
  Write(1, "one\ntwo\n");
  Write(0, "");

  EXPECT_EQ(Tail(1), "two\n");
}

TEST_F(LogPiecesTest, LineWithoutAnEndIsALine) {
  Write(0, "one\ntwo");

  EXPECT_EQ(Tail(1), "two");
}

TEST_F(LogPiecesTest, EmptyLinesAreLines) {
  Write(0, "one\n\n\n");

  EXPECT_EQ(Tail(2), "\n\n");
}

TEST_F(LogPiecesTest, TailOfNothingIsEmpty) {
  EXPECT_EQ(Tail(3), "");
  Write(0, "");
  EXPECT_EQ(Tail(3), "");
}

TEST_F(LogPiecesTest, TailReadsBackOverManyBlocks) {
  const std::string long_line(200'000, 'x');
  Write(0, "first\n" + long_line + "\nlast\n");

  EXPECT_EQ(Tail(2), long_line + "\nlast\n");
  EXPECT_EQ(Tail(3), "first\n" + long_line + "\nlast\n");
}

}  // namespace
}  // namespace lockstep::launcher
