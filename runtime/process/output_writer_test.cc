// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/output_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::HasSubstr;

constexpr base::Duration kTimeout = std::chrono::seconds(30);

std::string ReadWhole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

class OutputWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(loop_, event::EpollLoop::Create(clock_));
    ASSERT_EQ(::pipe2(pipe_, O_CLOEXEC), 0);
    read_end_.reset(pipe_[0]);
    write_end_.reset(pipe_[1]);
    directory_ = std::string(::getenv("TEST_TMPDIR")) + "/output_writer_XXXXXX";
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    Make(size_t{1} << 20);
  }
  void TearDown() override {
    writer_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Make(size_t queue_bytes_max) {
    writer_ = std::make_unique<OutputWriter>(
        OutputWriter::Options{.name = "writer", .queue_bytes_max = queue_bytes_max},
        OutputWriter::Handlers{.on_failed =
                                   [this](OutputWriter::TargetId target, const base::Status& why) {
                                     failed_target_ = target;
                                     failure_ = why;
                                     ++failures_;
                                   },
                               .on_space = [this] { ++spaces_; }},
        *loop_);
  }
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, kTimeout);
  }
  bool Flush() {
    bool flushed = false;
    writer_->Flush([&] { flushed = true; });
    return RunUntil([&] { return flushed; });
  }

  base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  int pipe_[2] = {-1, -1};
  base::UniqueFd read_end_;
  base::UniqueFd write_end_;
  std::string directory_;
  int failures_ = 0;
  int spaces_ = 0;
  std::optional<OutputWriter::TargetId> failed_target_;
  base::Status failure_;
  std::unique_ptr<OutputWriter> writer_;
};

