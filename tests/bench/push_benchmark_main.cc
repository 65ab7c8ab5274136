// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// push_benchmark [--quick]: whether it is faster to write into the other rank's output (push) than
// to fetch from its input (pull), or the cost only moves to who reads the output. What is pushed
// lies in the writer's cache until then, and what is pulled in the reader's; a benchmark of ops
// alone shows the one and not the other. So the ranks of the floor (floor_ops.h), two processes,
// read their whole outputs once after each op, and what they read is checked. Besides, the owner of
// an input writes all of it anew before each op, as programs do: else what was pulled once stays in
// both caches. The ways take turns, each between buffers of its own.
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "collectives/host/shm/segment.h"
#include "launcher/bench/bench_wire.h"
#include "launcher/bench/ranks/floor_ops.h"
#include "launcher/bench/ranks/floor_pair.h"
#include "runtime/base/check.h"
#include "runtime/base/unique_fd.h"
#include "runtime/process/fork_child.h"
#include "tests/bench/contest.h"

namespace lockstep::bench {
namespace {

using launcher::FloorMove;
using launcher::FloorOps;
using launcher::FloorPair;
using launcher::FloorWay;

constexpr int kRanks = FloorPair::kRanks;
constexpr size_t kLeastBytes = size_t{16} << 10;
constexpr size_t kMostBytes = size_t{4} << 20;       // beyond it other programs are in every turn
constexpr size_t kPastCachesFrom = size_t{4} << 20;  // below it that is never the best
constexpr size_t kBytesATurn = size_t{24} << 20;
constexpr size_t kQuickBytesATurn = size_t{1} << 20;
constexpr int kWarmups = 4;
// Waits between the ranks have no end of their own.
constexpr unsigned kLimitSeconds = 600;

// Of those that an op has, the others are compared with the first, by which each rank writes its
// own output alone.
constexpr const char* kWays[] = {"pull",   "whole",
                                 "slices", "pull-past-caches",
                                 "push",   "push-past-caches",
                                 "halves", "halves-past-caches"};
constexpr size_t kWayCount = std::size(kWays);

struct Op {
  lockstep_bench_op op;
  const char* name;
  size_t parts;  // of its output
};
constexpr Op kOps[] = {{LOCKSTEP_BENCH_ALL_GATHER, "all_gather", kRanks},
                       {LOCKSTEP_BENCH_ALL_TO_ALL, "all_to_all", kRanks},
                       {LOCKSTEP_BENCH_BROADCAST, "broadcast", 1},
                       {LOCKSTEP_BENCH_ALL_REDUCE, "all_reduce", 1}};

/// What the ranks do around an op.
struct Program {
  bool writes;  // the input, before
  bool reads;   // the output, after
};
constexpr Program kPrograms[] = {{false, false}, {true, false}, {false, true}, {true, true}};

/// Nanoseconds of one time around, on the rank that took longer.
struct Times {
  uint64_t op;
  uint64_t until_read;
  uint64_t whole;  // from before the input is written
};

/// What is told: a program, and from where to where it is timed.
struct Measure {
  const char* name;
  size_t program;
  uint64_t Times::* time;
};
constexpr Measure kMeasures[] = {{"op", 0, &Times::op},
                                 {"(write) op", 1, &Times::op},
                                 {"(write) op (read)", 3, &Times::op},
                                 {"op, read", 2, &Times::until_read},
                                 {"(write) op, read", 3, &Times::until_read},
                                 {"write, op, read", 3, &Times::whole}};
constexpr size_t kMeasureCount = std::size(kMeasures);

/// Memory of one FloorPair, which the other process inherits: both ask for the same segments in
/// the same order. Each process has its copy.
class InheritedSegments final : public collectives::SegmentSource {
 public:
  InheritedSegments() {
    for (base::UniqueFd& fd : fds_) {
      fd = base::UniqueFd(::memfd_create("push_benchmark", MFD_CLOEXEC));
      LOCKSTEP_CHECK(fd.get() >= 0, "memfd_create");
    }
  }
  base::Result<std::shared_ptr<collectives::Segment>> Open(
      const collectives::SegmentRequest& request, base::Duration) override {
    LOCKSTEP_CHECK(opened_ < fds_.size(), "a pair has its own memory and that of Share()");
    const base::UniqueFd& fd = fds_[opened_++];
    LOCKSTEP_CHECK(::ftruncate(fd.get(), static_cast<off_t>(request.bytes)) == 0, "memory");
    return collectives::Segment::Map(fd, request.bytes);
  }

