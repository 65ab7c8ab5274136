// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/output_pump.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::Rank;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr base::Duration kTimeout = std::chrono::seconds(60);

std::string ReadWhole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

void WriteOrDie(const base::UniqueFd& fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd.get(), bytes.data(), bytes.size());
    ASSERT_GT(count, 0) << std::strerror(errno);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

/// The console is two files.
class OutputPumpTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_DFL);  // the pump must not need more
    ASSERT_OK_AND_ASSIGN(loop_, event::EpollLoop::Create(clock_));
    directory_ = std::string(::getenv("TEST_TMPDIR")) + "/output_pump_XXXXXX";
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    console_out_.reset(
        ::open((directory_ + "/console.out").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    console_err_.reset(
        ::open((directory_ + "/console.err").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    options_.stdout_fd = console_out_.get();
    options_.stderr_fd = console_err_.get();
    options_.on_trouble = [this](OutputPump::Sink sink, base::Status why) {
      troubles_.emplace_back(sink, why);
    };
    Make();
  }
  void TearDown() override {
    pump_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Make() {
    pump_.reset();
    ASSERT_OK_AND_ASSIGN(pump_, OutputPump::Create(options_, *loop_));
  }
  RankOutputPlan Plan(int rank, OutputTarget target = OutputTarget::kBoth) {
    const std::string file = directory_ + "/rank-" + std::to_string(rank);
    return {.rank = Rank(rank),
            .prefix = "[" + std::to_string(rank) + "] ",
            .standard_output = {.target = target, .file_path = file + ".stdout"},
            .standard_error = {.target = target, .file_path = file + ".stderr"}};
  }
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, kTimeout);
  }
  bool HasRead(uint64_t bytes) {
    return RunUntil([&] { return pump_->bytes_read_total() == bytes; });
  }
  base::Status Flush(base::Duration timeout = kTimeout) {
    std::optional<base::Status> result;
    pump_->Flush(timeout, [&](base::Status status) { result = std::move(status); });
    RunUntil([&] { return result.has_value(); });
    return result.value_or(base::InternalError("Flush() never answered"));
  }
  std::string ConsoleOut() { return ReadWhole(directory_ + "/console.out"); }
  std::string ConsoleErr() { return ReadWhole(directory_ + "/console.err"); }
  std::string File(const std::string& name) { return ReadWhole(directory_ + "/" + name); }

  base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  std::string directory_;
  base::UniqueFd console_out_;
  base::UniqueFd console_err_;
  OutputPump::Options options_;
  std::vector<std::pair<OutputPump::Sink, base::Status>> troubles_;
  std::unique_ptr<OutputPump> pump_;
};

TEST_F(OutputPumpTest, ConsoleGetsPrefixedLinesAndFilesGetTheBytes) {
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(3)));

  WriteOrDie(fds.standard_output, "to stdout\nno newline at the end");
  WriteOrDie(fds.standard_error, "to stderr\n");
  fds = {};
  pump_->ReadNow(Rank(3));
  ASSERT_OK(Flush());

  EXPECT_EQ(ConsoleOut(), "[3] to stdout\n[3] no newline at the end\n");
  EXPECT_EQ(ConsoleErr(), "[3] to stderr\n");
  EXPECT_EQ(File("rank-3.stdout"), "to stdout\nno newline at the end");
  EXPECT_EQ(File("rank-3.stderr"), "to stderr\n");
}

