// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What a launcher itself takes while 64 ranks run, each of which has written a thousand lines:
// memory and threads of every process that is not a rank.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "tests/bench/command.h"
#include "tests/bench/contest.h"
#include "tests/bench/launchers.h"
#include "tests/bench/stamps.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;

constexpr int kRanks = 64;
constexpr char kLines[] = "1000";
constexpr double kResidentMiB = 20;
constexpr size_t kWorkers = 3;

struct ProcessSize {
  std::string name;
  double resident_mib = 0;
  double resident_mib_max = 0;       // since its start
  std::vector<std::string> threads;  // the main thread first, named like the process
};

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

double StatusMiB(const std::string& folder, const std::string& key) {
  std::ifstream status(folder + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::atof(line.c_str() + key.size()) / 1024;
  }
  return 0;
}

ProcessSize SizeOf(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  ProcessSize size;
  size.name = FirstLine(folder + "/comm");
  size.resident_mib = StatusMiB(folder, "VmRSS:");
  size.resident_mib_max = StatusMiB(folder, "VmHWM:");
  std::set<pid_t> threads;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/task", ignored)) {
    threads.insert(std::stoi(entry.path().filename()));
  }
  for (const pid_t thread : threads) {
    size.threads.push_back(FirstLine(folder + "/task/" + std::to_string(thread) + "/comm"));
  }
  return size;
}

bool ThreadsAreNamed(const ProcessSize& size) {
  return std::count(size.threads.begin(), size.threads.end(), size.name) <= 1;
}

void AddTree(pid_t pid, const std::set<pid_t>& ranks, std::vector<pid_t>& tree) {
  if (ranks.contains(pid)) return;
  tree.push_back(pid);
  const std::string id = std::to_string(pid);
  std::ifstream children("/proc/" + id + "/task/" + id + "/children");
  for (pid_t child = 0; children >> child;) AddTree(child, ranks, tree);
}

/// The launcher's processes, parents first; empty when the ranks did not all come up.
std::vector<ProcessSize> Measure(const Launcher& launcher, const Setting& setting) {
  Stamps stamps(setting.folder());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  base::UniqueFd read_end(ends[0]);
  base::UniqueFd write_end(ends[1]);
  Command cat({"cat"}, {.in = read_end.get()});  // a reader as slow as a pipe is
  Command command(With(launcher, {setting.rank_program(), "write", stamps.path(), kLines}),
                  {.out = write_end.get()});
  read_end.reset();
  write_end.reset();
  std::vector<ProcessSize> sizes;
  const auto ranks = stamps.Read(kRanks, launcher.patience);
  if (!ranks) return sizes;
  std::set<pid_t> rank_pids;
  for (const BenchStamp& stamp : *ranks) rank_pids.insert(stamp.pid);
  std::vector<pid_t> tree;
  AddTree(command.pid(), rank_pids, tree);
  for (const pid_t pid : tree) sizes.push_back(SizeOf(pid));
  // A thread that has just been made has no name of its own before it runs.
  for (int tries = 0; tries < 200 && !ThreadsAreNamed(sizes.back()); ++tries) {
    ::poll(nullptr, 0, 5);
    sizes.back() = SizeOf(tree.back());
  }
  command.Signal(SIGTERM);
  (void)command.WaitForEnd(launcher.patience, false);
  return sizes;
}

void PrintRow(const std::string& launcher, const ProcessSize& size) {
  std::string threads;
  for (const std::string& thread : size.threads) threads += (threads.empty() ? "" : ", ") + thread;
  if (size.threads.size() > 6) threads = std::to_string(size.threads.size()) + " threads";
  std::printf("| %s | %s | %s | %s | %s |\n", launcher.c_str(), size.name.c_str(),
              FormatFigure(size.resident_mib).c_str(), FormatFigure(size.resident_mib_max).c_str(),
              threads.c_str());
}

int Main(int argc, char** argv) {
  const Setting setting(argc, argv);
  Report report(setting.quick());
  report.PrintMachine();
  std::printf("\nA launcher's own processes with %d ranks\n\n", kRanks);
  std::printf(
      "| launcher | process | resident MiB | largest MiB | threads |\n|---|---|---|---|---|\n");
  std::vector<ProcessSize> ours;
  for (const Launcher& launcher : Launchers(setting, kRanks, Peers::kTuned)) {
    const std::vector<ProcessSize> sizes = Measure(launcher, setting);
    if (launcher.name == kLockstep) ours = sizes;  // the front, then its child, the agent
    for (const ProcessSize& size : sizes) PrintRow(launcher.name, size);
    if (sizes.empty()) std::printf("| %s | did not start them | | | |\n", launcher.name.c_str());
  }
  std::printf("\n");

  const bool front_and_agent = ours.size() == 2;
  report.FirmBar("front and agent, and no other process", front_and_agent);
  if (!front_and_agent) return report.exit_status();
  const ProcessSize& agent = ours.back();
  report.FirmBar("agent with 64 ranks " + FormatFigure(agent.resident_mib_max) +
                     " MiB resident at most <= " + FormatFigure(kResidentMiB) + " MiB",
                 agent.resident_mib_max <= kResidentMiB);
  report.FirmBar("one loop thread and " + std::to_string(agent.threads.size() - 1) +
                     " workers <= " + std::to_string(kWorkers) + ", each named",
                 agent.threads.size() <= 1 + kWorkers && ThreadsAreNamed(agent));
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
