// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Gangs that stand still, on one node and on several: who is named, as what, how soon, and what
// becomes of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <string>
#include <utility>
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
using ::testing::EndsWith;
using ::testing::HasSubstr;

struct Hang {
  const char* fault;
  const char* verdict_class;
  const char* why;    // of the culprit, on the screen
  bool is_provable;   // else it is acted upon after --hang-action-after
  bool names_others;  // the culprit is one of several
};

std::ostream& operator<<(std::ostream& out, const Hang& hang) { return out << hang.fault; }

class HangTest : public RunFixture, public ::testing::WithParamInterface<Hang> {
 protected:
  std::vector<std::string> Words(std::vector<std::string> flags, const std::string& fault,
                                 int ranks, int victim, int nodes = 1) {
    name_ = "hang-" + fault + "-" + std::to_string(nodes) + "-" + std::to_string(ranks) + "-" +
            std::to_string(victim);
    std::vector<std::string> words{"--name", name_};
    if (nodes == 1) {
      words.insert(words.end(), {"-np", std::to_string(ranks)});
    } else {
      words.insert(words.end(), {"--simulate-hosts", "--nnodes", std::to_string(nodes),
                                 "--nproc-per-node", std::to_string(ranks / nodes)});
    }
    words.insert(words.end(), flags.begin(), flags.end());
    for (const std::string& word :
         {std::string("--"), Runfile("tests/faults/hang_rank"), fault, std::to_string(victim)})
      words.push_back(word);
    return words;
  }
  std::string FileOf(const std::string& file) const {
    return ReadFile(JobFolder(name_) + "/" + file);
  }
  /// Of the job, or of one of its rounds.
  proto::Verdict VerdictOf(const std::string& folder = "") const {
    return VerdictIn(JobFolder(name_) + "/" + folder);
  }

  std::string name_;  // of the job
};

