// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// MPI programs that have never heard of Lockstep, under mpirun and `lockstep exec`: who
// makes them stand still is named where their users read, and ended when that is wanted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/exec_fixture.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// Rank 1 of three is guilty of what it does.
class ExecHangTest : public ExecFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  std::vector<std::string> Words(const std::string& on_hang,
                                 const std::vector<std::string>& fault) const {
    std::vector<std::string> words =
        Exec({"--on-hang=" + on_hang, "--hang-action-after=4s", "--",
              Runfile(std::string("tests/mpi_shim/shim_rank_") + GetParam())});
    words.insert(words.end(), fault.begin(), fault.end());
    return Mpirun(GetParam(), 3, words);
  }
  /// The screen wraps lines.
  static std::string Unwrapped(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
  }
  std::string VerdictOfTheJob() const {
    const std::vector<std::string> folders = JobFolders();
    return folders.size() == 1 ? ReadFile(folders[0] + "/verdict.json") : "";
  }
};

TEST_P(ExecHangTest, WhoIsStoppedIsNamedAndTheJobEnds) {
  Command job(Words("kill", {"stopped"}), ExecOptions());
  const Outcome outcome = job.Wait(60s);

  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(Unwrapped(outcome.err + outcome.out),
              AllOf(HasSubstr("lockstep: rank 1 has not come to barrier, op 3 of group "
                              "MPI_COMM_WORLD: its process is stopped by a signal"),
                    HasSubstr("rank 0 has waited "), HasSubstr("kill -CONT "),
                    HasSubstr("where rank 1 stands:"),
                    HasSubstr("its ranks on this host are killed (--on-hang=kill)")));
  EXPECT_THAT(
      VerdictOfTheJob(),
      AllOf(HasSubstr("\"class\": \"MISSING_RANK\""), HasSubstr("\"rank\": 1,"),
            HasSubstr("\"action\": \"KILL_RANKS\""), HasSubstr("\"confidence\": \"HIGH\"")));
  EXPECT_TRUE(HasEndedAfter(10s));
  const Outcome again = Verb({"diagnose", std::filesystem::path(JobFolders().at(0)).filename()});
  EXPECT_THAT(Unwrapped(again.out), HasSubstr("lockstep: rank 1 has not come to barrier"));
}

TEST_P(ExecHangTest, CallsThatDifferAreNamed) {
  for (const char* const field : {"count", "dtype", "reduction", "root", "op"}) {
    SCOPED_TRACE(field);
    Command job(Words("kill", {"mismatch", field}), ExecOptions());
    const Outcome outcome = job.Wait(60s);
    EXPECT_NE(outcome.status, 0);
    EXPECT_THAT(Unwrapped(outcome.err + outcome.out),
                AllOf(HasSubstr("lockstep: rank 1 called "), HasSubstr("where the others called "),
                      HasSubstr("the " + std::string(field) + "s differ")));
    EXPECT_TRUE(HasEndedAfter(10s));
    Verb({"prune"});
  }
}

TEST_P(ExecHangTest, ReportSaysItAndEndsNobody) {
  Command job(Words("report", {"stopped"}), ExecOptions());
  EXPECT_TRUE(job.WaitForOutput(
      [](const std::string& out, const std::string& err) {
        return Contains(Unwrapped(out + err), "nothing is done about it (--on-hang=report)");
      },
      30s));
  const std::string status = Verb({"ps"}).out;
  EXPECT_THAT(status, HasSubstr("running"));
  job.Signal(SIGKILL);
  (void)job.Wait(30s);
}

INSTANTIATE_TEST_SUITE_P(Mpirun, ExecHangTest, ::testing::Values("openmpi", "mpich"),
                         [](const auto& mpi) { return std::string(mpi.param); });

}  // namespace
}  // namespace lockstep::e2e
