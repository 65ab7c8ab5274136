// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Jobs of several nodes, whose agents are on this machine (--simulate-hosts): launch and exit
// beside the figure of one node, an agent that is SIGKILLed, and the output of eight nodes on one
// console. There the ranks write as fast as they can: what the console does not take is dropped and
// counted, and shown and dropped lines together must be all; the files have everything.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/unique_fd.h"
#include "tests/bench/command.h"
#include "tests/bench/contest.h"
#include "tests/bench/launchers.h"
#include "tests/bench/numbered_lines.h"
#include "tests/bench/rank_program.h"
#include "tests/bench/stamps.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr auto kPatience = 60s;
constexpr double kSeveralNodesMs = 30;
constexpr double kAgentLossMs = 200;
constexpr double kMegabytesPerSecond = 100;
// An agent's queues: 4 MiB for files, 4 MiB for the console or held of each stream, the blocks that
// are kept for reuse, and what is on its way. The coordinator's has 1.5 MiB of each other node
// besides.
constexpr double kAgentMiB = 48;

Words SeveralNodes(const Setting& setting, int nodes, int ranks) {
  return {setting.lockstep(),    "run", "--simulate-hosts",   "--nnodes",
          std::to_string(nodes), "-np", std::to_string(ranks)};
}

Words With(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::optional<double> TimeCommand(const Words& words) {
  Command command(words);
  const auto ended_at = command.WaitForEnd(kPatience, true);
  if (!ended_at) return std::nullopt;
  return Milliseconds(*ended_at - command.started_at());
}

void MeasureLaunch(const Setting& setting, Report& report) {
  const Words one = {setting.lockstep(), "run", "-np", "8", "/bin/true"};
  const Words four = With(SeveralNodes(setting, 4, 32), {"/bin/true"});
  const auto standings =
      Compete({{"8 ranks of one node", setting.Runs(51, 3), [&] { return TimeCommand(one); }},
               {"4 nodes x 8 ranks", setting.Runs(51, 3), [&] { return TimeCommand(four); }}});
  report.PrintTable("Launch and exit of `true`, keys and TLS handshakes included", "ms", standings);
  const double limit = 4 * standings[0].median() + kSeveralNodesMs;
  report.FirmBar("launch on several nodes never hangs and never fails", standings[1].failures == 0);
  report.Bar("4 nodes x 8 ranks of true " + FormatFigure(standings[1].median()) +
                 " ms <= " + FormatFigure(limit) + " ms (4 x one node + 30 ms)",
             standings[1].median() <= limit);
}

// --------------------------------------------------------------------------------- a lost agent

pid_t ParentOf(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("PPid:")) return std::stoi(line.substr(5));
  }
  return -1;
}

std::optional<double> TimeAgentLoss(const Setting& setting) {
  constexpr int kRanks = 6;
  constexpr int kVictim = 3;  // of node 1
  Stamps stamps(setting.folder());
  Command command(With(SeveralNodes(setting, 3, kRanks),
                       {"--grace", "0", setting.rank_program(), "wait", stamps.path()}));
  const auto ranks = stamps.Read(kRanks, kPatience);
  if (!ranks) return std::nullopt;
  const auto victim = std::find_if(ranks->begin(), ranks->end(),
                                   [](const BenchStamp& stamp) { return stamp.rank == kVictim; });
  const pid_t agent = ParentOf(victim->pid);
  if (agent <= 1) return std::nullopt;
  const base::SteadyTime killed_at = base::RealClock().Now();
  ::kill(agent, SIGKILL);
  const auto ended_at = command.WaitForEnd(kPatience, false);
  if (!ended_at) return std::nullopt;
  return Milliseconds(*ended_at - killed_at);
}

void MeasureAgentLoss(const Setting& setting, Report& report) {
  const auto standings =
      Compete({{kLockstep, setting.Runs(21, 2), [&setting] { return TimeAgentLoss(setting); }}});
  report.PrintTable("SIGKILL of a node's agent, 3 nodes x 2 ranks, to the launcher's return", "ms",
                    standings);
  report.FirmBar("the loss of an agent never hangs", standings[0].failures == 0);
  report.Bar("agent SIGKILLed to return " + FormatFigure(standings[0].median()) +
                 " ms <= " + FormatFigure(kAgentLossMs) + " ms",
             standings[0].median() <= kAgentLossMs);
}

// ------------------------------------------------------------------------------------- output

/// The most that each process named lockstep below `pid` has had resident, MiB.
void AddPeaks(pid_t pid, std::map<pid_t, double>& peaks) {
  const std::string folder = "/proc/" + std::to_string(pid);
  std::ifstream status(folder + "/status");
  bool is_ours = false;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Name:")) is_ours = line.ends_with("lockstep");
    if (is_ours && line.starts_with("VmHWM:")) peaks[pid] = std::atof(line.c_str() + 6) / 1024;
  }
  std::ifstream children(folder + "/task/" + std::to_string(pid) + "/children");
  for (pid_t child = 0; children >> child;) AddPeaks(child, peaks);
}

