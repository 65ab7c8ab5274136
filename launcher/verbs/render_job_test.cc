// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/render_job.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "launcher/cli/command_line.h"
#include "launcher/config/resolve_job.h"
#include "launcher/verbs/testing/verb_fixture.h"
#include "runtime/base/testing/golden.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::Rank;
using base::testing::MatchesGolden;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RenderJobTest : public VerbTest {
 protected:
  /// Of `lockstep render WORDS...` on a machine called "laptop".
  JobPlan Plan(std::vector<std::string> words, topology::Environment environment = {}) {
    words.insert(words.begin(), "render");
    // Else the first is made from the machine's cores, the second from its user database.
    environment.try_emplace("OMP_NUM_THREADS", "2");
    environment.try_emplace("HOME", "/home/ada");
    auto command = ParseCommandLine(words);
    EXPECT_OK(command);
    auto resolved = ResolveJob({.command = *command, .environment = environment});
    EXPECT_OK(resolved);
    return PlanJob(std::move(resolved->job), std::move(environment), "laptop");
  }

  std::string Rendered(const JobPlan& plan, const RenderJobOptions& options) {
    const VerbContext context{.jobs_root = "/state/jobs",
                              .here = here_,
                              .clock = clock_,
                              .files = files_,
                              .out = out_.file(),
                              .err = err_.file()};
    EXPECT_OK(RenderJob(context, plan, options));
    const std::string text = out_.text().substr(printed_bytes_);
    printed_bytes_ += text.size();
    return text;
  }

  size_t printed_bytes_ = 0;
};

bool IsJson(const std::string& text) {
  google::protobuf::ListValue list;
  return google::protobuf::util::JsonStringToMessage(text, &list).ok() && list.values_size() > 0;
}

TEST_F(RenderJobTest, EnvironmentsOfUnequalNodesAreAsTheGoldenFileHasThem) {
  const JobPlan plan = Plan({"--simulate-hosts", "--nnodes=2", "-np=3", "--max-restarts=2",
                             "--checkpoint-dir=/data/checkpoints", "-x", "LEARNING_RATE=0.1", "-x",
                             "HUB_TOKEN=secret", "--watch=off", "--", "./train"},
                            {{"PATH", "/usr/bin:/bin"}, {"RANK", "7"}});

  const std::string text = Rendered(plan, {.to = RenderTarget::kEnvironment});

  EXPECT_TRUE(MatchesGolden("launcher/verbs/testdata/render_env.txt", text));
}

TEST_F(RenderJobTest, OneRanksWholeEnvironmentInJson) {
  const JobPlan plan = Plan({"-np=2", "--master-addr=10.0.0.1", "--master-port=29500",
                             "--log-dir=/logs", "--name=night", "./train"},
                            {{"PATH", "/usr/bin:/bin"}, {"WANDB_API_KEY", "secret"}});

  const std::string text = Rendered(
      plan, {.to = RenderTarget::kEnvironment, .rank = Rank(1), .all = true, .json = true});

  EXPECT_TRUE(IsJson(text)) << text;
  EXPECT_TRUE(MatchesGolden("launcher/verbs/testdata/render_env_all.json", text));
}

TEST_F(RenderJobTest, WhatRanksInheritAsItIsNeedsAll) {
  const JobPlan plan = Plan({"-x", "SAME=1", "./train"},
                            {{"PATH", "/bin"}, {"SAME", "1"}, {"LOCKSTEP_NAME", "night"}});

  const std::string added = Rendered(plan, {.to = RenderTarget::kEnvironment});
  const std::string all = Rendered(plan, {.to = RenderTarget::kEnvironment, .all = true});

  EXPECT_THAT(added, AllOf(HasSubstr("SAME=1\n"), Not(HasSubstr("PATH=")),
                           Not(HasSubstr("OMP_NUM_THREADS"))));
  EXPECT_THAT(all, AllOf(HasSubstr("PATH=/bin\n"), HasSubstr("OMP_NUM_THREADS=2\n"),
                         Not(HasSubstr("LOCKSTEP_NAME"))));
}

TEST_F(RenderJobTest, ProcessesAreAsTheGoldenFileHasThem) {
  const JobPlan plan = Plan({"--simulate-hosts", "--nnodes=2", "-np=3", "--wdir=/data/run",
                             "train.py", "--note", "it's 1 thing", ""});

  EXPECT_TRUE(MatchesGolden("launcher/verbs/testdata/render_processes.txt",
                            Rendered(plan, {.to = RenderTarget::kProcesses})));
}

TEST_F(RenderJobTest, ProcessesInJson) {
  const std::string text =
      Rendered(Plan({"-np=2", "--wdir=/data/run/", "./train", "a\nb"}),
               {.to = RenderTarget::kProcesses, .rank = Rank(1), .json = true});

  EXPECT_EQ(text, R"([{"rank": 1, "local_rank": 1, "node": 0, "host": "laptop", )"
                  R"("working_directory": "/data/run", "arguments": ["./train", "a\nb"]}])"
                  "\n");
}

TEST_F(RenderJobTest, WithoutAWorkingDirectoryRanksStartHere) {
  const std::filesystem::path here = std::filesystem::current_path();
  const auto folder = [this](std::vector<std::string> words) {
    return Rendered(Plan(std::move(words)), {.to = RenderTarget::kProcesses, .json = true});
  };

  EXPECT_THAT(folder({"./train"}), HasSubstr("_directory\": \"" + here.string() + "\","));
  EXPECT_THAT(folder({"--wdir=../x", "./train"}),
              HasSubstr("_directory\": \"" + (here.parent_path() / "x").string() + "\","));
}

TEST_F(RenderJobTest, AgentsAreAsTheGoldenFileHasThem) {
  const JobPlan plan = Plan({"--simulate-hosts", "--nnodes=3", "-np=4", "./train"});

  EXPECT_TRUE(MatchesGolden("launcher/verbs/testdata/render_agents.txt",
                            Rendered(plan, {.to = RenderTarget::kAgents})));
}

TEST_F(RenderJobTest, AgentsInJson) {
  const JobPlan plan = Plan({"--simulate-hosts", "--nnodes=2", "-np=3", "./train"});

  EXPECT_EQ(Rendered(plan, {.to = RenderTarget::kAgents, .json = true}),
            R"([{"node": 0, "host": "laptop", "slots": 2, "first_rank": 0, )"
            R"("agent": "lockstep run, here"},)"
            "\n"
            R"( {"node": 1, "host": "laptop-n1", "slots": 1, "first_rank": 2, )"
            R"("agent": "lockstep agent, here: a simulated host"}])"
            "\n");
}

TEST_F(RenderJobTest, WhatIsPrintedDoesNotSteerTheTerminal) {
  const std::string env = Rendered(Plan({"-x", "TITLE=a\x1b]0;b\nRANK=9", "./train"}),
                                   {.to = RenderTarget::kEnvironment});
  const std::string processes =
      Rendered(Plan({"./train", "a\x1b[2J"}), {.to = RenderTarget::kProcesses});

  EXPECT_THAT(env, HasSubstr("\nTITLE=a?]0;b?RANK=9\n"));
  EXPECT_THAT(processes, HasSubstr("./train 'a?[2J'\n"));
}

TEST_F(RenderJobTest, ARankThatTheJobHasNotIsOutOfRange) {
  EXPECT_THAT(RenderJob(context_, Plan({"-np=4", "./train"}), {.rank = Rank(4)}),
              StatusIs(Code::kOutOfRange, HasSubstr("has 4 ranks")));
}

}  // namespace
}  // namespace lockstep::launcher