 private:
  std::array<base::UniqueFd, 2> fds_;
  size_t opened_ = 0;
};
using Memory = std::array<InheritedSegments, kWayCount + 1>;  // the last is that of the barrier

uint64_t Now() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

/// Both are vectorised (-O3).
void Write(uint64_t* to, size_t words, uint64_t value) {
  for (size_t i = 0; i < words; ++i) to[i] = value;
}
uint64_t Sum(const uint64_t* from, size_t words) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i < words; i += 8) {
    for (size_t j = 0; j < 8; ++j) sums[j] += from[i + j];
  }
  uint64_t sum = 0;
  for (const uint64_t one : sums) sum += one;
  return sum;
}

/// For the rest of the process, on huge pages where the kernel gives them, as Share()'s.
uint64_t* PrivateMemory(size_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  LOCKSTEP_CHECK(memory != MAP_FAILED, "memory");
  (void)::madvise(memory, bytes, MADV_HUGEPAGE);
  return static_cast<uint64_t*>(memory);
}

/// One of the two processes. Both call the same, in the same order.
class Rank {
 public:
  Rank(Memory& memory, int rank, bool quick)
      : rank_(rank), bytes_a_turn_(quick ? kQuickBytesATurn : kBytesATurn) {
    barrier_ = FloorPair::Create(memory.back(), rank).value();
    for (size_t i = 0; i < kWayCount; ++i) {
      Way& way = ways_[i];
      way.pair = FloorPair::Create(memory[i], rank).value();
      way.floor = *launcher::FindFloorWay(kWays[i]);
      way.floor.leaves_to_reader = true;
      way.in = IsStaged(way.floor) ? PrivateMemory(2 * kMostBytes) : Shared(*way.pair);
      way.out = way.in + kMostBytes / sizeof(uint64_t);
      way.ops = std::make_unique<FloorOps>(*way.pair, way.floor);
    }
  }

  bool Has(const Op& op, size_t bytes, size_t way) const {
    const FloorWay& one = ways_[way].floor;
    if (one.past_caches && bytes < kPastCachesFrom) return false;
    if (IsStaged(one)) return op.op == LOCKSTEP_BENCH_ALL_REDUCE;
    if (op.op == LOCKSTEP_BENCH_ALL_REDUCE) return one.move == FloorMove::kHalves;
    return one.move != FloorMove::kHalves || op.op == LOCKSTEP_BENCH_BROADCAST;
  }

  /// Times around, one after the other, after some that warm up.
  std::vector<Times> Turn(const Op& op, size_t bytes, size_t way_index, const Program& program) {
    Way& way = ways_[way_index];
    const size_t words = bytes / sizeof(uint64_t);
    const bool has_root = op.op == LOCKSTEP_BENCH_BROADCAST;
    uint64_t* const in = has_root ? way.out : way.in;
    const bool gives = !has_root || rank_ == 0;
    const size_t in_words = op.op == LOCKSTEP_BENCH_ALL_GATHER ? words / op.parts : words;
    lockstep_bench_call call{};
    call.op = op.op;
    call.dtype = LOCKSTEP_BENCH_U64;
    if (op.op == LOCKSTEP_BENCH_ALL_REDUCE) call.reduction = LOCKSTEP_BENCH_SUM;
    call.count = words / op.parts;
    call.in = in;
    call.out = way.out;

    // Nothing of the turn before is right by chance.
    Write(way.out, words, 0);
    uint64_t value = ++turns_ << 20;
    if (gives) Write(in, in_words, value + static_cast<uint64_t>(rank_));
    // Rank 1 gives `value` + 1.
    const auto is_right = [&](uint64_t sum) {
      if (op.op == LOCKSTEP_BENCH_ALL_REDUCE) return sum == words * (2 * value + 1);
      return sum == words * value + (has_root ? 0 : words / 2);
    };

    const int times = static_cast<int>(std::clamp<size_t>(bytes_a_turn_ / bytes, 8, 200));
    std::vector<Times> all;
    Times mine{};
    for (int time = -kWarmups; time <= times; ++time) {
      const Times slower = Meet(mine);
      if (time > 0) all.push_back(slower);
      if (time == times) break;
      const uint64_t begun = Now();
      uint64_t called = begun;
      if (program.writes) {
        value += 2;
        if (gives) Write(in, in_words, value + static_cast<uint64_t>(rank_));
        Meet({});
        called = Now();
      }
      char error[LOCKSTEP_BENCH_ERROR_BYTES];
      const int outcome = way.ops->Run(call, error);
      LOCKSTEP_CHECK(outcome == LOCKSTEP_BENCH_OK, "the way has the op");
      const uint64_t moved = Now();
      uint64_t read = moved;
      if (program.reads) {
        const uint64_t sum = Sum(way.out, words);
        read = Now();
        if (!is_right(sum)) ++wrong_;
      }
      mine = {.op = moved - called, .until_read = read - called, .whole = read - begun};
    }
    if (!is_right(Sum(way.out, words))) ++wrong_;
    return all;
  }