TEST_F(OutputPumpTest, TargetsAreChosenPerRankAndStream) {
  RankOutputPlan redirected = Plan(0, OutputTarget::kFile);
  redirected.standard_error.target = OutputTarget::kConsole;
  ASSERT_OK_AND_ASSIGN(RankOutputFds zero, pump_->Open(redirected));
  ASSERT_OK_AND_ASSIGN(RankOutputFds one, pump_->Open(Plan(1, OutputTarget::kNone)));

  for (const RankOutputFds* fds : {&zero, &one}) {
    WriteOrDie(fds->standard_output, "out\n");
    WriteOrDie(fds->standard_error, "err\n");
  }
  zero = {};
  one = {};
  pump_->ReadNow(Rank(0));
  pump_->ReadNow(Rank(1));
  ASSERT_OK(Flush());

  EXPECT_EQ(ConsoleOut(), "");
  EXPECT_EQ(ConsoleErr(), "[0] err\n");
  EXPECT_EQ(File("rank-0.stdout"), "out\n");
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/rank-0.stderr"));
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/rank-1.stdout"));
  EXPECT_THAT(pump_->LastStderrLines(Rank(1), 10), ElementsAre("err"));
}

// 8 ranks x 250,000 lines of 80 bytes, written in chunks that ignore line ends.
TEST_F(OutputPumpTest, MillionsOfLinesArriveWholeAndInOrder) {
  constexpr int kRanks = 8;
  constexpr int kLines = 250'000;
  constexpr int kLineBytes = 80;
  options_.rank_count = kRanks;
  Make();
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < kRanks; ++rank) {
    ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(rank)));
    ranks.emplace_back([rank, out = std::move(fds.standard_output)] {
      std::string chunk;
      for (int line = 0; line < kLines; ++line) {
        std::string text = "rank " + std::to_string(rank) + " line " + std::to_string(line) + " ";
        text.resize(kLineBytes - 1, '.');
        chunk += text + '\n';
        if (chunk.size() < 5'000 && line + 1 < kLines) continue;
        WriteOrDie(out, chunk);
        chunk.clear();
      }
    });
  }
  ASSERT_TRUE(HasRead(uint64_t{kRanks} * kLines * kLineBytes));
  for (std::thread& rank : ranks) rank.join();
  ASSERT_OK(Flush());

  std::vector<int> next(kRanks, 0);
  std::ifstream console(directory_ + "/console.out");
  std::string line;
  while (std::getline(console, line)) {
    int prefix = -1, rank = -1, number = -1;
    ASSERT_EQ(line.size(), kLineBytes - 1 + 4u) << line;
    ASSERT_EQ(std::sscanf(line.c_str(), "[%d] rank %d line %d", &prefix, &rank, &number), 3)
        << line;
    ASSERT_EQ(prefix, rank);
    ASSERT_EQ(number, next[rank]++) << line;
  }
  EXPECT_THAT(next, ::testing::Each(kLines));
  for (int rank = 0; rank < kRanks; ++rank) {
    EXPECT_EQ(std::filesystem::file_size(directory_ + "/rank-" + std::to_string(rank) + ".stdout"),
              size_t{kLines} * kLineBytes);
  }
}

TEST_F(OutputPumpTest, EveryByteOfAKilledRankArrives) {
  for (int round = 0; round < 20; ++round) {
    ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(round)));
    int count_pipe[2];
    ASSERT_EQ(::pipe2(count_pipe, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      // Tells how much it has written, then writes on: at its death at most one more line has
      // arrived.
      char line[] = "a line that was written before the signal came\n";
      for (uint64_t written = 0;; ++written) {
        if (::write(fds.standard_output.get(), line, sizeof(line) - 1) != sizeof(line) - 1)
          ::_exit(1);
        if (::write(count_pipe[1], &written, sizeof(written)) != sizeof(written)) ::_exit(1);
      }
    }
    fds = {};
    ::close(count_pipe[1]);
    uint64_t written = 0;
    for (int i = 0; i <= round * 10; ++i)
      ASSERT_EQ(::read(count_pipe[0], &written, sizeof(written)), 8);
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    while (::read(count_pipe[0], &written, sizeof(written)) == 8) continue;
    ::close(count_pipe[0]);
    pump_->ReadNow(Rank(round));
    ASSERT_OK(Flush());

    const std::string file = File("rank-" + std::to_string(round) + ".stdout");
    EXPECT_GE(file.size() / 47, written + 1);
    EXPECT_LE(file.size() / 47, written + 2);
  }
}

