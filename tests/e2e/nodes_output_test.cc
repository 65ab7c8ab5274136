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
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;

constexpr int kRanks = 4;
constexpr int64_t kLines = 6'500'000;  // of each rank: some 50 MB
// An agent's queues: 4 MiB each for console and files, 4 MiB held of each stream, which a string
// may have taken twice, what is on its way, and the program.
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
    if (!Contains(line, "are not shown, since the console")) continue;
    seen.dropped += std::stoll(line.substr(line.find_first_of("0123456789")));
  }
  return seen;
}

class NodesOutputTest : public RunFixture {
 protected:
  /// Four ranks on two nodes that each write the numbers up to `lines`, and whose console is read
  /// only when something is written into the fifo "console".
  Command::Options MakeFifos() const {
    for (int rank = 0; rank < kRanks; ++rank) MakeGo("go." + std::to_string(rank));
    EXPECT_EQ(::mkfifo((scratch_.path() + "/console").c_str(), 0600), 0);
    return Options();
  }
  static std::vector<std::string> Words(const std::string& flags, int64_t lines) {
    const std::string run = LockstepPath() + " run --simulate-hosts --nnodes 2 -np 4 --name job " +
                            flags + " -- sh -c 'echo $PPID >agent.$RANK; seq " +
                            std::to_string(lines) +
                            "; >finished.$RANK; read word <go.$RANK; exit 0'";
    return {"sh", "-c", "(" + run + "; echo status $? >&2) | (read word <console; exec cat)"};
  }
  bool HasFinished(int rank) const {
    const std::string path = scratch_.path() + "/finished." + std::to_string(rank);
    return Eventually([&] { return std::filesystem::exists(path); }, 120s);
  }
  Outcome ReadConsole(Command& command) const {
    std::ofstream(scratch_.path() + "/console") << "go\n";
    for (int rank = 0; rank < kRanks; ++rank) {
      EXPECT_TRUE(LetGo("go." + std::to_string(rank)));
    }
    return command.Wait(120s);
  }
};

TEST_F(NodesOutputTest, AConsoleThatNobodyReadsHoldsNoRankUpAndWhatItMissedIsCounted) {
  Command command(Words("", kLines), MakeFifos());

  // While nobody reads a byte: also not of standard error, which is behind the lines.
  std::set<pid_t> agents;
  for (int rank = 0; rank < kRanks; ++rank) {
    ASSERT_TRUE(HasFinished(rank));
    agents.insert(std::stoi(scratch_.Read("agent." + std::to_string(rank))));
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

  const Outcome outcome = ReadConsole(command);

  EXPECT_TRUE(Contains(outcome.err, "status 0"));
  const Seen seen = Count(outcome);
  EXPECT_EQ(seen.out_of_order, 0);
  EXPECT_GT(seen.dropped, 0);
  EXPECT_EQ(seen.shown + seen.dropped, kRanks * kLines) << outcome.err;
  EXPECT_TRUE(Contains(outcome.err, "that node's files have them")) << outcome.err;
  EXPECT_FALSE(Contains(outcome.err, "lost")) << outcome.err;
  for (int rank = 0; rank < kRanks; ++rank) {
    const std::string file =
        ReadFile(JobFolder("job") + "/round-0/rank-" + std::to_string(rank) + ".stdout");
    EXPECT_TRUE(file.ends_with("\n" + std::to_string(kLines) + "\n")) << rank;
    EXPECT_EQ(std::count(file.begin(), file.end(), '\n'), kLines) << rank;
  }
}

TEST_F(NodesOutputTest, LinesThatFullFilesLackAsWellAreSaidToBeLost) {
  for (const std::string flags : {"--log-max-total 1Mi", "--log-max-file 64Ki --log-keep 1"}) {
    SCOPED_TRACE(flags);
    Command command(Words(flags, 3'000'000), MakeFifos());
    for (int rank = 0; rank < kRanks; ++rank) {
      ASSERT_TRUE(HasFinished(rank));
    }

    const Outcome outcome = ReadConsole(command);

    EXPECT_TRUE(Contains(outcome.err, "status 0")) << outcome.err;
    for (const char* node : {"lines of node 0 ", "lines of node 1 "}) {
      EXPECT_TRUE(Contains(outcome.err, std::string(node) + "are not shown")) << outcome.err;
    }
    EXPECT_EQ(CountOf(outcome.err, "are not shown"), CountOf(outcome.err, "they lack are lost"))
        << outcome.err;
    std::filesystem::remove(scratch_.path() + "/console");
    for (int rank = 0; rank < kRanks; ++rank) {
      std::filesystem::remove(scratch_.path() + "/go." + std::to_string(rank));
      std::filesystem::remove(scratch_.path() + "/finished." + std::to_string(rank));
    }
    EXPECT_EQ(Verb({"rm", "job"}).status, 0);
  }
}

}  // namespace
}  // namespace lockstep::e2e
