// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/file_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/process/rotating_file.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::testing::StatusIs;
using Pieces = base::Result<std::vector<FileReader::Piece>>;

class FileReaderTest : public ::testing::Test {
 protected:
  FileReaderTest() {
    folder_ = ::testing::TempDir() + "/reader-XXXXXX";
    if (::mkdtemp(folder_.data()) == nullptr) std::abort();
    loop_ = *event::EpollLoop::Create(clock_);
    reader_ = std::make_unique<FileReader>(ledger_, *loop_);
  }
  ~FileReaderTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  Pieces Read(std::vector<FileReader::Part> parts, size_t bytes_max) {
    std::optional<Pieces> read;
    reader_->Read(std::move(parts), bytes_max, [&](Pieces pieces) {
      read = std::move(pieces);
      loop_->Quit();
    });
    EXPECT_FALSE(read.has_value()) << "it has called back inside the call";
    loop_->Run();
    return *std::move(read);
  }

  base::RealClock clock_;
  const std::shared_ptr<process::RotationLedger> ledger_ =
      std::make_shared<process::RotationLedger>();
  std::string folder_;
  std::unique_ptr<event::EpollLoop> loop_;
  std::unique_ptr<FileReader> reader_;
};

TEST_F(FileReaderTest, PartsComeInOrderUntilTheLimitIsReached) {
  const std::string a = Write("a", "0123456789");
  const std::string b = Write("b", "abcdef");

  const Pieces read = Read({{a, 4}, {b, 0}, {a, 0}}, 8);

  ASSERT_OK(read.status());
  ASSERT_EQ(read->size(), 3U);
  EXPECT_EQ((*read)[0].content, "456789");
  EXPECT_EQ((*read)[0].file_bytes, 10U);
  EXPECT_EQ((*read)[1].content, "ab");
  EXPECT_EQ((*read)[1].file_bytes, 6U);
  EXPECT_EQ((*read)[2].content, "");
}

TEST_F(FileReaderTest, AFileThatIsNotThereIsEmpty) {
  const Pieces read = Read({{folder_ + "/none", 3}}, 10);

  ASSERT_OK(read.status());
  EXPECT_EQ(read->front().file_bytes, 0U);
}

TEST_F(FileReaderTest, OffsetsAreThoseOfTheStreamWhateverFilesItIsIn) {
  const std::string path = folder_ + "/rank-0.stdout";
  process::RotatingFile file(path, {.file_bytes_max = 4, .old_files_max = 2},
                             {.ledger = ledger_.get()});
  ASSERT_OK(file.Write("aaa\nbbb\nccc\nddd\nee"));  // the first two are given up

  const Pieces read = Read({{path, 0}, {path, 10}, {path, 17}, {path, 18}, {path, 99}}, 100);

  ASSERT_OK(read.status());
  const auto expect = [&read](size_t i, uint64_t offset, const std::string& content) {
    EXPECT_EQ((*read)[i].offset, offset) << i;
    EXPECT_EQ((*read)[i].content, content) << i;
    EXPECT_EQ((*read)[i].file_bytes, 18U) << i;
  };
  expect(0, 8, "ccc\nddd\nee");
  expect(1, 10, "c\nddd\nee");
  expect(2, 17, "e");
  expect(3, 18, "");
  expect(4, 99, "");
  EXPECT_EQ(Read({{path, 9}}, 5)->front().content, "cc\ndd");
}

// Each line is a file of its own, so that nearly every read meets a rotation.
TEST_F(FileReaderTest, OffsetsAreTrueWhileFilesAreRotated) {
  constexpr size_t kLines = 3'000;
  const std::string path = folder_ + "/rank-0.stdout";
  std::string expected;
  for (size_t i = 0; i < kLines; ++i) expected += "line " + std::to_string(100'000 + i) + "\n";
  const size_t line_bytes = expected.size() / kLines;
  std::atomic<size_t> written = 0;
  std::jthread writer([&] {
    process::RotatingFile file(path, {.file_bytes_max = 1, .old_files_max = 3},
                               {.ledger = ledger_.get()});
    while (written < kLines) {
      EXPECT_OK(file.Write(std::string_view(expected).substr(written * line_bytes, line_bytes)));
      ++written;
    }
  });
  int read_count = 0;
  for (bool last = false; !last;) {
    last = written == kLines;
    const uint64_t end = written * line_bytes;
    const Pieces read = Read({{path, end - std::min<uint64_t>(end, read_count % 100)}}, 40);
    if (read.status().code() == base::Code::kResourceExhausted) continue;
    ASSERT_OK(read.status());
    const FileReader::Piece& piece = read->front();
    ASSERT_EQ(piece.content, expected.substr(piece.offset, piece.content.size()));
    ASSERT_GE(piece.file_bytes, end);
    ++read_count;
  }
  EXPECT_GT(read_count, 10);
}

TEST_F(FileReaderTest, WhatIsNoRegularFileIsRefused) {
  const std::string fifo = folder_ + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  std::filesystem::create_symlink(Write("target", "secret"), folder_ + "/link");

  EXPECT_THAT(Read({{fifo, 0}}, 10).status(), StatusIs(base::Code::kFailedPrecondition));
  EXPECT_FALSE(Read({{folder_ + "/link", 0}}, 10).ok());
}

TEST_F(FileReaderTest, OneMoreThanMayWaitIsRefused) {
  const std::string a = Write("a", "x");
  int read = 0;
  int refused = 0;
  for (size_t i = 0; i <= FileReader::kWaitingMax; ++i) {
    reader_->Read({{a, 0}}, 10, [&](const Pieces& pieces) {
      ++(pieces.ok() ? read : refused);
      if (read + refused > static_cast<int>(FileReader::kWaitingMax)) loop_->Quit();
    });
  }
  loop_->Run();

  EXPECT_EQ(read, static_cast<int>(FileReader::kWaitingMax));
  EXPECT_EQ(refused, 1);
}

TEST_F(FileReaderTest, NothingIsCalledOnceItIsGone) {
  const std::string a = Write("a", "x");
  reader_->Read({{a, 0}}, 10, [&](const Pieces&) { FAIL() << "called back"; });

  reader_.reset();

  const auto end = loop_->After(50ms, [this] { loop_->Quit(); });
  loop_->Run();
}

}  // namespace
}  // namespace lockstep::launcher
