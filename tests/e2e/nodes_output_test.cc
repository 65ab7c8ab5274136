// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A console that nobody reads, of a job of several nodes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;

constexpr int kRanks = 4;
constexpr int64_t kLines = 6'500'000;  // of each rank: some 50 MB
// An agent's queues: 4 MiB each for console and files, 4 MiB held of each stream, which a string may
// have taken twice, what is on its way, and the program.
constexpr double kAgentMiB = 48;

double PeakMiB(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

struct Seen {
  int64_t shown = 0;
  int64_t dropped = 0;  // by the command's own account
  int64_t out_of_order = 0;
};

/// Lines are "[node.rank] number".
Seen Count(const Outcome& outcome) {
  Seen seen;
  std::map<std::string, int64_t> last;
  for (const std::string& line : Lines(outcome.out)) {
    const size_t end = line.find("] ");
    if (end == std::string::npos) {
      ++seen.out_of_order;
      continue;
    }
    const int64_t number = std::stoll(line.substr(end + 2));
    int64_t& before = last[line.substr(0, end)];
    if (number <= before) ++seen.out_of_order;
    before = number;
    ++seen.shown;
  }
  for (const std::string& line : Lines(outcome.err)) {
    if (!Contains(line, "are not shown, since the console is too slow")) continue;
    seen.dropped += std::stoll(line.substr(line.find_first_of("0123456789")));
  }
  return seen;
}

class NodesOutputTest : public RunFixture {};

TEST_F(NodesOutputTest, AConsoleThatNobodyReadsHoldsNoRankUpAndWhatItMissedIsCounted) {
  for (int rank = 0; rank < kRanks; ++rank) MakeGo("go." + std::to_string(rank));
  const std::string console = scratch_.path() + "/console";
  ASSERT_EQ(::mkfifo(console.c_str(), 0600), 0);
  const std::string run =
      LockstepPath() +
      " run --simulate-hosts --nnodes 2 -np 4 --name job -- sh -c 'echo $PPID >agent.$RANK; seq " +
      std::to_string(kLines) + "; >finished.$RANK; read word <go.$RANK; exit 0'";
  Command command(
      {"sh", "-c", "(" + run + "; echo status $? >&2) | (read word <console; exec cat)"},
      Options());

  // While nobody reads a byte: also not of standard error, which is behind the lines.
  std::set<pid_t> agents;
  for (int rank = 0; rank < kRanks; ++rank) {
    const std::string number = std::to_string(rank);
    ASSERT_TRUE(Eventually(
        [&] { return std::filesystem::exists(scratch_.path() + "/finished." + number); }, 120s));
    agents.insert(std::stoi(scratch_.Read("agent." + number)));
  }
  EXPECT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return out.empty(); }, 1s));
  ASSERT_EQ(agents.size(), 2U);
  for (const pid_t agent : agents) {
    const double peak = PeakMiB(agent);
    EXPECT_GT(peak, 1);
    EXPECT_LT(peak, kAgentMiB);
    RecordProperty("agent_" + std::to_string(agent) + "_mib", std::to_string(peak));
  }

  std::ofstream(console) << "go\n";
  for (int rank = 0; rank < kRanks; ++rank) {
    ASSERT_TRUE(LetGo("go." + std::to_string(rank)));
  }
  const Outcome outcome = command.Wait(120s);

  EXPECT_TRUE(Contains(outcome.err, "status 0"));
  const Seen seen = Count(outcome);
  EXPECT_EQ(seen.out_of_order, 0);
  EXPECT_GT(seen.dropped, 0);
  EXPECT_EQ(seen.shown + seen.dropped, kRanks * kLines) << outcome.err;
  for (int rank = 0; rank < kRanks; ++rank) {
    const std::string file =
        ReadFile(JobFolder("job") + "/round-0/rank-" + std::to_string(rank) + ".stdout");
    EXPECT_TRUE(file.ends_with("\n" + std::to_string(kLines) + "\n")) << rank;
    EXPECT_EQ(std::count(file.begin(), file.end(), '\n'), kLines) << rank;
  }
}

}  // namespace
}  // namespace lockstep::e2e