TEST_F(OutputPumpTest, GrandchildThatHoldsThePipeLosesItToTheNextIncarnation) {
  ::signal(SIGPIPE, SIG_IGN);
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(0)));
  WriteOrDie(fds.standard_output, "from the rank\nand the end");
  pump_->ReadNow(Rank(0));

  EXPECT_OK(pump_->Open(Plan(0)));  // the first descriptors stay open
  ASSERT_OK(Flush());

  EXPECT_EQ(ConsoleOut(), "[0] from the rank\n[0] and the end\n");
  EXPECT_EQ(::write(fds.standard_output.get(), "x", 1), -1) << "the pipe must be closed";
}

TEST_F(OutputPumpTest, EndlessWriterHoldsNeitherReadNowNorOpen) {
  ::signal(SIGPIPE, SIG_IGN);
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(0, OutputTarget::kNone)));
  std::thread escaped([out = std::move(fds.standard_output)] {
    const std::string bytes(4096, 'x');
    while (::write(out.get(), bytes.data(), bytes.size()) > 0) continue;
  });
  ASSERT_TRUE(RunUntil([&] { return pump_->bytes_read_total() > 0; }));

  pump_->ReadNow(Rank(0));
  EXPECT_OK(pump_->Open(Plan(0, OutputTarget::kNone)));
  escaped.join();
}

TEST_F(OutputPumpTest, NextIncarnationTakesThePlaceOfTheLast) {
  ASSERT_OK_AND_ASSIGN(RankOutputFds first, pump_->Open(Plan(0)));
  WriteOrDie(first.standard_output, "first\n");

  ASSERT_OK_AND_ASSIGN(RankOutputFds second, pump_->Open(Plan(0)));
  WriteOrDie(second.standard_output, "second\n");
  second = {};
  pump_->ReadNow(Rank(0));
  ASSERT_OK(Flush());
  EXPECT_EQ(ConsoleOut(), "[0] first\n[0] second\n");
}