/// How many lines the command says that it has not shown.
int64_t DroppedLines(const std::string& path) {
  std::ifstream file(path);
  int64_t dropped = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.find(" lines of node ") == std::string::npos) continue;
    dropped += std::stoll(line.substr(line.find_first_of("0123456789")));
  }
  return dropped;
}

struct FanIn {
  int nodes = 8;
  int ranks = 32;
  int64_t lines_per_rank = 0;
  // Over all runs.
  int64_t written = 0;
  int64_t dropped = 0;
  Arrived arrived;
  bool files_whole = true;
  double agent_mib_max = 0;
};

void Account(FanIn& fan_in, const fs::path& folder, const std::map<pid_t, double>& peaks) {
  const Arrived arrived = CheckLines(folder / "console");
  fan_in.written += fan_in.ranks * fan_in.lines_per_rank;
  fan_in.dropped += DroppedLines(folder / "messages");
  fan_in.arrived.whole += arrived.whole;
  fan_in.arrived.backwards += arrived.backwards;
  fan_in.arrived.torn += arrived.torn;
  fan_in.files_whole =
      fan_in.files_whole && CountWholeFiles(folder / "logs", fan_in.lines_per_rank) == fan_in.ranks;
  for (const auto& [pid, mib] : peaks) fan_in.agent_mib_max = std::max(fan_in.agent_mib_max, mib);
}

/// Megabytes of ranks' lines that the console got in a second.
std::optional<double> MegabytesPerSecond(const Setting& setting, FanIn& fan_in) {
  const fs::path folder = fs::path(setting.folder()) / "fan-in";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const auto make = [&folder](const char* name) {
    return base::UniqueFd(
        ::open((folder / name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600));
  };
  const base::UniqueFd console = make("console");
  const base::UniqueFd messages = make("messages");
  int ends[2];
  if (!console.valid() || !messages.valid() || ::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  base::UniqueFd read_end(ends[0]);
  base::UniqueFd write_end(ends[1]);
  Command cat({"cat"}, {.in = read_end.get(), .out = console.get()});
  Command command(With(SeveralNodes(setting, fan_in.nodes, fan_in.ranks),
                       {"--log-dir=" + (folder / "logs").string(), setting.rank_program(), "lines",
                        std::to_string(fan_in.lines_per_rank), "9999"}),
                  {.out = write_end.get(), .err = messages.get()});
  read_end.reset();
  write_end.reset();
  std::map<pid_t, double> peaks;
  std::optional<base::SteadyTime> ended_at;
  const base::SteadyTime deadline = command.started_at() + kPatience;
  while (!ended_at && base::RealClock().Now() < deadline) {
    AddPeaks(command.pid(), peaks);
    ended_at = command.WaitForEnd(20ms, true);
  }
  if (!ended_at) return std::nullopt;
  const auto drained_at = cat.WaitForEnd(kPatience, true);
  if (!drained_at) return std::nullopt;
  const int64_t before = fan_in.arrived.whole;
  Account(fan_in, folder, peaks);
  const auto bytes = static_cast<double>((fan_in.arrived.whole - before) * BENCH_LINE_BYTES);
  return bytes / 1e6 / (Milliseconds(*drained_at - command.started_at()) / 1e3);
}

void MeasureFanIn(const Setting& setting, Report& report) {
  FanIn fan_in{.lines_per_rank = setting.quick() ? 8 * 1024 : 256 * 1024};
  const auto standings = Compete({{kLockstep, setting.Runs(5, 1), [&setting, &fan_in] {
                                     return MegabytesPerSecond(setting, fan_in);
                                   }}});
  report.PrintTable("Output of 8 nodes x 4 ranks on one console", "MB/s", standings);
  std::printf("| lines written | shown | said to be dropped | torn | largest agent MiB |\n");
  std::printf("|---|---|---|---|---|\n| %lld | %lld | %lld | %lld | %s |\n\n",
              static_cast<long long>(fan_in.written), static_cast<long long>(fan_in.arrived.whole),
              static_cast<long long>(fan_in.dropped), static_cast<long long>(fan_in.arrived.torn),
              FormatFigure(fan_in.agent_mib_max).c_str());
  report.FirmBar("every line is shown in its order or said to be dropped, and is in the files",
                 standings[0].failures == 0 && fan_in.arrived.torn == 0 &&
                     fan_in.arrived.backwards == 0 && fan_in.files_whole &&
                     fan_in.arrived.whole + fan_in.dropped == fan_in.written);
  report.FirmBar("each agent " + FormatFigure(fan_in.agent_mib_max) +
                     " MiB resident at most <= " + FormatFigure(kAgentMiB) + " MiB",
                 fan_in.agent_mib_max > 0 && fan_in.agent_mib_max <= kAgentMiB);
  report.Bar("output of 8 nodes " + FormatFigure(standings[0].median()) +
                 " MB/s >= " + FormatFigure(kMegabytesPerSecond) + " MB/s",
             standings[0].median() >= kMegabytesPerSecond);
}

int Main(int argc, char** argv) {
  const Setting setting(argc, argv);
  Report report(setting.quick());
  report.PrintMachine();
  MeasureLaunch(setting, report);
  MeasureAgentLoss(setting, report);
  MeasureFanIn(setting, report);
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
