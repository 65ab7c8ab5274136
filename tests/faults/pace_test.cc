// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Gangs that go on: a rank that computes longer is named, on one node and on several, and in an
// even gang nobody is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const char* const kForever = "1000000";

class PaceTest : public RunFixture {
 protected:
  std::vector<std::string> Words(std::vector<std::string> flags, const std::string& slow,
                                 const std::string& percent, const std::string& steps) {
    flags.insert(flags.end(), {"--name", "pace", "--pace-window", "400ms", "--",
                               Runfile("tests/faults/pace_rank"), slow, percent, steps});
    return RunWords(std::move(flags));
  }

  /// Who was said to be slow first: "rank 2". Others may follow it, where the machine is busy.
  static std::string FirstNamed(const std::string& said) {
    const size_t end = said.find(" (", said.rfind("lockstep: ", said.find(" is slow")));
    const size_t begin = said.rfind("rank ", end);
    return begin < end ? said.substr(begin, end - begin) : "";
  }

  /// Until it is said that somebody, or something, is slow. Returns what was said by then.
  std::string RunUntilSaid(std::vector<std::string> words) {
    Command run(words, Options());
    const bool is_said = run.WaitForOutput(
        [](const std::string&, const std::string& err) { return Contains(err, " slow"); }, 60s);
    run.Signal(SIGTERM);
    const Outcome outcome = run.Wait(30s);
    EXPECT_TRUE(is_said) << outcome.err;
    return outcome.err;
  }
};

// Of four ranks that share two cores the slow one has a core for itself at the end of a step: that
// it has 30 % more to do makes a step some 15 % longer.
TEST_F(PaceTest, ARankThatComputesLongerIsNamed) {
  const std::string said =
      RunUntilSaid(Words({"-np", "4", "--straggler-percent", "5"}, "2", "30", kForever));

  EXPECT_EQ(FirstNamed(said), "rank 2") << said;
  EXPECT_THAT(said, HasSubstr(" is slow: it comes "));
  EXPECT_THAT(said, HasSubstr("late to the ops of group world in each step"));
  std::string events;
  for (const auto& entry : std::filesystem::directory_iterator(JobFolder("pace"))) {
    if (entry.path().filename().string().starts_with("events.")) events += ReadFile(entry.path());
  }
  EXPECT_THAT(events, AllOf(HasSubstr("\"class\":\"STRAGGLER\""),
                            HasSubstr("\"culprits\":[{\"rank\":2,")));
}

TEST_F(PaceTest, OfSeveralNodesItIsNamedWithItsHost) {
  const std::string said = RunUntilSaid(
      Words({"--simulate-hosts", "--nnodes", "2", "--nproc-per-node", "2", "--straggler-percent",
             "5"},
            "3", "100", kForever));

  EXPECT_EQ(FirstNamed(said), "rank 3") << said;
  EXPECT_THAT(said, HasSubstr("-n1, pid "));
}

TEST_F(PaceTest, InAnEvenGangNobodyIsNamedWhateverElseRuns) {
  std::vector<std::unique_ptr<Command>> stress;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    stress.push_back(std::make_unique<Command>(
        std::vector<std::string>{"sh", "-c", "while :; do :; done"}, Command::Options{}));
  }
  const Outcome run = RunToEnd(Words({"-np", "4"}, "-1", "0", "60"), scratch_, 60s);
  for (const auto& loop : stress) loop->Signal(SIGKILL);

  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(CountOf(run.out, " is through"), 4);
  EXPECT_THAT(run.err, Not(HasSubstr("slow")));
}

}  // namespace
}  // namespace lockstep::e2e