TEST_F(OutputWriterTest, FilesGetTheirBytesInOrder) {
  const auto a = writer_->AddFile(directory_ + "/a");
  const auto b = writer_->AddFile(directory_ + "/b");

  for (int i = 0; i < 1000; ++i) {
    writer_->Append(a, "a" + std::to_string(i) + "\n");
    if (i % 3 == 0) writer_->Append(b, "b" + std::to_string(i) + "\n");
  }
  ASSERT_TRUE(Flush());

  std::string expected;
  for (int i = 0; i < 1000; ++i) expected += "a" + std::to_string(i) + "\n";
  EXPECT_EQ(ReadWhole(directory_ + "/a"), expected);
  EXPECT_THAT(ReadWhole(directory_ + "/b"), HasSubstr("b0\nb3\nb6\n"));
  EXPECT_EQ(std::filesystem::status(directory_ + "/a").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(OutputWriterTest, TargetWithoutBytesLeavesNoFile) {
  const auto silent = writer_->AddFile(directory_ + "/silent");

  writer_->Remove(silent);
  ASSERT_TRUE(Flush());

  EXPECT_FALSE(std::filesystem::exists(directory_ + "/silent"));
}

TEST_F(OutputWriterTest, FullDiskIsToldOnceAndOtherTargetsGoOn) {
  ASSERT_EQ(::access("/dev/full", W_OK), 0);
  const auto full = writer_->AddFile("/dev/full");
  const auto good = writer_->AddFile(directory_ + "/good");

  for (int i = 0; i < 10; ++i) {
    writer_->Append(full, "lost\n");
    writer_->Append(good, "kept\n");
  }
  ASSERT_TRUE(Flush());

  EXPECT_EQ(failures_, 1);
  EXPECT_EQ(failed_target_, full);
  EXPECT_THAT(failure_, StatusIs(Code::kResourceExhausted, HasSubstr("/dev/full")));
  EXPECT_EQ(ReadWhole(directory_ + "/good").size(), 50u);
}

TEST_F(OutputWriterTest, ClosedPipeIsAnErrorAndNoSignal) {
  ASSERT_OK_AND_ASSIGN(const auto console, writer_->AddFd(write_end_.get()));
  read_end_.reset();

  writer_->Append(console, "nobody reads\n");
  ASSERT_TRUE(RunUntil([&] { return failures_ == 1; }));

  EXPECT_THAT(failure_.message(), HasSubstr("EPIPE"));
}

TEST_F(OutputWriterTest, FullQueueSaysWhenThereIsSpaceAgain) {
  Make(1000);
  ASSERT_OK_AND_ASSIGN(const auto console, writer_->AddFd(write_end_.get()));
  const std::string more_than_a_pipe(size_t{80} << 10, 'x');
  EXPECT_FALSE(writer_->full());

  writer_->Append(console, more_than_a_pipe);
  EXPECT_TRUE(writer_->full());
  EXPECT_EQ(spaces_, 0);
  ASSERT_EQ(::fcntl(read_end_.get(), F_SETFL, O_RDONLY | O_NONBLOCK), 0);
  std::string got;

  // The thread is woken by a turn of the loop.
  EXPECT_TRUE(RunUntil([&] {
    char buffer[4096];
    const ssize_t count = ::read(read_end_.get(), buffer, sizeof(buffer));
    if (count > 0) got.append(buffer, static_cast<size_t>(count));
    return spaces_ == 1 && got.size() == more_than_a_pipe.size();
  }));
  EXPECT_EQ(got, more_than_a_pipe);
  EXPECT_FALSE(writer_->full());
}

TEST_F(OutputWriterTest, NonBlockingDescriptorOfSomebodyElseLosesNothing) {
  ASSERT_EQ(::fcntl(write_end_.get(), F_SETFL, O_WRONLY | O_NONBLOCK), 0);
  ASSERT_OK_AND_ASSIGN(const auto console, writer_->AddFd(write_end_.get()));
  write_end_.reset();
  const std::string much(size_t{1} << 20, 'x');

  writer_->Append(console, much);
  writer_->Remove(console);
  size_t got = 0;
  char buffer[65536];
  for (ssize_t count; (count = ::read(read_end_.get(), buffer, sizeof(buffer))) > 0;)
    got += static_cast<size_t>(count);

  EXPECT_EQ(got, much.size());
}

TEST_F(OutputWriterTest, WriteThatNeverReturnsDoesNotHoldTheDestructor) {
  ASSERT_OK_AND_ASSIGN(const auto console, writer_->AddFd(write_end_.get()));
  writer_->Append(console, std::string(size_t{1} << 20, 'x'));
  bool flushed = false;
  writer_->Flush([&] { flushed = true; });

  const base::SteadyTime before = clock_.Now();
  writer_.reset();

  EXPECT_LT(clock_.Now() - before, std::chrono::seconds(10));
  EXPECT_FALSE(
      event::testing::RunUntil(*loop_, [&] { return flushed; }, std::chrono::milliseconds(20)));
  read_end_.reset();  // lets the thread end
}

TEST_F(OutputWriterTest, NothingIsCalledAfterDestruction) {
  for (int i = 0; i < 200; ++i) {
    const int failures_before = failures_;
    Make(10);
    const auto full = writer_->AddFile("/dev/full");
    writer_->Append(full, "more than ten bytes\n");
    writer_->full();
    writer_->Flush([] { ADD_FAILURE() << "called after destruction"; });
    writer_.reset();
    ASSERT_FALSE(event::testing::RunUntil(
        *loop_, [&] { return failures_ != failures_before; }, base::Duration(0)));
  }
  EXPECT_EQ(spaces_, 0);
}

TEST_F(OutputWriterTest, ClosedDescriptorIsRefused) {
  EXPECT_THAT(writer_->AddFd(-1), ::testing::Not(IsOk()));
}

// In a process of its own, which becomes a user who may have no second thread.
TEST_F(OutputWriterTest, BytesWaitWhereNoThreadCanBeMade) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become a user without other processes";
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t kNobodyElse = 64817;
    if (::setresuid(kNobodyElse, kNobodyElse, kNobodyElse) != 0) ::_exit(2);
    rlimit before{};
    ::getrlimit(RLIMIT_NPROC, &before);
    rlimit one = before;
    one.rlim_cur = 1;
    ::setrlimit(RLIMIT_NPROC, &one);
    auto loop = event::EpollLoop::Create(clock_);
    OutputWriter writer({.name = "writer", .queue_bytes_max = size_t{1} << 20}, {}, **loop);
    auto target = writer.AddFd(write_end_.get());
    writer.Append(*target, "late but whole");
    bool written = false;
    writer.Flush([&written] { written = true; });
    const auto raise = (*loop)->After(std::chrono::milliseconds(120), [&] {
      if (written) ::_exit(3);
      ::setrlimit(RLIMIT_NPROC, &before);
    });
    ::_exit(event::testing::RunUntil(**loop, [&] { return written; }, kTimeout) ? 0 : 4);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 2) GTEST_SKIP() << "no other user can be had here";
  ASSERT_EQ(WEXITSTATUS(status), 0);
  char bytes[64];
  EXPECT_EQ(std::string(bytes, static_cast<size_t>(::read(read_end_.get(), bytes, sizeof bytes))),
            "late but whole");
}

}  // namespace
}  // namespace lockstep::process
