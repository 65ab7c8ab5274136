// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Whole commands, from their start to their end: `lockstep version`, and launch and exit of N ranks
// of /bin/true. The floor is what this program, which does nothing else, needs to start N children
// and to wait for them.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/bench/command.h"
#include "tests/bench/contest.h"
#include "tests/bench/launchers.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;

constexpr char kTrue[] = "/bin/true";
constexpr char kFloor[] = "posix_spawn and wait (floor)";
constexpr double kLaunchMs = 3;
constexpr double kFloorRatio = 1.3;
constexpr double kMpirunRatio = 5;
constexpr double kVersionMs = 2;

std::optional<double> TimeCommand(const Words& words, base::Duration patience) {
  Command command(words);
  const auto ended_at = command.WaitForEnd(patience, true);
  if (!ended_at) return std::nullopt;
  return Milliseconds(*ended_at - command.started_at());
}

std::optional<double> TimeFloor(int ranks) {
  const base::RealClock clock;
  char name[] = "true";
  char* const argv[] = {name, nullptr};
  std::vector<pid_t> pids(static_cast<size_t>(ranks));
  const base::SteadyTime begin = clock.Now();
  for (pid_t& pid : pids) {
    if (::posix_spawn(&pid, kTrue, nullptr, nullptr, argv, environ) != 0) return std::nullopt;
  }
  for (const pid_t pid : pids) ::waitpid(pid, nullptr, 0);
  return Milliseconds(clock.Now() - begin);
}

void MeasureVersion(const Setting& setting, Report& report) {
  const int runs = setting.Runs(101, 5);
  const auto standings = Compete({
      {"lockstep version", runs, [&] { return TimeCommand({setting.lockstep(), "version"}, 5s); }},
      {kTrue, runs, [] { return TimeCommand({kTrue}, 5s); }},
  });
  report.PrintTable("`lockstep version`", "ms", standings);
  report.FirmBar("`lockstep version` never fails", standings[0].failures == 0);
  report.Bar("`lockstep version` " + FormatFigure(standings[0].median()) +
                 " ms <= " + FormatFigure(kVersionMs) + " ms",
             standings[0].median() <= kVersionMs);
}

void MeasureLaunch(const Setting& setting, int ranks, Report& report) {
  std::vector<Contender> contenders;
  for (const Launcher& launcher : Launchers(setting, ranks, Peers::kTuned)) {
    contenders.push_back({launcher.name, setting.Runs(launcher, 101, 3), [launcher] {
                            return TimeCommand(With(launcher, {kTrue}), launcher.patience);
                          }});
  }
  contenders.push_back({kFloor, setting.Runs(101, 3), [ranks] { return TimeFloor(ranks); }});
  const auto standings = Compete(contenders);
  const std::string what = std::to_string(ranks) + " x true";
  report.PrintTable("Launch and exit of " + what, "ms", standings);

  const Standing& ours = *Find(standings, kLockstep);
  const double limit = kLaunchMs + kFloorRatio * Find(standings, kFloor)->median();
  report.FirmBar(what + " never hangs and never fails", ours.failures == 0);
  report.Bar(what + " " + FormatFigure(ours.median()) + " ms <= " + FormatFigure(limit) +
                 " ms (3 ms + 1.3 x floor)",
             ours.median() <= limit);
  const Standing* mpirun = Find(standings, kMpirun);
  if (ranks == 2 && mpirun != nullptr) {
    report.Bar(what + " " + FormatFigure(ours.median()) +
                   " ms <= " + FormatFigure(mpirun->median() / kMpirunRatio) + " ms (mpirun / 5)",
               ours.median() <= mpirun->median() / kMpirunRatio);
  }
}

int Main(int argc, char** argv) {
  const Setting setting(argc, argv);
  Report report(setting.quick());
  report.PrintMachine();
  MeasureVersion(setting, report);
  for (const int ranks : {1, 2, 8, 32}) MeasureLaunch(setting, ranks, report);
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
