// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Jobs on four hosts that ssh reaches (tests/hosts), started from a place that is none of them: how
// long they take to start and end, against mpirun on the same hosts; how long until the launcher is
// back when a rank is killed, and when a host is cut off without a word.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "tests/bench/command.h"
#include "tests/bench/contest.h"
#include "tests/bench/launchers.h"
#include "tests/e2e/command.h"
#include "tests/hosts/hosts.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;
using hosts::Hosts;
using hosts::kController;

constexpr int kHosts = 4;
constexpr int kRanks = 8;
constexpr char kHostList[] = "h0:2,h1:2,h2:2,h3:2";
constexpr double kReturnMs = 100;
constexpr double kAfterLeaseMs = 500;
constexpr std::chrono::milliseconds kPatience = 30s;

double WallMilliseconds() { return Milliseconds(base::RealClock().WallNow().time_since_epoch()); }

/// Smallest figure that 95 of 100 do not exceed.
double P95(const Standing& standing) {
  const size_t count = standing.figures.size();
  if (count == 0) return std::numeric_limits<double>::infinity();
  return standing.figures[(count * 95 + 99) / 100 - 1];
}

class Bench {
 public:
  Bench(const Setting& setting, Hosts& kit, Report& report)
      : setting_(setting), kit_(kit), report_(report) {
    options_.environment = {{"HOME", setting.folder()}, {"LOCKSTEP_HOME", setting.folder()}};
    // Once: copies the agent to each host.
    (void)RunOnce(Lockstep({"true"}));
  }

  void MeasureLaunch();
  void MeasureKilledRank();
  void MeasureCutHost();

 private:
  Words Lockstep(const Words& words) const {
    Words all = {setting_.lockstep(), "run",    "--ssh-config",
                 Hosts::SshConfig(),  "--host", kHostList};
    all.insert(all.end(), words.begin(), words.end());
    return all;
  }
  std::optional<double> RunOnce(const Words& words) {
    const e2e::Outcome outcome = kit_.Run(kController, words, options_, kPatience);
    if (outcome.status != 0) {
      std::fprintf(stderr, "%s: status %d: %s\n", words[0].c_str(), outcome.status,
                   outcome.err.c_str());
      return std::nullopt;
    }
    return Milliseconds(outcome.elapsed);
  }
  std::optional<double> KillOneRank();
  std::optional<double> CutOneHost(std::chrono::milliseconds lease, bool* ends_itself);

  const Setting& setting_;
  Hosts& kit_;
  Report& report_;
  hosts::ProgramOptions options_;
};

void Bench::MeasureLaunch() {
  std::vector<Contender> contenders;
  const int runs = setting_.Runs(11, 2);
  contenders.push_back({kLockstep, runs, [this] { return RunOnce(Lockstep({"true"})); }});
  if (OnPath("mpirun.openmpi")) {
    const Words mpirun = {"mpirun.openmpi",
                          "--allow-run-as-root",
                          "--mca",
                          "plm_rsh_args",
                          "-F " + Hosts::SshConfig(),
                          "--host",
                          kHostList,
                          "-np",
                          std::to_string(kRanks),
                          "true"};
    contenders.push_back({kMpirun, runs, [this, mpirun] { return RunOnce(mpirun); }});
  }
  std::string line;
  for (int host = 0; host < kHosts; ++host) {
    line += "ssh -F " + Hosts::SshConfig() + " " + Hosts::Name(host) + " true & ";
  }
  const Words floor = {"/bin/sh", "-c", line + "wait"};
  contenders.push_back({"four ssh side by side", runs, [this, floor] { return RunOnce(floor); }});

  const auto standings = Compete(contenders);
  report_.PrintTable("4 hosts x 2 ranks of `true` over ssh, start and exit", "ms", standings);
  const Standing& ours = *Find(standings, kLockstep);
  report_.FirmBar("a job over ssh never hangs", ours.failures == 0);
  if (const Standing* mpirun = Find(standings, kMpirun)) {
    report_.Bar("4 hosts x 2 ranks over ssh, " + FormatFigure(ours.median()) + " ms <= mpirun's " +
                    FormatFigure(mpirun->median()) + " ms",
                ours.median() <= mpirun->median());
  }
}

