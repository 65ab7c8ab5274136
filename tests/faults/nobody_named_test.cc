// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Gangs that stand still for which no rank can be named: all have come to an op of which nothing
// moves, or of those who have not come nothing is known. What is said, what is kept, and what
// becomes of the gang.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/faults/job_facts.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

constexpr auto kGrace = 500ms;
constexpr auto kDeadline = 2s;
constexpr auto kLooks = 300ms;  // one each 250 ms
constexpr auto kBusy = 2000ms;  // what a busy machine needs, and stacks

/// All ranks have come to the op in which rank 1 is held.
struct Stall {
  const char* name;
  const char* program;  // in tests/faults
  const char* script;   // of the fake NCCL
  const char* op;
  const char* site;  // where it was called
  bool restarts;
};

std::ostream& operator<<(std::ostream& out, const Stall& stall) { return out << stall.name; }

class StallTest : public RunFixture, public ::testing::WithParamInterface<Stall> {
 protected:
  /// Rounds after the first one are no test of the library.
  std::vector<std::string> Words(const Stall& stall) const {
    std::vector<std::string> words{
        "-np",          "3",          "--name",          "stall",        "--grace", "100ms",
        "--hang-grace", Text(kGrace), "--hang-deadline", Text(kDeadline)};
    if (stall.restarts) words.insert(words.end(), {"--max-restarts", "1"});
    const std::string script =
        "[ $LOCKSTEP_ROUND = 0 ] || { echo rank $RANK is there again; exit 0; }; export "
        "TEST_TMPDIR=" +
        scratch_.path() + " FAKE_NCCL_FAULTS=" + stall.script + "; exec " +
        Runfile(std::string("tests/faults/") + stall.program) + " --fault stalls --victim 1 --id " +
        scratch_.path() + "/id";
    // What a script starts is not seen.
    const bool is_open_mpi = Contains(stall.program, "openmpi");
    if (Contains(stall.program, "mpi_")) words.push_back(is_open_mpi ? "--mpi=pmix" : "--mpi=pmi1");
    return RunScript(words, script);
  }
  static std::string Text(std::chrono::milliseconds time) {
    return std::to_string(time.count()) + "ms";
  }
};

TEST_P(StallTest, NobodyIsNamedAndAtTheDeadlineAllFailTogether) {
  const Stall& stall = GetParam();

  const Outcome run = RunToEnd(Words(stall), scratch_);

  SCOPED_TRACE(run.err);
  EXPECT_EQ(run.status, stall.restarts ? 0 : 69);
  EXPECT_EQ(CountOf(run.out, " is there again"), stall.restarts ? 3 : 0);
  EXPECT_THAT(run.err, HasSubstr(stall.restarts ? "restart 1 of 1" : "no restarts were asked for"));
  const std::string op = std::string(stall.op);
  EXPECT_THAT(run.err, AllOf(HasSubstr("lockstep: waiting: all have come to " + op),
                             HasSubstr("lockstep: all have come to " + op)));

  const std::string folder = JobFolder("stall");
  const proto::Verdict verdict = VerdictIn(folder + "/round-0");
  EXPECT_EQ(ClassOf(verdict), "LIBRARY_STALL");
  EXPECT_THAT(CulpritsOf(verdict), IsEmpty());
  EXPECT_EQ(verdict.confidence(), proto::Verdict::MEDIUM);
  EXPECT_THAT(verdict.victims(), ElementsAre(0, 1, 2));
  const std::vector<std::string> lines = LinesOf(verdict, proto::Evidence::WAITS);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_THAT(
        lines, ::testing::Contains(AllOf(HasSubstr("rank " + std::to_string(rank) + " has waited "),
                                         HasSubstr(" in " + op), HasSubstr(stall.site))));
  }
  // Before anything was ended: of each rank.
  for (const char* const file : {"/rank-0.ring", "/rank-1.ring", "/rank-2.ring"})
    EXPECT_NE(ReadFile(folder + "/round-0/evidence" + file), "") << file;
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_THAT(ReadFile(folder + "/round-0/evidence/stacks-rank-" + std::to_string(rank) + ".txt"),
                HasSubstr("main"));
  }

  const std::vector<proto::Event> events = EventsIn(folder);
  const auto notice = FirstWaitingNotice(events);
  const auto down = FirstSignal(events);
  ASSERT_TRUE(notice.has_value() && down.has_value());
  EXPECT_THAT(notice->notice().ranks(), IsEmpty());
  const std::chrono::nanoseconds later(*down - notice->steady_ns());
  EXPECT_LE(later, kDeadline - kGrace + kLooks + kBusy);
}

