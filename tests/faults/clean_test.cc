// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Gangs in which nothing is wrong, on a machine that has too much to do: nobody is blamed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

using CleanTest = RunFixture;

/// Loops that want all processors.
class Stress {
 public:
  Stress() {
    const unsigned count = 2 * std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < count; ++i) {
      loops_.push_back(std::make_unique<Command>(
          std::vector<std::string>{"sh", "-c", "while :; do :; done"}, Command::Options{}));
    }
  }
  ~Stress() {
    for (const auto& loop : loops_) loop->Signal(SIGKILL);
    for (const auto& loop : loops_) (void)loop->Wait(10s);
  }

 private:
  std::vector<std::unique_ptr<Command>> loops_;
};

TEST_F(CleanTest, NobodyIsBlamedWhereNothingIsWrong) {
  const Stress stress;
  const int runs = std::getenv("LOCKSTEP_SOAK") != nullptr ? 100 : 20;
  const std::vector<std::string> layouts[] = {
      {"-np", "3"},
      {"--simulate-hosts", "--nnodes", "2", "--nproc-per-node", "2"},
      {"--simulate-hosts", "--nnodes", "3", "--nproc-per-node", "1"}};
  for (int run = 0; run < runs; ++run) {
    std::vector<std::string> words = layouts[run % 3];
    SCOPED_TRACE("run " + std::to_string(run));
    words.insert(words.end(), {"--", Runfile("tests/faults/hang_rank"), "uneven", "1", "20"});
    const Outcome outcome = RunIt(words);

    EXPECT_EQ(outcome.status, 0) << outcome.err;
    // That somebody waits for the checkpoint may be said, and nothing else.
    for (const std::string& line : Lines(outcome.err)) {
      if (!line.starts_with("lockstep: ")) continue;
      EXPECT_THAT(line, HasSubstr("waiting: rank 1 has not come to all_reduce(f32, sum, 1000)"));
      EXPECT_THAT(line, HasSubstr("it is in the declared phase \"long phase\""));
    }
  }
}

}  // namespace
}  // namespace lockstep::e2e
