// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Programs whose MPI calls nothing can see: said once, where there are any.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>

#include "tests/e2e/command.h"
#include "tests/e2e/exec_fixture.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

class UnwatchedTest : public ExecFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  static std::string Program() {
    return Runfile(std::string("tests/faults/static_rank") + GetParam());
  }
  static bool HasMpi() { return Contains(GetParam(), "_mpi"); }
  static void ExpectSaidOnce(const Outcome& outcome) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(CountOf(outcome.out, "it has run\n"), 2) << outcome.out;
    EXPECT_EQ(outcome.err, HasMpi() ? "lockstep: a hang of " + Program() +
                                          " will not be seen: it is linked statically, its MPI "
                                          "too, so that nothing can be preloaded into it "
                                          "(--watch)\n"
                                    : "");
  }
};

TEST_P(UnwatchedTest, AStaticProgramWithAnMpiIsSaidOnce) {
  ExpectSaidOnce(RunIt({"-np", "2", "--", Program()}));
  ExpectSaidOnce(RunWords(Loop(2, Exec({"--", Program()}))));
}

INSTANTIATE_TEST_SUITE_P(All, UnwatchedTest,
                         ::testing::Values("", "_stripped", "_mpi", "_mpi_stripped"),
                         [](const auto& kind) { return "Static" + std::string(kind.param); });

using WatchedTest = ExecFixture;

/// By default as with `lockstep run`; of several hosts' ranks the agent sees those of its own.
TEST_F(WatchedTest, ExecPreloadsWhatRecordsWhereAllRanksAreOnOneHost) {
  const std::string script = "echo preloads=${LD_PRELOAD##*/}.";
  const Outcome here = RunWords(Loop(2, Exec({"--", "/bin/sh", "-c", script})));
  const Outcome off = RunWords(Loop(2, Exec({"--watch=off", "--", "/bin/sh", "-c", script})));
  Command::Options options = ExecOptions();
  for (const auto& [name, value] :
       {std::pair("RANK", "0"), std::pair("WORLD_SIZE", "2"), std::pair("LOCAL_RANK", "0"),
        std::pair("LOCAL_WORLD_SIZE", "1"), std::pair("MASTER_ADDR", "h0"),
        std::pair("MASTER_PORT", "1")})
    options.environment[name] = value;
  const Outcome part =
      Command(Exec({"--", "/bin/sh", "-c", script}), options).Wait(std::chrono::seconds(20));

  EXPECT_EQ(CountOf(here.out, "preloads=liblockstep_"), 2) << here.out << here.err;
  EXPECT_EQ(CountOf(off.out, "preloads=.\n"), 2) << off.out << off.err;
  EXPECT_EQ(CountOf(part.out, "preloads=.\n"), 1) << part.out << part.err;
}

/// Which has chosen for its ranks.
TEST_F(WatchedTest, InARankOfLockstepRunExecAddsNothing) {
  const Outcome run = RunIt({"-np", "2", "--watch=off", "--", LockstepPath(), "exec", "--",
                             "/bin/sh", "-c", "echo preloads=$LD_PRELOAD."});
  EXPECT_EQ(CountOf(run.out, "preloads=.\n"), 2) << run.out << run.err;
}

}  // namespace
}  // namespace lockstep::e2e
