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
  /// Whose words follow: `slow` computes `percent` longer.
  std::vector<std::string> Words(std::vector<std::string> flags, const std::string& slow,
                                 const std::string& percent, const std::string& steps) {
    flags.insert(flags.end(),
                 {"--name", "pace", "--", Runfile("tests/faults/pace_rank"), slow, percent, steps});
    return RunWords(std::move(flags));
  }

  /// Until it is said that this rank is slow. Returns what was said by then: on a machine that has
  /// too much to do others may be slow for a second, too.
  std::string RunUntilSaid(std::vector<std::string> words, const std::string& rank) {
    Command run(words, Options());
    const std::string named = "lockstep: rank " + rank + " (";
    const bool is_said = run.WaitForOutput(
        [&](const std::string&, const std::string& err) {
          return Contains(err, named) && err.back() == '\n';
        },
        60s);
    run.Signal(SIGTERM);
    const Outcome outcome = run.Wait(30s);
    EXPECT_TRUE(is_said) << outcome.err;
    return outcome.err;
  }
};

// Of four ranks that share two cores the slow one has a core for itself at the end of a step: that
// it has 30 % more to do makes a step some 15 % longer.
TEST_F(PaceTest, ARankThatComputesLongerIsNamed) {
  const std::string said = RunUntilSaid(Words({"-np", "4", "--set", "spec.hangs.stragglerPercent=5",
                                               "--set", "spec.hangs.paceWindow=400ms"},
                                              "2", "30", kForever),
                                        "2");

  EXPECT_THAT(said, HasSubstr(" is slow: it comes "));
  EXPECT_THAT(said, HasSubstr("late to the ops of group world in each step"));
  std::string events;
  for (const auto& entry : std::filesystem::directory_iterator(JobFolder("pace"))) {
    if (entry.path().filename().string().starts_with("events.")) events += ReadFile(entry.path());
  }
  EXPECT_THAT(events,
              AllOf(HasSubstr("\"class\":\"STRAGGLER\""), HasSubstr("\"culprits\":[{\"rank\":2,")));
}

TEST_F(PaceTest, OfSeveralNodesItIsNamedWithItsHost) {
  const std::string said =
      RunUntilSaid(Words({"--simulate-hosts", "--nnodes", "2", "--nproc-per-node", "2", "--set",
                          "spec.hangs.stragglerPercent=20", "--set", "spec.hangs.paceWindow=400ms"},
                         "3", "100", kForever),
                   "3");

  EXPECT_THAT(said, HasSubstr("-n1, pid "));
}

TEST_F(PaceTest, HowLongRanksMayWaitIsSetWhileTheyRun) {
  MakeGo();
  Command run(
      RunScript({"-np", "1", "--name", "pace", "--hang-grace", "3s"}, "echo up; read word <go"),
      Options());
  ASSERT_TRUE(run.WaitForOutput(
      [](const std::string& out, const std::string&) { return Contains(out, "up"); }, 20s));
  EXPECT_THAT(
      Verb({"hangs", "pace"}).out,
      HasSubstr("told after 3s; a rank that may be healthy is blamed after 3s, one that has "
                "not begun yet after 2m"));
  const Outcome set =
      Verb({"hangs", "--grace", "9s", "--action-after", "10m", "--init-deadline", "20m", "pace"});
  EXPECT_EQ(set.status, 0) << set.err;
  EXPECT_THAT(Verb({"hangs", "pace"}).out,
              AllOf(HasSubstr("after 9s"), HasSubstr("after 10m"), HasSubstr("after 20m")));
  const Outcome refused = Verb({"hangs", "--grace", "1ms", "pace"});
  EXPECT_NE(refused.status, 0);
  EXPECT_THAT(refused.err, HasSubstr("it must be 100ms to 24h"));
  run.Signal(SIGTERM);
  (void)run.Wait(30s);
}

// By a bound that a rank which computes twice as long is far above. Who gets less of a processor
// than the others for long is slow, whatever the reason; a second is not long.
TEST_F(PaceTest, InAnEvenGangNobodyIsNamedWhateverElseRuns) {
  std::vector<std::unique_ptr<Command>> stress;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    stress.push_back(std::make_unique<Command>(
        std::vector<std::string>{"sh", "-c", "while :; do :; done"}, Command::Options{}));
  }
  const Outcome run = RunToEnd(Words({"-np", "4", "--set", "spec.hangs.stragglerPercent=30",
                                      "--set", "spec.hangs.paceWindow=1s"},
                                     "-1", "0", "60"),
                               scratch_, 60s);
  for (const auto& loop : stress) loop->Signal(SIGKILL);

  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(CountOf(run.out, " is through"), 4);
  EXPECT_THAT(run.err, Not(HasSubstr("slow")));
}

}  // namespace
}  // namespace lockstep::e2e