/// Rank 5 takes the time and kills itself, half a second after it began: by then all run.
std::optional<double> Bench::KillOneRank() {
  const std::string script =
      "echo up; [ $RANK = 5 ] || exec sleep 60; sleep 0.5; echo at $(date +%s%N); kill -9 $$";
  const e2e::Outcome outcome =
      kit_.Run(kController, Lockstep({"--grace", "0", "--log-prefix=false", "sh", "-c", script}),
               options_, kPatience);
  const double ended_at = WallMilliseconds();
  const size_t stamp = outcome.out.find("at ");
  if (outcome.status != 137 || stamp == std::string::npos) return std::nullopt;
  const std::string before = outcome.out.substr(0, stamp);
  if (std::count(before.begin(), before.end(), 'u') != kRanks) return std::nullopt;
  return ended_at - std::strtod(outcome.out.c_str() + stamp + 3, nullptr) / 1e6;
}

void Bench::MeasureKilledRank() {
  const auto standings =
      Compete({{kLockstep, setting_.Runs(21, 2), [this] { return KillOneRank(); }}});
  report_.PrintTable("SIGKILL of 1 of 8 ranks on 4 hosts, no grace, to the launcher's return", "ms",
                     standings);
  const Standing& ours = standings.front();
  report_.FirmBar("the loss of a rank on another host never hangs", ours.failures == 0);
  report_.Bar("SIGKILL on another host to return " + FormatFigure(ours.median()) +
                  " ms <= " + FormatFigure(kReturnMs) + " ms",
              ours.median() <= kReturnMs);
}

/// From before the cut, which itself takes some milliseconds, to the launcher's return.
std::optional<double> Bench::CutOneHost(std::chrono::milliseconds lease, bool* ends_itself) {
  auto job = kit_.Spawn(kController,
                        Lockstep({"--grace", "0", "--lease", std::to_string(lease.count()) + "ms",
                                  "sh", "-c", "echo up; exec sleep 60"}),
                        options_);
  if (!job.ok()) return std::nullopt;
  const bool up = (*job)->WaitForOutput(
      [](const std::string& out, const std::string&) {
        return std::count(out.begin(), out.end(), '\n') == kRanks;
      },
      kPatience);
  const double cut_at = WallMilliseconds();
  const bool cut = up && kit_.Drop(1).ok();
  const e2e::Outcome outcome = (*job)->Wait(kPatience);
  const double ended_at = WallMilliseconds();
  // By then its own lease is over, which began before.
  *ends_itself =
      *ends_itself && e2e::Eventually([this] { return kit_.CountProcesses(1) == 0; }, lease);
  (void)kit_.Heal();
  const bool named = outcome.err.find("h1") != std::string::npos;
  return cut && named && outcome.status == 75 ? std::optional(ended_at - cut_at) : std::nullopt;
}

void Bench::MeasureCutHost() {
  const std::chrono::milliseconds lease = setting_.quick() ? 500ms : 2000ms;
  bool ends_itself = true;
  const auto standings = Compete({{kLockstep, setting_.Runs(20, 1), [this, lease, &ends_itself] {
                                     return CutOneHost(lease, &ends_itself);
                                   }}});
  report_.PrintTable("1 of 4 hosts is cut off silently, lease " + std::to_string(lease.count()) +
                         " ms, to the launcher's return",
                     "ms", standings);
  const Standing& ours = standings.front();
  const double limit = static_cast<double>(lease.count()) + kAfterLeaseMs;
  report_.FirmBar("a host that is cut off is named every time", ours.failures == 0);
  report_.FirmBar("no process is left on the host that was cut off", ends_itself);
  report_.Bar("cut to return, p95 " + FormatFigure(P95(ours)) +
                  " ms <= lease + 0.5 s = " + FormatFigure(limit) + " ms",
              P95(ours) <= limit);
}

int Main(int argc, char** argv) {
  // Before Setting, which makes this process the parent of whatever its children leave.
  auto kit = Hosts::Create({.count = kHosts});
  if (!kit.ok()) {
    std::fprintf(stderr, "%s\n", kit.status().ToString().c_str());
    return Hosts::Unsupported(kit.status()) ? 0 : 1;
  }
  const Setting setting(argc, argv);
  Report report(setting.quick());
  report.PrintMachine();
  Bench bench(setting, **kit, report);
  bench.MeasureLaunch();
  bench.MeasureKilledRank();
  bench.MeasureCutHost();
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
