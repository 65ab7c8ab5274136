// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Where ranks stand: told in the verdict on a gang that stands still, and by `lockstep stacks`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class StacksTest : public RunFixture {
 protected:
  std::vector<std::string> Words(std::vector<std::string> flags, const std::string& fault) {
    std::vector<std::string> words{"-np", "3", "--name", "stacks"};
    words.insert(words.end(), flags.begin(), flags.end());
    for (const std::string& word :
         {std::string("--"), Runfile("tests/faults/hang_rank"), fault, std::string("1")})
      words.push_back(word);
    return words;
  }
  std::string InRound(const std::string& file) const {
    return ReadFile(JobFolder("stacks") + "/round-0/" + file);
  }
  /// Starts one that stands still, and does not end it for that.
  void StartJobThatHangs(Command& run) {
    EXPECT_TRUE(run.WaitForOutput(
        [](const std::string&, const std::string& err) {
          return Contains(err, "waiting: rank 1 has not come to all_reduce");
        },
        20s));
  }
};

TEST_F(StacksTest, TheVerdictSaysWhereTheOneToBlameStands) {
  const Outcome run = RunIt(Words({"--hang-action-after", "2s"}, "loops"));

  EXPECT_THAT(run.err, AllOf(HasSubstr("where rank 1 stands:\n  | "), HasSubstr("| main")));
  const std::string json = InRound("verdict.json");
  EXPECT_THAT(json, AllOf(HasSubstr("\"kind\": \"STACK\""), HasSubstr("stacks-rank-1.txt")));
  EXPECT_THAT(InRound("evidence/stacks-rank-1.txt"),
              AllOf(HasSubstr("hang_rank: runs\n  #0 "), HasSubstr(" main ")));
  EXPECT_EQ(InRound("evidence/stacks-rank-0.txt"), "") << "of victims their calls tell enough";
}

TEST_F(StacksTest, OfOneThatIsStoppedToo) {
  const Outcome run = RunIt(Words({}, "stops"));

  EXPECT_THAT(run.err, HasSubstr("where rank 1 stands:\n  | "));
  EXPECT_THAT(InRound("evidence/stacks-rank-1.txt"),
              AllOf(HasSubstr("is stopped by a signal"), HasSubstr(" main ")));
  EXPECT_THAT(Verb({"diagnose", "stacks"}).out, HasSubstr("where rank 1 stands:\n  | "))
      << "when nothing of the gang is left";
}

TEST_F(StacksTest, OfOneOnAnotherNodeItsAgentTells) {
  const Outcome run = RunIt({"--simulate-hosts", "--nnodes", "2", "--nproc-per-node", "2", "--name",
                             "stacks", "--", Runfile("tests/faults/hang_rank"), "stops", "3"});

  EXPECT_THAT(run.err, HasSubstr("where rank 3 stands:\n  | "));
  EXPECT_THAT(InRound("evidence/stacks-rank-3.txt"),
              AllOf(HasSubstr("is stopped by a signal"), HasSubstr(" main ")));
}

TEST_F(StacksTest, TheVerbNamesTheRankThatIsElsewhere) {
  Command run(RunWords(Words({}, "loops")), Options());
  StartJobThatHangs(run);

  const Outcome all = Verb({"stacks", "stacks"});
  EXPECT_EQ(all.status, 0) << all.err;
  EXPECT_THAT(all.out, AllOf(HasSubstr("ranks 0, 2 of 3 are in lockstep::collectives::"),
                             HasSubstr("rank 1 of 3 is elsewhere, in ")));
  const Outcome one = Verb({"stacks", "stacks", "--rank", "1"});
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(one.out, AllOf(HasSubstr(" main "), HasSubstr("thread ")));
  const Outcome json = Verb({"stacks", "--json", "stacks"});
  EXPECT_THAT(json.out, HasSubstr("\"is_outlier\":true"));
  EXPECT_EQ(Verb({"stacks", "stacks", "--rank", "3"}).status, 66) << "there is none";

  run.Signal(SIGTERM);
  EXPECT_EQ(run.Wait(60s).status, 128 + SIGTERM);
  EXPECT_THAT(Verb({"stacks", "stacks"}).err, HasSubstr("it does not run"));
}

TEST_F(StacksTest, BehindAShellAreItsRanks) {
  Command run(RunScript({"-np", "2", "--name", "stacks"}, "sleep 1000; exit 0"), Options());
  Outcome all;
  EXPECT_TRUE(Eventually(
      [&] {
        all = Verb({"stacks", "stacks"});
        return Contains(all.out, "ranks 0, 1 of 2 are in sleep");
      },
      20s))
      << all.out << all.err;
  EXPECT_THAT(all.out, HasSubstr("\n  sleeps in "));

  run.Signal(SIGINT);
  run.Wait(60s);
}

}  // namespace
}  // namespace lockstep::e2e