TEST_F(OutputPumpTest, BlockedConsoleStopsTheRanksAndNotTheLoop) {
  int console[2];
  ASSERT_EQ(::pipe2(console, O_CLOEXEC), 0);
  base::UniqueFd console_read(console[0]), console_write(console[1]);
  options_.stdout_fd = console_write.get();
  options_.queue_bytes_max = 100'000;
  Make();
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(0, OutputTarget::kConsole)));
  std::atomic<bool> rank_done{false};
  constexpr size_t kBytes = size_t{8} << 20;
  std::thread rank([&rank_done, out = std::move(fds.standard_output)] {
    const std::string line(63, 'x');
    for (size_t written = 0; written < kBytes; written += 64) WriteOrDie(out, line + "\n");
    rank_done = true;
  });
  fds = {};

  // Prefixes take a part of the queue, and what the pipe has taken of a block that it blocks counts
  // as queued: no more than this is sure to be read.
  ASSERT_TRUE(RunUntil([&] { return pump_->bytes_read_total() > 90'000; }));
  EXPECT_THAT(Flush(std::chrono::milliseconds(200)),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("bytes for the console")));
  EXPECT_FALSE(rank_done);
  const uint64_t read_while_blocked = pump_->bytes_read_total();
  EXPECT_LT(read_while_blocked, size_t{1} << 20);
  std::atomic<size_t> lines{0};
  std::thread cat([&lines, in = std::move(console_read)] {
    char buffer[65536];
    for (ssize_t count; (count = ::read(in.get(), buffer, sizeof(buffer))) > 0;) {
      lines += static_cast<size_t>(std::count(buffer, buffer + count, '\n'));
    }
  });
  ASSERT_TRUE(HasRead(kBytes));
  ASSERT_OK(Flush());
  rank.join();
  pump_.reset();
  console_write.reset();
  cat.join();

  EXPECT_EQ(lines, kBytes / 64);
}

TEST_F(OutputPumpTest, BlockedConsoleCostsCountedLinesAndNoTimeWhenThatIsAskedFor) {
  int console[2];
  ASSERT_EQ(::pipe2(console, O_CLOEXEC), 0);
  base::UniqueFd console_read(console[0]), console_write(console[1]);
  uint64_t dropped = 0;
  options_.stdout_fd = console_write.get();
  options_.queue_bytes_max = 100'000;
  options_.on_dropped = [&dropped](uint64_t lines) { dropped += lines; };
  Make();
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(0)));
  constexpr size_t kBytes = size_t{8} << 20;
  std::thread rank([out = std::move(fds.standard_output)] {
    const std::string line(63, 'x');
    for (size_t written = 0; written < kBytes; written += 64) WriteOrDie(out, line + "\n");
  });
  fds = {};

  ASSERT_TRUE(HasRead(kBytes));  // while nobody reads the console
  rank.join();
  bool in_files = false;
  pump_->FlushFiles([&in_files] { in_files = true; });
  ASSERT_TRUE(RunUntil([&] { return in_files; }));
  EXPECT_EQ(File("rank-0.stdout").size(), kBytes);
  EXPECT_EQ(dropped, 0U) << "told before there is room";

  std::string shown;
  std::thread cat([&shown, in = std::move(console_read)] {
    char buffer[65536];
    for (ssize_t count; (count = ::read(in.get(), buffer, sizeof(buffer))) > 0;) {
      shown.append(buffer, static_cast<size_t>(count));
    }
  });
  ASSERT_TRUE(RunUntil([&] { return dropped > 0; }));
  ASSERT_OK(Flush());
  dropped += pump_->TakeDroppedLines();
  pump_.reset();
  console_write.reset();
  cat.join();

  EXPECT_LT(shown.size(), size_t{1} << 20);
  EXPECT_EQ(static_cast<size_t>(std::count(shown.begin(), shown.end(), '\n')) + dropped,
            kBytes / 64);
  EXPECT_TRUE(shown.ends_with("xx\n"));
}

// Seen: a job whose last lines found the folder of its files gone ended without a word of it.
TEST_F(OutputPumpTest, WhatFlushingTheFilesMakesUsSayIsFlushedToo) {
  options_.on_trouble = [this](OutputPump::Sink, const base::Status&) {
    pump_->Print("no more files");
  };
  Make();
  RankOutputPlan plan = Plan(0);
  plan.standard_output.file_path = directory_ + "/nowhere/rank-0.stdout";
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(plan));
  WriteOrDie(fds.standard_output, "a\n");
  fds = {};
  pump_->ReadNow(Rank(0));
  std::optional<std::string> said;

  pump_->Flush(kTimeout, [&](const base::Status& status) {
    EXPECT_OK(status);
    said = ConsoleErr();
  });
  ASSERT_TRUE(RunUntil([&] { return said.has_value(); }));

  EXPECT_EQ(*said, "no more files\n");
}

/// One that has room as long as the test says.
class FakeConsole final : public ConsoleSink {
 public:
  bool HasRoom(bool) const override { return has_room; }
  void Take(bool is_stderr, std::string_view lines) override {
    (is_stderr ? err : out).append(lines);
  }
  void CountDropped(uint64_t lines) override { dropped += lines; }

  bool has_room = true;
  std::string out, err;
  uint64_t dropped = 0;
};

