// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Collectives of ranks of one machine: `lockstep bench` measures ours, between buffers of
// AllocBuffer and of malloc, those of Open MPI and MPICH, each with the best of its knobs, and the
// floor, what any implementation must at least do, in one run. No ratio is told where other
// programs used the processors.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/against_floor.h"
#include "tests/bench/bench_run.h"
#include "tests/bench/contest.h"
#include "tests/bench/launchers.h"
#include "tests/e2e/command.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;

constexpr const char* kMapped = "host";
constexpr const char* kPlain = "host plain";
constexpr const char* kFloor = "floor";
constexpr const char* kPeersAndFloor = "openmpi,mpich,floor";
constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = kKiB * 1024;

/// Of how many times a peer took our time, over the sizes of a range.
class Ratios {
 public:
  void Add(double ratio) { ratios_.push_back(ratio); }
  /// 0 where none is known, as the mean.
  double least() const {
    return ratios_.empty() ? 0 : *std::min_element(ratios_.begin(), ratios_.end());
  }
  /// Geometric; by halving, since exp and log of libm.a cannot be linked beside a shared libc.
  double mean() const {
    if (ratios_.empty()) return 0;
    double low = least(), high = *std::max_element(ratios_.begin(), ratios_.end());
    for (int step = 0; step < 60; ++step) {
      const double middle = (low + high) / 2;
      double product = 1;
      for (const double ratio : ratios_) product *= ratio / middle;
      (product > 1 ? low : high) = middle;
    }
    return low;
  }

 private:
  std::vector<double> ratios_;
};

class Bench {
 public:
  Bench(const Setting& setting, Report& report) : setting_(setting), report_(report) {}

  void AllReduce();
  void OtherOps();
  void FourRanks();
  void Finish() {
    report_.FirmBar("collectives within a machine are measured, and every element is right",
                    ok_ && wrong_ == 0);
  }

 private:
  /// Against `peers`, and the floor of two ranks; in a quick run against that alone.
  BenchRun Run(const Words& words, const std::string& peers);
  void Print(const BenchRun& run, const std::string& title) const;
  /// In the geometric mean, and at least.
  void JudgeRange(const BenchRun& run, const char* ours, uint64_t from, uint64_t to, double mean,
                  double least);

  const Setting& setting_;
  Report& report_;
  bool ok_ = true;
  double wrong_ = 0;
};

BenchRun Bench::Run(const Words& more, const std::string& peers) {
  const std::string path = setting_.folder() + "/bench.json";
  Words words = {setting_.lockstep(), "bench", "-J", path, "-T", "10m"};
  // After the turns of a dozen others the caches have forgotten each of them.
  const Words turns = setting_.quick() ? Words{"--rounds", "5", "-w", "0", "-n", "2"}
                                       : Words{"--warmup-bytes", "16M"};
  words.insert(words.end(), turns.begin(), turns.end());
  words.insert(words.end(), {"--compare", setting_.quick() ? kFloor : peers});
  words.insert(words.end(), more.begin(), more.end());
  const e2e::Scratch scratch;
  const BenchRun run = ReadBenchRun(e2e::RunToEnd(words, scratch, 20min), path);
  ok_ = ok_ && run.ok && !run.rows.empty();
  wrong_ += run.wrong;
  return run;
}

void Bench::Print(const BenchRun& run, const std::string& title) const {
  std::printf(
      "\n%s\n\n"
      "| bytes | AllocBuffer, us | malloc, us | best MPI, us | times AllocBuffer | times malloc |"
      " floor AllocBuffer, us | floor malloc, us |\n"
      "|---|---|---|---|---|---|---|---|\n",
      title.c_str());
  for (const BenchRow& row : run.rows) {
    std::printf("| %llu |", static_cast<unsigned long long>(row.bytes));
    for (const char* const name : {kMapped, kPlain}) {
      const auto ours = row.ours.find(name);
      std::printf(" %s |",
                  ours == row.ours.end() ? "-" : FormatFigure(ours->second.time_us).c_str());
    }
    std::string times;
    BenchRow::Peer best;
    for (const char* const name : {kMapped, kPlain}) {
      const auto ours = row.ours.find(name);
      const BenchRow::Peer peer =
          ours == row.ours.end() ? BenchRow::Peer() : BestLibrary(ours->second);
      if (peer.best.empty()) {
        times += " - |";
        continue;
      }
      best = peer;
      times += " " + FormatFigure(peer.ratio) + " [" + FormatFigure(peer.low) + ", " +
               FormatFigure(peer.high) + "] |";
    }
    const std::string peer =
        best.best.empty() ? "-" : FormatFigure(best.time_us) + " (" + best.best + ")";
    std::printf(" %s |%s %s | %s |\n", peer.c_str(), times.c_str(), FloorCell(row, kMapped).c_str(),
                FloorCell(row, kPlain).c_str());
  }
  std::printf("\n");
  for (const BenchRow& row : run.rows) {
    for (const char* const name : {kMapped, kPlain}) {
      const std::string text = BelowFloorText(row, name);
      if (!text.empty()) std::printf("- %s\n", text.c_str());
    }
  }
  std::fflush(stdout);
}

