// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// One of eight ranks is SIGKILLed: how long until the launcher has ended the others and returned,
// and, with restarts, until all eight run again. The ranks themselves take the time at which they
// run.
#include <signal.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/bench/command.h"
#include "tests/bench/contest.h"
#include "tests/bench/launchers.h"
#include "tests/bench/stamps.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;

constexpr int kRanks = 8;
constexpr int kVictim = 5;
constexpr double kReturnMs = 60;
constexpr double kRestartMs = 150;

/// Waits until all ranks run and kills one of them. Returns when, or nothing.
std::optional<base::SteadyTime> KillOne(Stamps& stamps, base::Duration patience) {
  const auto ranks = stamps.Read(kRanks, patience);
  if (!ranks) return std::nullopt;
  for (const BenchStamp& stamp : *ranks) {
    if (stamp.rank != kVictim) continue;
    const base::SteadyTime killed_at = base::RealClock().Now();
    ::kill(stamp.pid, SIGKILL);
    return killed_at;
  }
  return std::nullopt;
}

std::optional<double> TimeReturn(const Launcher& launcher, const Setting& setting) {
  Stamps stamps(setting.folder());
  Command command(With(launcher, {setting.rank_program(), "wait", stamps.path()}));
  const auto killed_at = KillOne(stamps, launcher.patience);
  if (!killed_at) return std::nullopt;
  const auto ended_at = command.WaitForEnd(launcher.patience, false);
  if (!ended_at) return std::nullopt;
  return Milliseconds(*ended_at - *killed_at);
}

std::optional<double> TimeRestart(const Launcher& launcher, const Setting& setting) {
  Stamps stamps(setting.folder());
  Command command(With(launcher, {setting.rank_program(), "wait", stamps.path()}));
  const auto killed_at = KillOne(stamps, launcher.patience);
  if (!killed_at) return std::nullopt;
  const auto again = stamps.Read(kRanks, launcher.patience);
  if (!again) return std::nullopt;
  const auto last = std::max_element(
      again->begin(), again->end(),
      [](const BenchStamp& a, const BenchStamp& b) { return a.monotonic_ns < b.monotonic_ns; });
  return Milliseconds(base::Duration(last->monotonic_ns) - killed_at->time_since_epoch());
}

void MeasureReturn(const Setting& setting, Report& report) {
  std::vector<Contender> contenders;
  for (const Launcher& launcher : Launchers(setting, kRanks, Peers::kNoGrace)) {
    contenders.push_back({launcher.name, setting.Runs(launcher, 21, 2),
                          [launcher, &setting] { return TimeReturn(launcher, setting); }});
  }
  const auto standings = Compete(contenders);
  report.PrintTable("SIGKILL of 1 of 8 ranks, no grace, to the launcher's return", "ms", standings);
  const Standing& ours = *Find(standings, kLockstep);
  report.FirmBar("the loss of a rank never hangs", ours.failures == 0);
  report.Bar("SIGKILL to return " + FormatFigure(ours.median()) +
                 " ms <= " + FormatFigure(kReturnMs) + " ms",
             ours.median() <= kReturnMs);
  // mpirun waits a second between TERM and KILL: a bar that holds on any machine.
  if (const Standing* mpirun = Find(standings, kMpirunAsItComes)) {
    report.FirmBar("SIGKILL to return before mpirun as it comes", ours.median() < mpirun->median());
  }
}

void MeasureRestart(const Setting& setting, Report& report) {
  std::vector<Contender> contenders;
  for (Launcher launcher : Launchers(setting, kRanks, Peers::kNoGrace)) {
    if (launcher.restart_flag.empty()) continue;
    launcher.words.push_back(launcher.restart_flag);
    contenders.push_back({launcher.name, setting.Runs(launcher, 21, 2),
                          [launcher, &setting] { return TimeRestart(launcher, setting); }});
  }
  const auto standings = Compete(contenders);
  report.PrintTable("SIGKILL of 1 of 8 ranks to all 8 running again", "ms", standings);
  const Standing& ours = *Find(standings, kLockstep);
  report.FirmBar("a restart never hangs", ours.failures == 0);
  report.Bar("SIGKILL to restarted " + FormatFigure(ours.median()) +
                 " ms <= " + FormatFigure(kRestartMs) + " ms",
             ours.median() <= kRestartMs);
}

int Main(int argc, char** argv) {
  const Setting setting(argc, argv);
  Report report(setting.quick());
  report.PrintMachine();
  MeasureReturn(setting, report);
  MeasureRestart(setting, report);
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