TEST_F(OutputPumpTest, ConsoleSinkTakesTheConsolesPlaceAndCountsWhatItHasNoRoomFor) {
  FakeConsole console;
  options_.console = &console;
  options_.stdout_fd = -1;
  options_.stderr_fd = -1;
  Make();
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(0)));
  WriteOrDie(fds.standard_output, "one\ntwo beg");
  WriteOrDie(fds.standard_error, "oh\n");
  ASSERT_TRUE(HasRead(14));
  EXPECT_EQ(console.out, "[0] one\n");
  EXPECT_EQ(console.err, "[0] oh\n");
  pump_->Print("ours");
  EXPECT_EQ(console.err, "[0] oh\nours\n");

  console.has_room = false;
  WriteOrDie(fds.standard_output, "ins\nthree\nfour beg");
  ASSERT_TRUE(HasRead(32));
  EXPECT_EQ(console.dropped, 2U);
  console.has_room = true;
  WriteOrDie(fds.standard_output, "ins\n");
  ASSERT_TRUE(HasRead(36));
  ASSERT_OK(Flush());

  EXPECT_EQ(console.out, "[0] one\n[0] four begins\n");
  EXPECT_EQ(console.dropped, 2U);
  EXPECT_EQ(File("rank-0.stdout"), "one\ntwo begins\nthree\nfour begins\n");
  pump_.reset();
}

TEST_F(OutputPumpTest, FullDiskStopsTheFilesOnceAndTheConsoleGoesOn) {
  std::vector<RankOutputFds> fds;
  for (int rank = 0; rank < 4; ++rank) {
    RankOutputPlan plan = Plan(rank);
    plan.standard_output.file_path = "/dev/full";
    ASSERT_OK_AND_ASSIGN(RankOutputFds rank_fds, pump_->Open(plan));
    fds.push_back(std::move(rank_fds));
  }
  for (const RankOutputFds& rank_fds : fds) WriteOrDie(rank_fds.standard_output, "before\n");
  ASSERT_TRUE(RunUntil([&] { return !troubles_.empty(); }));
  for (const RankOutputFds& rank_fds : fds) {
    WriteOrDie(rank_fds.standard_output, "after\n");
    WriteOrDie(rank_fds.standard_error, "to no file\n");
  }
  fds.clear();
  for (int rank = 0; rank < 4; ++rank) pump_->ReadNow(Rank(rank));
  ASSERT_OK(Flush());

  ASSERT_EQ(troubles_.size(), 1u);
  EXPECT_EQ(troubles_[0].first, OutputPump::Sink::kFiles);
  EXPECT_THAT(troubles_[0].second, StatusIs(Code::kResourceExhausted, HasSubstr("/dev/full")));
  const std::string console = ConsoleOut();
  EXPECT_EQ(std::count(console.begin(), console.end(), '\n'), 8);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/rank-0.stderr"));
}

TEST_F(OutputPumpTest, FilesAreRotated) {
  options_.files = {.file_bytes_max = 10, .old_files_max = 2};
  Make();
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(0)));

  WriteOrDie(fds.standard_output, "first\nsecond\nthird\nfourth\n");
  WriteOrDie(fds.standard_error, "short\n");
  fds = {};
  pump_->ReadNow(Rank(0));
  ASSERT_OK(Flush());

  EXPECT_EQ(File("rank-0.stdout.2"), "second\n");
  EXPECT_EQ(File("rank-0.stdout.1"), "third\n");
  EXPECT_EQ(File("rank-0.stdout"), "fourth\n");
  EXPECT_EQ(File("rank-0.stderr"), "short\n");
  EXPECT_EQ(ConsoleOut(), "[0] first\n[0] second\n[0] third\n[0] fourth\n");
}