INSTANTIATE_TEST_SUITE_P(
    All, StallTest,
    ::testing::Values(
        // A kernel on rank 1's GPU has no end.
        Stall{"nccl_kernel", "nccl_fault_rank", "async_error=1:10",
              "all_reduce(f32, sum, 8), op 11 of", " at nccl_fault_rank+0x", true},
        // NCCL itself does not return from the call.
        Stall{"nccl_call", "nccl_fault_rank", "call_blocks=1:10",
              "all_reduce(f32, sum, 8), op 11 of", " at nccl_fault_rank+0x", false},
        Stall{"openmpi", "mpi_fault_rank_openmpi", "", "all_reduce(f32, ",
              " at mpi_fault_rank_openmpi+0x", false},
        Stall{"mpich", "mpi_fault_rank_mpich", "", "all_reduce(f32, ",
              " at mpi_fault_rank_mpich+0x", false}),
    [](const auto& stall) { return std::string(stall.param.name); });

class UnknownTest : public RunFixture {
 protected:
  /// "agent RANK PID" of each rank's agent.
  static std::optional<pid_t> AgentOf(const std::string& out, int rank) {
    const std::string word = "agent " + std::to_string(rank) + " ";
    const size_t at = out.find(word);
    if (at == std::string::npos) return std::nullopt;
    return static_cast<pid_t>(std::atoi(out.c_str() + at + word.size()));
  }
};

/// A node whose agent does not answer, for less than its lease: by default that is 2 s, after which
/// the node is lost (network_test).
TEST_F(UnknownTest, OfANodeThatDoesNotAnswerNobodyIsNamedUntilItDoes) {
  Command job(
      RunScript({"--simulate-hosts", "--nnodes", "2", "-np", "2", "--name", "unknown", "--lease",
                 "30s", "--grace", "100ms", "--hang-grace", "400ms", "--hang-deadline", "2s"},
                "echo agent $RANK $PPID; exec " + Runfile("tests/faults/host_fault_rank") +
                    " --fault sleeps --victim 1"),
      Options());
  std::optional<pid_t> agent;
  ASSERT_TRUE(job.WaitForOutput(
      [&](const std::string& out, const std::string&) {
        agent = AgentOf(out, 1);
        return agent.has_value() && Contains(out, "victim pid ");
      },
      20s));

  ASSERT_EQ(::kill(*agent, SIGSTOP), 0);
  const bool is_said = job.WaitForOutput(
      [](const std::string&, const std::string& err) {
        return Contains(err, "lockstep: the gang stands still: rank 0 waits in ") &&
               Contains(err, "  victims ");
      },
      20s);
  const std::string folder = JobFolder("unknown");
  const proto::Verdict verdict = VerdictIn(folder + "/round-0");
  const std::vector<proto::Event> events = EventsIn(folder);
  ASSERT_EQ(::kill(*agent, SIGCONT), 0);
  const Outcome run = job.Wait(30s);

  SCOPED_TRACE(run.err);
  EXPECT_TRUE(is_said);
  EXPECT_THAT(run.err,
              HasSubstr("lockstep: waiting: rank 0 waits in all_reduce(f32, sum, 1000), op "
                        "11 of group world, and too little is known of rank 1 to tell why"));
  EXPECT_EQ(ClassOf(verdict), "UNKNOWN");
  EXPECT_THAT(CulpritsOf(verdict), IsEmpty());
  EXPECT_EQ(verdict.confidence(), proto::Verdict::LOW);
  EXPECT_EQ(verdict.action(), proto::Verdict::REPORT);
  EXPECT_THAT(
      LinesOf(verdict, proto::Evidence::WAITS),
      IsSupersetOf({HasSubstr("rank 0 has waited "), HasSubstr("of rank 1 too little is known")}));
  for (const proto::Event& event : events) {
    EXPECT_THAT(event.notice().ranks(), IsEmpty()) << event.ShortDebugString();
    EXPECT_FALSE(event.has_signal_sent()) << "nothing is done about it";
  }
  // When it is heard again.
  EXPECT_EQ(run.status, 69);
  const proto::Verdict last = VerdictIn(folder);
  EXPECT_EQ(ClassOf(last), "MISSING_RANK");
  EXPECT_THAT(CulpritsOf(last), ElementsAre(1));
  EXPECT_THAT(ReasonsOf(last), Each(HasSubstr("its process sleeps, in no op")));
}

}  // namespace
}  // namespace lockstep::e2e
