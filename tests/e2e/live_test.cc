// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What users see of a job that runs: status, top, metrics, and the metrics file.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kEnterScreen = "\x1b[?1049h";
constexpr const char* kLeaveScreen = "\x1b[?1049l";

/// A job of three ranks in which rank 1 saves a checkpoint for ever, and the others wait for it.
class LiveTest : public RunFixture {
 protected:
  void Start(const std::vector<std::string>& flags = {}) {
    std::vector<std::string> words{"-np", "3", "--name", "live", "--on-hang", "report"};
    words.insert(words.end(), flags.begin(), flags.end());
    for (const std::string& word :
         {std::string("--"), Runfile("tests/e2e/live_rank"), std::string("20")})
      words.push_back(word);
    run_ = std::make_unique<Command>(RunWords(words), Options());
    EXPECT_TRUE(Eventually(
        [this] {
          const std::string status = Verb({"status", "live"}).out;
          return Contains(status, "world  waiting") && Contains(status, "checkpoint");
        },
        20s));
  }
  void Stop() {
    EXPECT_EQ(Verb({"stop", "live"}).status, 0);
    run_->Wait(20s);
  }
  std::unique_ptr<Command> Top() const {
    Command::Options options = Options();
    options.terminal = true;
    return std::make_unique<Command>(std::vector<std::string>{LockstepPath(), "top", "live"},
                                     options);
  }
  static bool ShowsRanks(Command& top) {
    return top.WaitForOutput(
        [](const std::string& out, const std::string&) {
          return Contains(out, kEnterScreen) && Contains(out, "world  waiting");
        },
        20s);
  }

  std::unique_ptr<Command> run_;
};

TEST_F(LiveTest, EveryViewTellsWhoIsAwaitedInWhichOp) {
  Start({"--metrics-file", "job.prom"});

  const std::string status = Verb({"status", "live"}).out;
  EXPECT_THAT(status, ContainsRegex("world  waiting  [0-9]+ +2 of 3  .*all_reduce.f32, sum, 1000. "
                                    "at live_rank_main.cc:.*rank 1: sleeps, in the phase "
                                    "\"checkpoint\""));
  EXPECT_THAT(status, ContainsRegex("step +20\n"));
  EXPECT_THAT(status, ContainsRegex("samples +[0-9.]+ a second\n"));

  google::protobuf::Struct json;
  const std::string line = Verb({"status", "--json", "live"}).out;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(line, &json).ok()) << line;
  const auto& group = json.fields().at("groups").list_value().values(0).struct_value().fields();
  EXPECT_EQ(
      group.at("awaited").list_value().values(0).struct_value().fields().at("rank").number_value(),
      1);
  const auto& ranks = json.fields().at("ranks").list_value();
  EXPECT_EQ(ranks.values(1).struct_value().fields().at("phase").string_value(), "checkpoint");

  const std::string top = Verb({"top", "--once", "live"}).out;
  EXPECT_THAT(top, AllOf(HasSubstr("3 of 3 ranks alive, step 20"),
                         HasSubstr("[checkpoint] after all_reduce(f32, sum, 1000), op "),
                         Not(HasSubstr("\x1b"))));
  const std::string objects = Verb({"top", "--once", "--json", "live"}).out;
  EXPECT_EQ(CountOf(objects, "\n"), 1);
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(objects, &json).ok()) << objects;

  const std::string metrics = Verb({"metrics", "live"}).out;
  EXPECT_THAT(metrics, AllOf(ContainsRegex("lockstep_job_ranks_alive.job=\"live-[0-9a-z]+\". 3\n"),
                             ContainsRegex("lockstep_rank_step.job=\"[^\"]*\",rank=\"1\". 20\n"),
                             ContainsRegex("lockstep_group_awaited_ranks.*group=\"world\".* 1\n")));
  EXPECT_THAT(scratch_.Read("job.prom"), HasSubstr("# TYPE lockstep_job_restarts_total counter\n"));
  Stop();
  EXPECT_EQ(scratch_.Read("job.prom"), "") << "nobody is to find metrics of a job that is over";
}

TEST_F(LiveTest, TopTakesTheTerminalAndGivesItBackHoweverItEnds) {
  Start();
  const auto ended_by_signal = Top();
  EXPECT_TRUE(ShowsRanks(*ended_by_signal));
  ended_by_signal->Signal(SIGTERM);
  const Outcome signalled = ended_by_signal->Wait(10s);
  EXPECT_EQ(signalled.status, 0);
  EXPECT_THAT(signalled.out, EndsWith(kLeaveScreen));

  const auto ended_with_job = Top();
  EXPECT_TRUE(ShowsRanks(*ended_with_job));
  Stop();
  const Outcome over = ended_with_job->Wait(20s);
  EXPECT_EQ(over.status, 0);
  const std::string after = over.out.substr(over.out.rfind(kLeaveScreen));
  EXPECT_THAT(after, ContainsRegex("state +ended with exit status"));
}

TEST_F(LiveTest, RanksOfOtherNodesAreTold) {
  Start({"--simulate-hosts", "--nnodes", "3"});

  const std::string status = Verb({"status", "live"}).out;

  EXPECT_THAT(status, ContainsRegex("world  waiting .* 2 of 3 .*rank 1: sleeps, in the phase "
                                    "\"checkpoint\""));
  Stop();
}

TEST_F(LiveTest, AFileThatCannotBeWrittenEndsTheJobBeforeItBegins) {
  const Outcome run = RunIt({"-np", "1", "--metrics-file", "/no/such/folder/job.prom", "true"});

  EXPECT_NE(run.status, 0);
  EXPECT_THAT(run.err, HasSubstr("write the metrics file /no/such/folder/job.prom"));
}

}  // namespace
}  // namespace lockstep::e2e