TEST_F(OutputPumpTest, BeyondTheCapTheConsoleAloneHasIt) {
  options_.files = {.total_bytes_max = 10};
  std::vector<FileNotice> notices;
  options_.on_file_notice = [&notices](const FileNotice& notice) { notices.push_back(notice); };
  Make();
  ASSERT_OK_AND_ASSIGN(RankOutputFds zero, pump_->Open(Plan(0)));
  ASSERT_OK_AND_ASSIGN(RankOutputFds one, pump_->Open(Plan(1)));

  WriteOrDie(zero.standard_output, "kept\n");
  pump_->ReadNow(Rank(0));
  WriteOrDie(one.standard_error, "kept too, not\n");
  zero = {};
  one = {};
  pump_->ReadNow(Rank(0));
  pump_->ReadNow(Rank(1));
  ASSERT_OK(Flush());

  EXPECT_EQ(File("rank-0.stdout"), "kept\n");
  EXPECT_EQ(ConsoleOut() + ConsoleErr(), "[0] kept\n[1] kept too, not\n");
  EXPECT_EQ(pump_->unwritten_bytes(), 14u);
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_EQ(notices[0].kind, FileNotice::Kind::kFull);
  EXPECT_EQ(notices[0].path, directory_);
  EXPECT_THAT(troubles_, IsEmpty());
}

TEST_F(OutputPumpTest, FilesThatCannotBeRotatedAreToldOnce) {
  options_.files = {.file_bytes_max = 4, .old_files_max = 1};
  int notices = 0;
  options_.on_file_notice = [&notices](const FileNotice& notice) {
    notices += notice.kind == FileNotice::Kind::kNotRotated;
  };
  Make();
  for (int rank = 0; rank < 2; ++rank) {
    std::filesystem::create_directory(Plan(rank).standard_output.file_path + ".1");
    ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(rank)));
    WriteOrDie(fds.standard_output, "one\ntwo\nthree\n");
    fds = {};
    pump_->ReadNow(Rank(rank));
  }
  ASSERT_OK(Flush());

  EXPECT_EQ(notices, 1);
  for (const char* name : {"rank-0.stdout", "rank-1.stdout"}) {
    EXPECT_EQ(File(name), "one\ntwo\nthree\n");
  }
}

TEST_F(OutputPumpTest, ConsoleThatIsGoneIsToldOnceAndFilesGoOn) {
  int console[2];
  ASSERT_EQ(::pipe2(console, O_CLOEXEC), 0);
  base::UniqueFd console_write(console[1]);
  ::close(console[0]);
  options_.stdout_fd = console_write.get();
  Make();
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(0)));

  WriteOrDie(fds.standard_output, "one\n");
  ASSERT_TRUE(RunUntil([&] { return !troubles_.empty(); }));
  WriteOrDie(fds.standard_output, "two\n");
  WriteOrDie(fds.standard_error, "still heard\n");
  fds = {};
  pump_->ReadNow(Rank(0));
  ASSERT_OK(Flush());

  ASSERT_EQ(troubles_.size(), 1u);
  EXPECT_EQ(troubles_[0].first, OutputPump::Sink::kConsole);
  EXPECT_EQ(File("rank-0.stdout"), "one\ntwo\n");
  EXPECT_EQ(ConsoleErr(), "[0] still heard\n");
}

TEST_F(OutputPumpTest, ProgressBarIsShownWhileItRuns) {
  options_.progress_interval = std::chrono::milliseconds(10);
  Make();
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(2)));

  WriteOrDie(fds.standard_output, "\r 1%\r 2%\r");
  ASSERT_TRUE(RunUntil([&] { return ConsoleOut() == "[2]  1%\n"; })) << ConsoleOut();
  WriteOrDie(fds.standard_output, " 3%\r 4%\n");
  fds = {};
  pump_->ReadNow(Rank(2));
  ASSERT_OK(Flush());

  EXPECT_EQ(ConsoleOut(), "[2]  1%\n[2]  4%\n");
  EXPECT_EQ(File("rank-2.stdout"), "\r 1%\r 2%\r 3%\r 4%\n");
}