  /// Of both ranks.
  uint64_t CountWrong() {
    const Told mine{.times = {}, .wrong = wrong_};
    return wrong_ + Exchange(mine).wrong;
  }

 private:
  struct Way {
    std::unique_ptr<FloorPair> pair;
    std::unique_ptr<FloorOps> ops;
    FloorWay floor;
    uint64_t* in = nullptr;
    uint64_t* out = nullptr;
  };
  /// Between buffers that the other has not mapped.
  static bool IsStaged(const FloorWay& way) {
    return way.move == FloorMove::kWhole || way.move == FloorMove::kSlices;
  }
  uint64_t* Shared(FloorPair& pair) const {
    return reinterpret_cast<uint64_t*>(pair.Share(2 * kMostBytes).value());
  }

  struct Told {
    Times times;
    uint64_t wrong;
  };
  static_assert(sizeof(Told) <= FloorPair::kInlineBytes);

  Told Exchange(const Told& mine) {
    Told other;
    std::memcpy(&other, barrier_->Exchange(reinterpret_cast<const std::byte*>(&mine), sizeof mine),
                sizeof other);
    return other;
  }
  Times Meet(const Times& mine) {
    const Times other = Exchange({.times = mine, .wrong = 0}).times;
    return {.op = std::max(mine.op, other.op),
            .until_read = std::max(mine.until_read, other.until_read),
            .whole = std::max(mine.whole, other.whole)};
  }

  const int rank_;
  const size_t bytes_a_turn_;
  std::unique_ptr<FloorPair> barrier_;
  std::array<Way, kWayCount> ways_;
  uint64_t turns_ = 0;
  uint64_t wrong_ = 0;
};

double Median(std::vector<double> figures) {
  std::sort(figures.begin(), figures.end());
  return figures[figures.size() / 2];
}

double MedianMicroseconds(const std::vector<Times>& all, uint64_t Times::* time) {
  std::vector<double> figures;
  for (const Times& one : all) figures.push_back(static_cast<double>(one.*time) / 1e3);
  return Median(std::move(figures));
}

/// Of each round: the median of its turn, in microseconds.
using Rounds = std::array<std::vector<double>, kMeasureCount>;
using Key = std::tuple<size_t, size_t, size_t>;  // op, bytes, way

std::map<Key, Rounds> MeasureAll(Rank& rank, int rounds) {
  std::map<Key, Rounds> all;
  for (int round = 0; round < rounds; ++round) {
    for (size_t op = 0; op < std::size(kOps); ++op) {
      for (size_t bytes = kLeastBytes; bytes <= kMostBytes; bytes *= 4) {
        for (size_t program = 0; program < std::size(kPrograms); ++program) {
          for (size_t turn = 0; turn < kWayCount; ++turn) {
            const size_t way = (turn + static_cast<size_t>(round)) % kWayCount;
            if (!rank.Has(kOps[op], bytes, way)) continue;
            const auto times = rank.Turn(kOps[op], bytes, way, kPrograms[program]);
            for (size_t i = 0; i < kMeasureCount; ++i) {
              if (kMeasures[i].program != program) continue;
              all[{op, bytes, way}][i].push_back(MedianMicroseconds(times, kMeasures[i].time));
            }
          }
        }
      }
    }
  }
  return all;
}

