// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Gangs in which nothing is wrong, on a machine that has too much to do: nobody is blamed, not for
// being slow either. Windows are short, so that each gang has some of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
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
using ::testing::HasSubstr;

class CleanTest : public RunFixture {
 protected:
  struct Gang {
    std::vector<std::string> layout;
    std::vector<std::string> program;
  };
  static std::vector<std::string> Joined(std::vector<std::string> words,
                                         const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::string IdPath(int run) const { return scratch_.path() + "/id-" + std::to_string(run); }
};

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
  const std::vector<std::string> uneven{Runfile("tests/faults/hang_rank"), "uneven", "1", "20"};
  const std::vector<std::string> even{"--fault", "none", "--victim", "0"};
  // Of which each agent of several nodes preloads the shim itself.
  const std::vector<std::string> far_nccl{"env", "TEST_TMPDIR=" + scratch_.path(),
                                          Runfile("tests/faults/nccl_fault_rank")};
  const std::vector<std::string> nccl{
      "env", "TEST_TMPDIR=" + scratch_.path(),
      "LD_PRELOAD=" + Runfile("collectives/nccl/shim/liblockstep_nccl.so"),
      Runfile("tests/faults/nccl_fault_rank")};
  const std::vector<Gang> gangs{
      {{"-np", "3"}, uneven},
      {{"-np", "3"}, Joined({Runfile("tests/faults/mpi_fault_rank_openmpi")}, even)},
      {{"--simulate-hosts", "--nnodes", "2", "--nproc-per-node", "2"}, uneven},
      {{"-np", "3"}, Joined({Runfile("tests/faults/mpi_fault_rank_mpich")}, even)},
      {{"--simulate-hosts", "--nnodes", "3", "--nproc-per-node", "1"}, uneven},
      {{"-np", "2"}, Joined(nccl, even)},
      {{"--simulate-hosts", "--nnodes", "2", "--nproc-per-node", "1"}, Joined(far_nccl, even)}};
  // Windows that fit into a run. On a machine that has too little for all a rank may be late for a
  // second, truly, but not by that much.
  const std::vector<std::string> pace{"--set", "spec.hangs.paceWindow=1s", "--set",
                                      "spec.hangs.stragglerPercent=30", "--"};
  for (int run = 0; run < runs; ++run) {
    const Gang& gang = gangs[static_cast<size_t>(run) % gangs.size()];
    SCOPED_TRACE("run " + std::to_string(run));
    std::vector<std::string> words = Joined(gang.layout, pace);
    words = Joined(std::move(words), gang.program);
    // Where rank 0 of NCCL tells the others its id; the others of the table ignore it.
    if (gang.program != uneven) words = Joined(std::move(words), {"--id", IdPath(run)});
    const Outcome outcome = RunIt(words);

    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_GT(CountOf(outcome.out, " is through"), 1) << outcome.out;
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
