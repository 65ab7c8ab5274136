// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Output of eight ranks through the whole program: the launcher (all of it) pinned to one core, the
// ranks on the others, each writing numbered lines of 80 bytes; standard output is a pipe that cat
// empties into a file. Every line that arrived is then looked at: each rank's must come whole, in
// order and all of them. Bytes are those that the ranks wrote; the time is the whole command's,
// until cat has ended.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "tests/bench/command.h"
#include "tests/bench/contest.h"
#include "tests/bench/launchers.h"
#include "tests/bench/numbered_lines.h"
#include "tests/bench/rank_program.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr int kRanks = 8;
constexpr double kMegabytesPerSecond = 200;
constexpr auto kPatience = 60s;

/// While one lives, this thread and what it starts have one core.
class FirstCore {
 public:
  FirstCore() {
    ::sched_getaffinity(0, sizeof all_, &all_);
    while (!CPU_ISSET(static_cast<size_t>(cpu_), &all_)) ++cpu_;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<size_t>(cpu_), &one);
    ::sched_setaffinity(0, sizeof one, &one);
  }
  ~FirstCore() { ::sched_setaffinity(0, sizeof all_, &all_); }

  int cpu() const { return cpu_; }

 private:
  cpu_set_t all_;
  int cpu_ = 0;
};

/// A way to run the ranks' output through a launcher.
struct Pump {
  std::string name;
  Words words;
  bool keeps_files = false;
  // Over all runs.
  int64_t expected = 0;
  Arrived arrived;
  bool files_whole = true;
};

std::optional<double> MegabytesPerSecond(Pump& pump, int64_t lines_per_rank,
                                         const Setting& setting) {
  const fs::path folder = fs::path(setting.folder()) / "output";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const std::string console = folder / "console";
  const base::UniqueFd file(::open(console.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  int ends[2];
  if (!file.valid() || ::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  base::UniqueFd read_end(ends[0]);
  base::UniqueFd write_end(ends[1]);

  Command cat({"cat"}, {.in = read_end.get(), .out = file.get()});
  const FirstCore pinned;
  Words words = pump.words;
  if (pump.keeps_files) words.push_back("--log-dir=" + (folder / "logs").string());
  words.insert(words.end(), {setting.rank_program(), "lines", std::to_string(lines_per_rank),
                             std::to_string(pinned.cpu())});
  Command command(words, {.out = write_end.get()});
  read_end.reset();
  write_end.reset();
  if (!command.WaitForEnd(kPatience, true)) return std::nullopt;
  const auto ended_at = cat.WaitForEnd(kPatience, true);
  if (!ended_at) return std::nullopt;

  const Arrived arrived = CheckLines(console);
  pump.expected += kRanks * lines_per_rank;
  pump.arrived.whole += arrived.whole;
  pump.arrived.out_of_order += arrived.out_of_order;
  pump.arrived.torn += arrived.torn;
  pump.files_whole =
      pump.files_whole &&
      (!pump.keeps_files || CountWholeFiles(folder / "logs", lines_per_rank) == kRanks);
  const double bytes = static_cast<double>(kRanks * lines_per_rank * BENCH_LINE_BYTES);
  return bytes / 1e6 / (Milliseconds(*ended_at - command.started_at()) / 1e3);
}

/// Each launcher as it prefixes lines with their rank; Lockstep keeps files besides.
std::vector<Pump> Pumps(const Setting& setting) {
  std::vector<Pump> pumps;
  for (const Launcher& launcher : Launchers(setting, kRanks, Peers::kTuned)) {
    Pump pump{.name = launcher.name, .words = launcher.words};
    if (launcher.name == kLockstep) pump.keeps_files = true;
    if (launcher.name == kMpirun) pump.words.push_back("--tag-output");
    if (launcher.name == kHydra) pump.words.push_back("-prepend-rank");
    if (launcher.name == kTorchrun) pump.words.push_back("--tee=1");
    pumps.push_back(std::move(pump));
  }
  return pumps;
}

int Main(int argc, char** argv) {
  const Setting setting(argc, argv);
  Report report(setting.quick());
  report.PrintMachine();
  const int64_t lines_per_rank = setting.quick() ? 16 * 1024 : 256 * 1024;
  std::vector<Pump> pumps = Pumps(setting);
  std::vector<Contender> contenders;
  contenders.reserve(pumps.size());
  for (Pump& pump : pumps) {
    contenders.push_back({pump.name,
                          pump.name == kLockstep ? setting.Runs(7, 2) : setting.Runs(3, 1),
                          [&pump, lines_per_rank, &setting] {
                            return MegabytesPerSecond(pump, lines_per_rank, setting);
                          }});
  }
  const auto standings = Compete(contenders);
  report.PrintTable("Output of 8 ranks, launcher on one core", "MB/s", standings);
  std::printf("| | lines written | whole | of these out of order | torn pieces |\n");
  std::printf("|---|---|---|---|---|\n");
  for (const Pump& pump : pumps) {
    std::printf("| %s | %lld | %lld | %lld | %lld |\n", pump.name.c_str(),
                static_cast<long long>(pump.expected), static_cast<long long>(pump.arrived.whole),
                static_cast<long long>(pump.arrived.out_of_order),
                static_cast<long long>(pump.arrived.torn));
  }
  std::printf("\n");
  const Standing& speed = *Find(standings, kLockstep);
  const Pump& ours = pumps.front();
  report.FirmBar("no line torn or lost, on the console or in the ranks' files",
                 speed.failures == 0 && ours.arrived.all(ours.expected) && ours.files_whole);
  report.Bar("output " + FormatFigure(speed.median()) +
                 " MB/s >= " + FormatFigure(kMegabytesPerSecond) + " MB/s",
             speed.median() >= kMegabytesPerSecond);
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