TEST_F(OutputPumpTest, LineBufferedRankWritesToATerminalThatChangesNothing) {
  RankOutputPlan plan = Plan(0);
  plan.line_buffered = true;
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(plan));

  EXPECT_TRUE(::isatty(fds.standard_output.get()));
  EXPECT_FALSE(::isatty(fds.standard_error.get()));
  WriteOrDie(fds.standard_output, "a\tline\nand the end");
  fds = {};
  pump_->ReadNow(Rank(0));
  ASSERT_OK(Flush());

  EXPECT_EQ(File("rank-0.stdout"), "a\tline\nand the end");
  EXPECT_EQ(ConsoleOut(), "[0] a\tline\n[0] and the end\n");
}

TEST_F(OutputPumpTest, LastStderrLinesAreTheNewestOfALimitedMemory) {
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(0, OutputTarget::kNone)));
  std::thread rank([err = std::move(fds.standard_error)] {
    for (int i = 0; i < 100'000; ++i) WriteOrDie(err, "line " + std::to_string(i) + "\n");
    WriteOrDie(err, "Traceback\n\nValueError: bad shape");
  });
  fds = {};
  ASSERT_TRUE(RunUntil([&] {
    return pump_->LastStderrLines(Rank(0), 1) == std::vector<std::string>{"ValueError: bad shape"};
  }));
  rank.join();

  EXPECT_THAT(pump_->LastStderrLines(Rank(0), 4),
              ElementsAre("line 99999", "Traceback", "", "ValueError: bad shape"));
  size_t bytes = 0;
  for (const std::string& line : pump_->LastStderrLines(Rank(0), 1'000'000))
    bytes += line.size() + 1;
  EXPECT_LE(bytes, (size_t{64} << 10) + 1);
  EXPECT_GT(bytes, size_t{63} << 10);
  EXPECT_THAT(pump_->LastStderrLines(Rank(7), 4), IsEmpty());
}

TEST_F(OutputPumpTest, PrefixesAreColoredWhenAsked) {
  options_.color_stdout = true;
  Make();
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(0)));

  WriteOrDie(fds.standard_output, "x\n");
  WriteOrDie(fds.standard_error, "y\n");
  fds = {};
  pump_->ReadNow(Rank(0));
  ASSERT_OK(Flush());

  EXPECT_EQ(ConsoleOut(), "\033[36m[0] \033[0mx\n");
  EXPECT_EQ(ConsoleErr(), "[0] y\n");
}

TEST_F(OutputPumpTest, OwnLinesStandBetweenTheRanks) {
  pump_->Print("lockstep: rank 2 failed");
  pump_->Print("lockstep: done\n");
  ASSERT_OK(Flush());

  EXPECT_EQ(ConsoleErr(), "lockstep: rank 2 failed\nlockstep: done\n");
}

TEST_F(OutputPumpTest, FlagsOfTheSharedConsoleStayAsTheyWere) {
  const int before = ::fcntl(console_out_.get(), F_GETFL);
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(0)));
  WriteOrDie(fds.standard_output, "x\n");
  fds = {};
  pump_->ReadNow(Rank(0));
  ASSERT_OK(Flush());

  EXPECT_EQ(::fcntl(console_out_.get(), F_GETFL), before);
}

TEST_F(OutputPumpTest, PrefixOverTheLimitIsRefused) {
  RankOutputPlan plan = Plan(0);
  plan.prefix = std::string(128, 'p');
  EXPECT_OK(pump_->Open(plan));
  plan.prefix = std::string(129, 'p');
  EXPECT_THAT(pump_->Open(plan), StatusIs(Code::kInvalidArgument, HasSubstr("128")));
}

TEST_F(OutputPumpTest, NothingIsCalledAfterDestruction) {
  ASSERT_OK_AND_ASSIGN(RankOutputFds fds, pump_->Open(Plan(0)));
  WriteOrDie(fds.standard_output, "x\n");
  pump_->Flush(base::Duration(0),
               [](const base::Status&) { ADD_FAILURE() << "called after destruction"; });
  fds = {};

  pump_.reset();

  event::testing::RunUntil(*loop_, [] { return false; }, std::chrono::milliseconds(5));
}

}  // namespace
}  // namespace lockstep::process