void Bench::JudgeRange(const BenchRun& run, const char* ours, uint64_t from, uint64_t to,
                       double mean, double least) {
  Ratios ratios;
  Ratios above_floor, library_above_floor;
  std::string places;  // of sizes that miss the least
  bool disturbed = false;
  for (const BenchRow& row : run.rows) {
    if (row.bytes < from || row.bytes > to) continue;
    const BenchRow::Peer peer = BestLibrary(row.ours.at(ours));
    if (!peer.best.empty()) ratios.Add(peer.ratio);
    disturbed = disturbed || !row.judged;
    const std::optional<FloorPlace> place = PlaceAboveFloor(row, ours);
    if (!place) continue;
    above_floor.Add(place->ours);
    library_above_floor.Add(place->peer);
    if (peer.ratio < least) {
      places += (places.empty() ? "" : "; ") + std::to_string(row.bytes) +
                " bytes: " + FloorText(*place, least);
    }
  }
  const FloorPlace means{.ours = above_floor.mean(), .peer = library_above_floor.mean()};
  const std::string what =
      std::string("all_reduce within a machine, ") + (ours == kMapped ? "AllocBuffer" : "malloc") +
      ", " + std::to_string(from) + " to " + std::to_string(to) + " bytes, the better MPI's time: ";
  if (mean > 0) {
    report_.BarUnlessDisturbed({.what = what + "geometric mean",
                                .figure = FormatFigure(ratios.mean()),
                                .limit = ">= " + FormatFigure(mean) + " times ours",
                                .holds = ratios.mean() >= mean,
                                .when_missed = means.ours > 0 ? FloorText(means, mean) : ""},
                               disturbed);
  }
  report_.BarUnlessDisturbed({.what = what + "least",
                              .figure = FormatFigure(ratios.least()),
                              .limit = ">= " + FormatFigure(least) + " times ours",
                              .holds = ratios.least() >= least,
                              .when_missed = places},
                             disturbed);
}

void Bench::AllReduce() {
  const Words both = {"-np", "2", "--buffers", "both"};
  const auto with = [&both](Words more) {
    more.insert(more.begin(), both.begin(), both.end());
    return more;
  };
  if (setting_.quick()) {
    Print(Run(with({"-b", "4", "-e", "1M", "-f", "64"}), kFloor), "all_reduce f32, 2 ranks");
    return;
  }
  const BenchRun tiny = Run(with({"-b", "4", "-e", "8", "-f", "2", "-n", "20000"}), kPeersAndFloor);
  Words large = with({"-b", "4K", "-e", "64M", "-f", "2"});
  const Words picture = setting_.Picture("all_reduce_machine");
  large.insert(large.end(), picture.begin(), picture.end());
  const BenchRun run = Run(large, kPeersAndFloor);
  BenchRun all = run;
  all.rows.insert(all.rows.begin(), tiny.rows.begin(), tiny.rows.end());
  Print(all, "all_reduce f32, 2 ranks, out of place; the best knobs of Open MPI and MPICH");
  JudgeRange(tiny, kPlain, 4, 8, 0, 1 / 1.1);
  JudgeRange(run, kMapped, 4 * kKiB, 16 * kMiB, 3.3, 2.6);
  JudgeRange(run, kMapped, 64 * kMiB, 64 * kMiB, 0, 4);
  JudgeRange(run, kPlain, 4 * kKiB, 16 * kMiB, 1.5, 1.25);
  JudgeRange(run, kPlain, 4 * kMiB, 64 * kMiB, 0, 1.7);
}

void Bench::OtherOps() {
  for (const char* const op : {"reduce_scatter", "all_gather", "broadcast", "all_to_all"}) {
    Words words = {"-np", "2", "-o", op, "-b", "64K", "-e", "16M", "-f", "4"};
    if (setting_.quick()) words = {"-np", "2", "-o", op, "-b", "64K", "-e", "64K"};
    const BenchRun run = Run(words, kPeersAndFloor);
    Print(run, std::string(op) + " f32, 2 ranks, out of place");
    if (setting_.quick()) continue;
    for (const BenchRow& row : run.rows) {
      const double ratio = BestLibrary(row.ours.at(kMapped)).ratio;
      const std::optional<FloorPlace> place = PlaceAboveFloor(row, kMapped);
      report_.BarUnlessDisturbed(
          {.what = std::string(op) + " within a machine, AllocBuffer, " +
                   std::to_string(row.bytes) + " bytes, the better MPI's time",
           .figure = FormatFigure(ratio),
           .limit = ">= 2 times ours",
           .holds = ratio >= 2,
           .when_missed = place ? FloorText(*place, 2) : ""},
          !row.judged);
    }
  }
}

void Bench::FourRanks() {
  if (setting_.quick()) return;
  for (const char* const size : {"4", "64K", "1M"}) {
    const BenchRun run =
        Run({"-np", "4", "--buffers", "both", "-b", size, "-e", size, "-n", "200"}, "openmpi");
    Print(run, std::string("all_reduce f32, 4 ranks, ") + size + " bytes, out of place");
    for (const BenchRow& row : run.rows) {
      for (const auto& [name, ours] : row.ours) {
        const std::string what = "all_reduce of 4 ranks within a machine, " + name + ", " +
                                 std::to_string(row.bytes) + " bytes, ";
        const double ratio = BestLibrary(ours).ratio;
        report_.BarUnlessDisturbed({.what = what + "Open MPI's time",
                                    .figure = FormatFigure(ratio),
                                    .limit = ">= 1 times ours",
                                    .holds = ratio >= 1},
                                   !row.judged);
        const double above_us = ours.p99_us - ours.p50_us;
        report_.BarUnlessDisturbed(
            {.what = what + "no stalls: the 99th percentile less the median,",
             .figure = FormatFigure(above_us) + " us",
             .limit = "< 1000 us",
             .holds = above_us < 1000},
            !row.judged);
      }
    }
  }
}

int Main(int argc, char** argv) {
  const Setting setting(argc, argv);
  Report report(setting.quick());
  report.PrintMachine();
  Bench bench(setting, report);
  bench.AllReduce();
  bench.OtherOps();
  bench.FourRanks();
  bench.Finish();
  report.PrintCoreDistance();
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
