// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/process/file_limits.h"
#include "runtime/process/output_pump.h"
#include "runtime/process/rotated_name.h"

/// The output pump as an agent runs it: this process, with all its threads, pinned to one core; 8
/// ranks are processes that write 80-byte lines in blocks of 4 KiB (stdio's habit on a pipe);
/// standard output is a pipe that a process empties and counts, and the counted lines must be all
/// that were written, each of the right length. Ranks and reader run on the other cores, if there
/// are any. Bytes are those that the ranks wrote.
namespace lockstep::process {
namespace {

constexpr int kRanks = 8;
constexpr size_t kLineBytes = 80;
constexpr size_t kBlockBytes = 4096;
constexpr size_t kLinesPerRank = 256 * 1024;  // 20 MiB a rank
constexpr size_t kPrefixBytes = 4;

void Require(bool condition, const char* what) {
  if (condition) return;
  std::perror(what);
  ::abort();
}

/// Pins the caller to the first of its cores, or to all but that.
class Cores {
 public:
  Cores() { Require(::sched_getaffinity(0, sizeof(all_), &all_) == 0, "sched_getaffinity"); }
  ~Cores() { ::sched_setaffinity(0, sizeof(all_), &all_); }

  void TakeFirst() {
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(First(), &first);
    Require(::sched_setaffinity(0, sizeof(first), &first) == 0, "sched_setaffinity");
  }
  void TakeOthers() {
    cpu_set_t others = all_;
    if (CPU_COUNT(&others) > 1) CPU_CLR(First(), &others);
    Require(::sched_setaffinity(0, sizeof(others), &others) == 0, "sched_setaffinity");
  }

 private:
  int First() const {
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all_)) ++cpu;
    return cpu;
  }

  cpu_set_t all_;
};

void WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    Require(count > 0, "write");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

template <class Body>
pid_t StartProcess(Cores& cores, const Body& body) {
  const pid_t child = ::fork();
  Require(child >= 0, "fork");
  if (child > 0) return child;
  cores.TakeOthers();
  body();
  ::_exit(0);
}

void RunRank(int fd) {
  std::string block_source;
  for (size_t line = 0; line < kBlockBytes; ++line)
    block_source.append(kLineBytes - 1, 'x').append("\n");
  for (size_t left = kLinesPerRank * kLineBytes, at = 0; left > 0;) {
    const size_t size = std::min(kBlockBytes, left);
    WriteAll(fd, std::string_view(block_source).substr(at, size));
    at = (at + size) % block_source.size();
    left -= size;
  }
}

/// Reads to the end and checks every line's length by where its newline stands.
uint64_t CountLines(int fd) {
  std::vector<char> buffer(size_t{256} << 10);
  uint64_t lines = 0, position = 0, next_newline = kLineBytes + kPrefixBytes - 1;
  for (ssize_t count; (count = ::read(fd, buffer.data(), buffer.size())) > 0;) {
    const uint64_t end = position + static_cast<uint64_t>(count);
    for (; next_newline < end; next_newline += kLineBytes + kPrefixBytes, ++lines) {
      Require(buffer[next_newline - position] == '\n', "torn line");
    }
    position = end;
  }
  return lines;
}

void PumpOnce(OutputTarget target, FileLimits limits, const std::string& directory, Cores& cores) {
  int console[2], result[2];
  Require(::pipe2(console, O_CLOEXEC) == 0 && ::pipe2(result, O_CLOEXEC) == 0, "pipe2");
  base::UniqueFd console_write(console[1]);
  std::vector<pid_t> children;
  children.push_back(StartProcess(cores, [&] {
    ::close(console[1]);
    const uint64_t lines = CountLines(console[0]);
    WriteAll(result[1], std::string_view(reinterpret_cast<const char*>(&lines), sizeof(lines)));
  }));
  ::close(console[0]);

  base::RealClock clock;
  auto loop = std::move(event::EpollLoop::Create(clock)).value();
  auto pump =
      std::move(OutputPump::Create({.rank_count = kRanks, .stdout_fd = console[1], .files = limits},
                                   *loop))
          .value();
  for (int rank = 0; rank < kRanks; ++rank) {
    auto fds =
        std::move(pump->Open({.rank = base::Rank(rank),
                              .prefix = "[" + std::to_string(rank) + "] ",
                              .standard_output = {target, directory + "/" + std::to_string(rank)}}))
            .value();
    children.push_back(StartProcess(cores, [&] { RunRank(fds.standard_output.get()); }));
  }
  constexpr uint64_t kBytes = uint64_t{kRanks} * kLinesPerRank * kLineBytes;
  Require(event::testing::RunUntil(
              *loop, [&] { return pump->bytes_read_total() == kBytes; }, std::chrono::seconds(300)),
          "reading");
  pump->Flush(std::chrono::seconds(300), [&](const base::Status& status) {
    Require(status.ok(), "Flush");
    loop->Quit();
  });
  loop->Run();
  pump.reset();
  console_write.reset();
  uint64_t lines = 0;
  Require(::read(result[0], &lines, sizeof(lines)) == sizeof(lines), "read");
  Require(lines == kRanks * kLinesPerRank, "lines were lost");
  for (const pid_t child : children) Require(::waitpid(child, nullptr, 0) == child, "waitpid");
  ::close(result[0]);
  ::close(result[1]);
}

/// Checks that the files of a rank hold all that it wrote, and removes them.
void RemoveFiles(OutputTarget target, FileLimits limits, const std::string& path) {
  uint64_t bytes = 0;
  for (int number = 0; number <= limits.old_files_max; ++number) {
    const std::string name = RotatedName(path, number);
    std::error_code none;
    if (std::filesystem::exists(name, none)) bytes += std::filesystem::file_size(name);
    ::unlink(name.c_str());
  }
  Require(target == OutputTarget::kConsole || bytes == kLinesPerRank * kLineBytes,
          "a file is short");
}

void BM_OutputPump_EightRanks(benchmark::State& state, OutputTarget target, FileLimits limits) {
  const char* root = ::getenv("TEST_TMPDIR");
  std::string directory = std::string(root != nullptr ? root : "/tmp") + "/output_pump_XXXXXX";
  Require(::mkdtemp(directory.data()) != nullptr, "mkdtemp");
  Cores cores;
  cores.TakeFirst();
  for ([[maybe_unused]] auto iteration : state) {
    PumpOnce(target, limits, directory, cores);
    state.PauseTiming();
    for (int rank = 0; rank < kRanks; ++rank) {
      RemoveFiles(target, limits, directory + "/" + std::to_string(rank));
    }
    state.ResumeTiming();
  }
  ::rmdir(directory.c_str());
  state.SetBytesProcessed(
      static_cast<int64_t>(state.iterations() * kRanks * kLinesPerRank * kLineBytes));
}
BENCHMARK_CAPTURE(BM_OutputPump_EightRanks, ConsoleAndFiles, OutputTarget::kBoth, FileLimits())
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);
// 20 rotations a rank.
BENCHMARK_CAPTURE(BM_OutputPump_EightRanks, ConsoleAndRotatedFiles, OutputTarget::kBoth,
                  FileLimits{
                      .file_bytes_max = 1 << 20, .old_files_max = 30, .total_bytes_max = 1 << 30})
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_OutputPump_EightRanks, ConsoleOnly, OutputTarget::kConsole, FileLimits())
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lockstep::process

BENCHMARK_MAIN();
