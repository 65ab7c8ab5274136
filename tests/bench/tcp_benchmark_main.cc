// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// all_reduce over TCP between two network namespaces on one veth: `lockstep bench` measures ours,
// Open MPI and Gloo in one run, and iperf3 says before and after each what the veth carries both
// ways.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/bench_run.h"
#include "tests/bench/contest.h"
#include "tests/bench/launchers.h"
#include "tests/bench/veth.h"
#include "tests/e2e/command.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;

constexpr double kMpiLarge = 2.0;   // at 64 MiB
constexpr double kMpiMiddle = 1.6;  // from 4 MiB
constexpr double kGloo = 2.0;
constexpr double kIperfShare = 0.8;
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr const char* kOurs = "tcp";
constexpr int kCannotRunHere = 77;  // no namespaces

class Bench {
 public:
  Bench(const Setting& setting, Report& report) : setting_(setting), report_(report) {}

  void Measure();

 private:
  BenchRun RunBench(const Words& sizes);
  void LookAtIperf() {
    const auto rate = IperfRate(setting_.quick() ? 1s : 3s);
    if (rate.has_value()) iperf_gb_s_ = std::max(iperf_gb_s_, *rate);
  }
  void Print(const std::vector<BenchRow>& rows) const;
  void Judge(const BenchRow& row);
  void JudgePeer(const BenchRow& row, const std::string& peer, double wanted);

  const Setting& setting_;
  Report& report_;
  double iperf_gb_s_ = 0;  // the most that was seen
};

BenchRun Bench::RunBench(const Words& sizes) {
  const std::string path = setting_.folder() + "/bench.json";
  Words words = {setting_.lockstep(),
                 "bench",
                 "-np",
                 "2",
                 "--backend",
                 "tcp",
                 "--netns",
                 Veth::kNames,
                 "--interface",
                 Veth::kInterface,
                 "-J",
                 path,
                 "-T",
                 "5m"};
  if (setting_.quick()) {
    words.insert(words.end(), {"--rounds", "5", "-w", "0"});
  } else {
    words.insert(words.end(), {"--compare", OnPath("mpirun.openmpi") ? "openmpi,gloo" : "gloo"});
  }
  words.insert(words.end(), sizes.begin(), sizes.end());
  return ReadBenchRun(Veth::Run(words, 20min), path);
}

void Bench::Print(const std::vector<BenchRow>& rows) const {
  std::printf(
      "\nall_reduce f32, 2 ranks, out of place, between two namespaces on one veth; a peer's "
      "best knobs at each size; no ratio where other programs used the processors\n\n"
      "| bytes | ours, us | ours, GB/s | Open MPI, us | times ours | Gloo, us | times ours |\n"
      "|---|---|---|---|---|---|---|\n");
  for (const BenchRow& row : rows) {
    std::printf("| %llu | %s | %s |", static_cast<unsigned long long>(row.bytes),
                FormatFigure(row.ours.at(kOurs).time_us).c_str(),
                FormatFigure(row.ours.at(kOurs).bus_gb_s).c_str());
    for (const char* const peer : {"openmpi", "gloo"}) {
      const auto found = row.ours.at(kOurs).peers.find(peer);
      if (found == row.ours.at(kOurs).peers.end()) {
        std::printf(" - | - |");
        continue;
      }
      std::printf(" %s (%s) | %s [%s, %s] |", FormatFigure(found->second.time_us).c_str(),
                  found->second.best.c_str(), FormatFigure(found->second.ratio).c_str(),
                  FormatFigure(found->second.low).c_str(),
                  FormatFigure(found->second.high).c_str());
    }
    std::printf("\n");
  }
  std::printf("\niperf3 --bidir: %s GB/s a direction\n\n", FormatFigure(iperf_gb_s_).c_str());
  std::fflush(stdout);
}

void Bench::JudgePeer(const BenchRow& row, const std::string& peer, double wanted) {
  const auto& peers = row.ours.at(kOurs).peers;
  const auto found = peers.find(peer);
  if (row.judged && found == peers.end()) return;  // it is not installed
  const double ratio = row.judged ? found->second.ratio : 0;
  report_.BarUnlessDisturbed({.what = "all_reduce over a veth, " + std::to_string(row.bytes) +
                                      " bytes, " + peer + "'s time",
                              .figure = FormatFigure(ratio),
                              .limit = ">= " + FormatFigure(wanted) + " times ours",
                              .holds = ratio >= wanted},
                             !row.judged);
}

void Bench::Judge(const BenchRow& row) {
  const bool large = row.bytes >= 64 * kMiB;
  const bool middle = row.bytes >= 4 * kMiB;
  JudgePeer(row, "openmpi", large ? kMpiLarge : middle ? kMpiMiddle : 1.0);
  JudgePeer(row, "gloo", kGloo);
  if (!large || iperf_gb_s_ == 0) return;
  const double rate = row.ours.at(kOurs).bus_gb_s;
  report_.BarUnlessDisturbed(
      {.what = "all_reduce over a veth, " + std::to_string(row.bytes) + " bytes,",
       .figure = FormatFigure(rate) + " GB/s",
       .limit = ">= " + FormatFigure(kIperfShare) + " of iperf3 --bidir's " +
                FormatFigure(iperf_gb_s_) + " GB/s",
       .holds = rate >= kIperfShare * iperf_gb_s_},
      !row.judged);
}

void Bench::Measure() {
  std::vector<Words> runs = {{"-b", "4", "-e", "4", "-n", "200", "-w", "20"},
                             {"-b", "4M", "-e", "64M", "-n", "5", "-w", "2"}};
  const Words picture = setting_.Picture("all_reduce_veth");
  runs.back().insert(runs.back().end(), picture.begin(), picture.end());
  if (setting_.quick()) runs = {{"-b", "4", "-e", "1M", "-f", "512", "-n", "2"}};
  std::vector<BenchRow> rows;
  bool ok = true;
  double wrong = 0;
  LookAtIperf();
  for (const Words& sizes : runs) {
    const BenchRun measured = RunBench(sizes);
    ok = ok && measured.ok;
    wrong += measured.wrong;
    rows.insert(rows.end(), measured.rows.begin(), measured.rows.end());
    LookAtIperf();
  }
  Print(rows);
  report_.FirmBar("all_reduce over a veth is measured, and every element is right",
                  ok && wrong == 0 && !rows.empty());
  for (const BenchRow& row : rows) Judge(row);
}

int Main(int argc, char** argv) {
  // Before Setting, whose folder is for the programs that it starts.
  const base::Status made = Veth::Make();
  if (!made.ok()) {
    std::fprintf(stderr, "%s\n", made.ToString().c_str());
    return kCannotRunHere;
  }
  const Setting setting(argc, argv);
  Report report(setting.quick());
  report.PrintMachine();
  Bench(setting, report).Measure();
  report.PrintCoreDistance();
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
