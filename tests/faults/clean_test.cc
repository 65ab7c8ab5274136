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
  static std::vector<std::string> Uneven(const std::vector<std::string>& times = {}) {
    return Joined({Runfile("tests/faults/hang_rank"), "uneven", "1", "20"}, times);
  }
  static std::vector<std::string> OpenMpi() {
    return {Runfile("tests/faults/mpi_fault_rank_openmpi")};
  }
  static std::vector<std::string> Mpich() { return {Runfile("tests/faults/mpi_fault_rank_mpich")}; }
  std::vector<std::string> Nccl() const {
    return {"env", "TEST_TMPDIR=" + scratch_.path(),
            "LD_PRELOAD=" + Runfile("collectives/nccl/shim/liblockstep_nccl.so"),
            Runfile("tests/faults/nccl_fault_rank")};
  }
  /// Of which each agent of several nodes preloads the shim itself.
  std::vector<std::string> FarNccl() const {
    return {"env", "TEST_TMPDIR=" + scratch_.path(), Runfile("tests/faults/nccl_fault_rank")};
  }
  static bool IsSoak() { return std::getenv("LOCKSTEP_SOAK") != nullptr; }

  /// Runs it to its good end. What lockstep says of it meanwhile, in lines.
  std::vector<std::string> Said(const Gang& gang) {
    // Windows that fit into a run. On a machine that has too little for all a rank may be late for
    // a second, truly, but not by that much.
    const std::vector<std::string> pace{"--set", "spec.hangs.paceWindow=1s", "--set",
                                        "spec.hangs.stragglerPercent=30", "--"};
    std::vector<std::string> words = Joined(Joined(gang.layout, pace), gang.program);
    // Where rank 0 of NCCL tells the others its id; the others of the table ignore it.
    const bool is_of_table = gang.program[0] != Runfile("tests/faults/hang_rank");
    if (is_of_table)
      words = Joined(words, {"--id", scratch_.path() + "/id-" + std::to_string(ids_++)});
    const Outcome outcome = Command(RunWords(words), Options()).Wait(120s);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_GT(CountOf(outcome.out, " is through"), 1) << outcome.out;
    std::vector<std::string> said = Lines(outcome.err);
    std::erase_if(said, [](const std::string& line) { return !line.starts_with("lockstep: "); });
    return said;
  }

  const std::vector<std::string> kEven{"--fault", "none", "--victim", "0"};
  const std::vector<std::string> kUneven{"--fault", "uneven", "--victim", "1"};
  const std::vector<std::string> kTwoNodes{"--simulate-hosts", "--nnodes", "2", "--nproc-per-node",
                                           "2"};
  const std::vector<std::string> kTwoRanksOnNodes{"--simulate-hosts", "--nnodes", "2",
                                                  "--nproc-per-node", "1"};
  const std::vector<std::string> kThreeNodes{"--simulate-hosts", "--nnodes", "3",
                                             "--nproc-per-node", "1"};
  int ids_ = 0;
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
  const int runs = IsSoak() ? 100 : 20;
  const std::vector<Gang> gangs{{{"-np", "3"}, Uneven()},
                                {{"-np", "3"}, Joined(OpenMpi(), kEven)},
                                {kTwoNodes, Uneven()},
                                {{"-np", "3"}, Joined(Mpich(), kUneven)},
                                {kThreeNodes, Uneven()},
                                {{"-np", "2"}, Joined(Nccl(), kEven)},
                                {{"-np", "3"}, Joined(OpenMpi(), kUneven)},
                                {{"-np", "3"}, Joined(Mpich(), kEven)},
                                {{"-np", "3"}, Joined(Nccl(), kUneven)},
                                {kTwoRanksOnNodes, Joined(FarNccl(), kEven)}};
  for (int run = 0; run < runs; ++run) {
    SCOPED_TRACE("run " + std::to_string(run));
    // That somebody waits for the checkpoint may be said, and nothing else.
    for (const std::string& line : Said(gangs[static_cast<size_t>(run) % gangs.size()])) {
      EXPECT_THAT(line, HasSubstr("waiting: rank 1 has not come to all_reduce(f32, sum, 1000)"));
      EXPECT_THAT(line, HasSubstr("it is in the declared phase \"long phase\""));
    }
  }
}

/// Longer than the grace: that is said, of the rank that is late and of nobody else.
TEST_F(CleanTest, WhoIsLateForTheFirstOpOrSavesForLongIsWaitedFor) {
  const Stress stress;
  const std::vector<std::string> late{"--late", "5000"};
  std::vector<Gang> gangs{{{"-np", "3"}, Uneven({"5000", "12000"})},
                          {kTwoNodes, Uneven({"5000", "12000"})},
                          {{"-np", "3"}, Joined(Joined(OpenMpi(), kUneven), late)},
                          {{"-np", "3"}, Joined(Joined(Mpich(), kUneven), late)},
                          {{"-np", "3"}, Joined(Joined(Nccl(), kUneven), late)}};
  if (!IsSoak()) gangs = {{{"-np", "3"}, Joined(Joined(Nccl(), kUneven), {"--late", "3000"})}};
  for (size_t i = 0; i < gangs.size(); ++i) {
    SCOPED_TRACE("gang " + std::to_string(i));
    const std::vector<std::string> said = Said(gangs[i]);
    EXPECT_FALSE(said.empty());
    for (const std::string& line : said)
      EXPECT_THAT(line, HasSubstr("waiting: rank 1 has not come to all_reduce(f32, sum, "));
  }
}

}  // namespace
}  // namespace lockstep::e2e