/// The screen wraps lines.
std::string Unwrapped(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

struct Layout {
  int nodes;
  int ranks;
  int victim;
};
// Within a machine; over shared memory and TCP; over TCP alone.
constexpr Layout kLayouts[] = {{1, 2, 1}, {1, 3, 0}, {1, 4, 2}, {2, 4, 3}, {2, 4, 0}, {3, 3, 1}};

TEST_P(HangTest, IsNamedAndTheGangRestarts) {
  const Hang& hang = GetParam();
  for (const auto& [nodes, ranks, victim] : kLayouts) {
    SCOPED_TRACE(std::to_string(victim) + " of " + std::to_string(ranks) + " on " +
                 std::to_string(nodes));
    const Outcome run =
        RunIt(Words({"--max-restarts", "1", "--hang-action-after", "4s", "--grace", "200ms"},
                    hang.fault, ranks, victim, nodes));

    const std::string screen = Unwrapped(run.err);
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(CountOf(run.out, " is through"), ranks) << "in the round after";
    // Its ops would wait for an hour. What is found takes 1 s, or 4 s, and both rounds some more.
    EXPECT_LT(run.elapsed, 40s);
    const std::string named = "lockstep: rank " + std::to_string(victim) + " ";
    if (hang.names_others) {
      EXPECT_THAT(screen, HasSubstr(hang.why));
    } else {
      EXPECT_THAT(screen, AllOf(HasSubstr(named), HasSubstr(hang.why)));
    }
    EXPECT_THAT(run.err, HasSubstr("restart 1 of 1, at once"));
    const proto::Verdict verdict = VerdictOf("round-0");
    EXPECT_EQ(ClassOf(verdict), hang.verdict_class);
    EXPECT_EQ(verdict.confidence(), proto::Verdict::HIGH);
    if (hang.names_others) {
      EXPECT_THAT(CulpritsOf(verdict), ::testing::Contains(victim));
    } else {
      EXPECT_THAT(CulpritsOf(verdict), ElementsAre(victim)) << verdict.ShortDebugString();
    }
    if (nodes == 2 && victim == 3 && !hang.names_others && verdict.culprits_size() == 1) {
      EXPECT_THAT(verdict.culprits(0).host(), EndsWith("-n1")) << "where it is";
    }
    if (!hang.is_provable) {
      EXPECT_THAT(run.err, HasSubstr("lockstep: waiting: rank " + std::to_string(victim) + " "))
          << "a notice comes before";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, HangTest,
    ::testing::Values(
        Hang{"stops", "MISSING_RANK", "its process is stopped by a signal", true, false},
        Hang{"exits", "MISSING_RANK", "its process has ended, with exit status 0", true, false},
        Hang{"loops", "MISSING_RANK", "its process runs, in no op", false, false},
        Hang{"sleeps", "MISSING_RANK", "its process sleeps, in no op", false, false},
        Hang{"reads", "MISSING_RANK", "its process waits for input or output", false, false},
        Hang{"deadlock", "CROSS_GROUP_DEADLOCK", "wait for each other: rank ", true, true}),
    [](const auto& hang) { return std::string(hang.param.fault); });

using OneHangTest = HangTest;

/// Ranks that were told of it by an error fail, and the verdict is about who made them.
TEST_F(OneHangTest, CallsThatDifferAreNamed) {
  const std::pair<const char*, const char*> kinds[] = {{"size", "count"},
                                                       {"dtype", "dtype"},
                                                       {"reduction", "reduction"},
                                                       {"root", "root"},
                                                       {"op", "op"}};
  for (const auto& [fault, field] : kinds) {
    for (const auto& [nodes, ranks, victim] : kLayouts) {
      SCOPED_TRACE(std::string(fault) + ", " + std::to_string(victim) + " of " +
                   std::to_string(ranks) + " on " + std::to_string(nodes));
      const Outcome run = RunIt(Words({"--grace", "200ms"}, fault, ranks, victim, nodes));
      EXPECT_NE(run.status, 0);
      const proto::Verdict verdict = VerdictOf();
      EXPECT_EQ(ClassOf(verdict), "MISMATCH");
      EXPECT_EQ(verdict.seq(), 11u);
      if (ranks == 2) {
        EXPECT_THAT(CulpritsOf(verdict), ElementsAre(0, 1)) << "either may be right";
      } else {
        EXPECT_THAT(CulpritsOf(verdict), ElementsAre(victim)) << verdict.ShortDebugString();
      }
      EXPECT_THAT(ReasonsOf(verdict), Each(HasSubstr("the " + std::string(field) + "s differ")));
      EXPECT_THAT(Unwrapped(run.err), HasSubstr("lockstep: rank"));
    }
  }
}

TEST_F(OneHangTest, EvidenceOfAFailedRoundIsKeptAsThatRounds) {
  const Outcome run = RunIt(Words({"--max-restarts", "1", "--grace", "200ms"}, "dies", 3, 1));
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(FileOf("round-0/evidence/processes.json"), HasSubstr("\"signal\": 9"));
}

TEST_F(OneHangTest, OfOneThatDiesItsLastOpIsShown) {
  for (const auto& [fault, why] :
       {std::pair("dies", "killed by signal 9 (SIGKILL)"), std::pair("fails", "exit code 3")}) {
    for (const auto& [nodes, ranks, victim] : kLayouts) {
      SCOPED_TRACE(std::string(fault) + ", " + std::to_string(victim) + " of " +
                   std::to_string(ranks) + " on " + std::to_string(nodes));
      const Outcome run = RunIt(Words({"--grace", "200ms"}, fault, ranks, victim, nodes));
      EXPECT_THAT(
          Unwrapped(run.err),
          AllOf(HasSubstr("lockstep: rank " + std::to_string(victim) + " failed first: " + why),
                HasSubstr("rank " + std::to_string(victim) + " called last, ")));
      const proto::Verdict verdict = VerdictOf();
      EXPECT_EQ(ClassOf(verdict), "DEAD_RANK");
      EXPECT_THAT(CulpritsOf(verdict), ElementsAre(victim));
      EXPECT_THAT(FileOf("verdict.json"), HasSubstr("op 10 of group world at hang_rank_main.cc:"));
    }
  }
}

TEST_F(OneHangTest, WhoNeverJoinsIsSaidAndStillMayCome) {
  Command run(RunWords(Words({}, "never-joins", 3, 1)), Options());
  EXPECT_TRUE(run.WaitForOutput(
      [](const std::string&, const std::string& err) {
        return Contains(err,
                        "lockstep: waiting: rank 1 has not come to the making of group world: its "
                        "process has made no group yet");
      },
      10s));
  run.Signal(SIGTERM);
  EXPECT_EQ(run.Wait(40s).status, 128 + SIGTERM);
}

TEST_F(OneHangTest, ARankThatSaysThatItIsBusyIsWaitedFor) {
  const Outcome run = RunIt(Words({"--hang-action-after", "3s"}, "saves", 3, 1));
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(CountOf(run.out, " is through"), 3);
  EXPECT_THAT(
      Unwrapped(run.err),
      HasSubstr("waiting: rank 1 has not come to all_reduce(f32, sum, 1000), op 11 of group "
                "world: it is in the declared phase \"long phase\""));
}

TEST_F(OneHangTest, ReportSaysItAndDoesNothing) {
  Command run(RunWords(Words({"--on-hang", "report"}, "stops", 3, 1)), Options());
  EXPECT_TRUE(run.WaitForOutput(
      [](const std::string&, const std::string& err) {
        return Contains(err, "lockstep: the gang stands still: rank 1 has not come to all_reduce(");
      },
      10s));
  EXPECT_EQ(CountOf(run.Wait(0s).err, "stands still"), 1);
}

TEST_F(OneHangTest, DumpKeepsWhatWasSeenAndLetsTheGangStand) {
  Command run(RunWords(Words({"--on-hang", "dump"}, "stops", 3, 1)), Options());
  EXPECT_TRUE(run.WaitForOutput(
      [](const std::string&, const std::string& err) {
        return Contains(err, "round-0/evidence") &&
               Contains(err, "lockstep: the gang stands still");
      },
      10s));
  EXPECT_THAT(Verb({"diagnose", name_}).out, HasSubstr("has not come to all_reduce("));
  EXPECT_EQ(VerdictOf("round-0").action(), proto::Verdict::REPORT);
  run.Signal(SIGTERM);
  EXPECT_EQ(run.Wait(60s).status, 128 + SIGTERM) << "it was still there";
}

TEST_F(OneHangTest, AJobMayBeToldToEndThoughRestartsAreLeft) {
  for (const char* action : {"fail", "abort"}) {
    const Outcome run = RunIt(Words({"--on-hang", action, "--max-restarts", "3"}, "stops", 3, 1));
    EXPECT_EQ(run.status, 69) << run.err;
    EXPECT_THAT(Unwrapped(run.err),
                AllOf(HasSubstr("lockstep: rank 1 has not come to all_reduce("),
                      HasSubstr("the job ends with exit status 69: --on-hang asked for that")));
    EXPECT_THAT(FileOf("round-0/evidence/processes.json"), HasSubstr("\"state\": \"STOPPED\""))
        << "what was seen before any of it was ended";
  }
}

TEST_F(OneHangTest, WithoutRestartsTheJobEndsWithTheVerdict) {
  const Outcome run = RunIt(Words({}, "stops", 3, 2));
  EXPECT_EQ(run.status, 69);
  EXPECT_THAT(Unwrapped(run.err),
              AllOf(HasSubstr("lockstep: rank 2 has not come to all_reduce(f32, sum, 1000), op 11 "
                              "of group world: its process is stopped by a signal"),
                    HasSubstr("rank 0 has waited "), HasSubstr("advice   kill -CONT "),
                    HasSubstr("victims  2: ranks 0, 1")));
  EXPECT_EQ(ClassOf(VerdictOf()), "MISSING_RANK");
  EXPECT_THAT(CulpritsOf(VerdictOf()), ElementsAre(2));

  const Outcome again = Verb({"diagnose", name_});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(Unwrapped(again.out),
              AllOf(HasSubstr("lockstep: rank 2 has not come to all_reduce(f32, sum, 1000), op 11 "
                              "of group world: its process is stopped by a signal"),
                    HasSubstr("rank 0 has waited ")))
      << "when nothing of the gang is left";
  const std::string folder = JobFolder(name_) + "/round-0";
  EXPECT_THAT(Verb({"diagnose", "--json", folder}).out,
              AllOf(HasSubstr("\"class\": \"MISSING_RANK\""), HasSubstr("\"seq\": \"11\"")));
  EXPECT_EQ(Verb({"diagnose", scratch_.path() + "/nowhere"}).status, 66);
}

}  // namespace
}  // namespace lockstep::e2e