void PrintTables(const std::map<Key, Rounds>& all) {
  std::printf(
      "\nmicroseconds: the least round's median, and the median one's\n\n| op | bytes | way |");
  for (const Measure& measure : kMeasures) std::printf(" %s |", measure.name);
  std::printf("\n|---|---|---|---|---|---|---|---|---|\n");
  for (const auto& [key, rounds] : all) {
    const auto& [op, bytes, way] = key;
    std::printf("| %s | %zu | %s |", kOps[op].name, bytes, kWays[way]);
    for (const std::vector<double>& figures : rounds) {
      std::printf(" %s, %s |",
                  FormatFigure(*std::min_element(figures.begin(), figures.end())).c_str(),
                  FormatFigure(Median(figures)).c_str());
    }
    std::printf("\n");
  }
  std::printf(
      "\nthe time of pull (all_reduce: whole) by that of the way: of the least rounds, and the "
      "median of all\n\n"
      "| op | bytes | way |");
  for (const Measure& measure : kMeasures) std::printf(" %s |", measure.name);
  std::printf("\n|---|---|---|---|---|---|---|---|---|\n");
  for (const auto& [key, rounds] : all) {
    const auto& [op, bytes, way] = key;
    const auto first = all.lower_bound({op, bytes, 0});
    if (first->first == key) continue;
    const Rounds& pull = first->second;
    std::printf("| %s | %zu | %s |", kOps[op].name, bytes, kWays[way]);
    for (size_t i = 0; i < kMeasureCount; ++i) {
      std::vector<double> ratios;
      for (size_t j = 0; j < rounds[i].size(); ++j) ratios.push_back(pull[i][j] / rounds[i][j]);
      const double least = *std::min_element(pull[i].begin(), pull[i].end()) /
                           *std::min_element(rounds[i].begin(), rounds[i].end());
      std::printf(" %s, %s |", FormatFigure(least).c_str(), FormatFigure(Median(ratios)).c_str());
    }
    std::printf("\n");
  }
  std::printf("\n");
}

/// The first two processors that this process may use; fewer where there are none.
std::vector<int> TwoProcessors() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE && cpus.size() < kRanks; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

void BindTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  LOCKSTEP_CHECK(sched_setaffinity(0, sizeof set, &set) == 0, "binding to a processor");
}

int Main(bool quick) {
  const std::vector<int> cpus = TwoProcessors();
  if (cpus.size() < kRanks) {
    std::fprintf(stderr, "push_benchmark: its two ranks need a processor each\n");
    return 77;
  }
  const int rounds = quick ? 1 : 21;
  Report report(quick);
  report.PrintMachine();
  report.PrintCoreDistance();
  std::fflush(nullptr);
  Memory memory;
  const auto other = process::ForkChild([&] {
    alarm(kLimitSeconds);
    BindTo(cpus[1]);
    Rank rank(memory, 1, quick);
    (void)MeasureAll(rank, rounds);
    (void)rank.CountWrong();
    return 0;
  });
  LOCKSTEP_CHECK(other.ok(), other.status().ToString().c_str());
  alarm(kLimitSeconds);
  BindTo(cpus[0]);
  Rank rank(memory, 0, quick);
  const std::map<Key, Rounds> all = MeasureAll(rank, rounds);
  const uint64_t wrong = rank.CountWrong();
  int status = -1;
  LOCKSTEP_CHECK(::waitpid(*other, &status, 0) == *other && status == 0, "rank 1 ends well");
  PrintTables(all);
  report.PrintCoreDistance();
  report.FirmBar("every rank reads what was sent to it", wrong == 0);
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  return lockstep::bench::Main(argc > 1 && std::strcmp(argv[argc - 1], "--quick") == 0);
}
