// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/verb_options.h"

#include <gtest/gtest.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

Command Parse(const std::vector<std::string>& words) { return ParseCommandLine(words).value(); }

TEST(VerbOptionsTest, FlagsBecomeOptions) {
  EXPECT_TRUE(ListJobsOptionsOf(Parse({"ps", "-a", "--json"})).all);
  EXPECT_TRUE(ListJobsOptionsOf(Parse({"ps", "-a", "--json"})).json);
  EXPECT_FALSE(ListJobsOptionsOf(Parse({"ps"})).quiet);
  EXPECT_EQ(ShowStatusOptionsOf(Parse({"status", "mnist"})).job, "mnist");
  EXPECT_EQ(ShowTopOptionsOf(Parse({"top", "mnist"})).job, "mnist");
  EXPECT_FALSE(ShowTopOptionsOf(Parse({"top", "mnist"})).once);
  EXPECT_TRUE(ShowTopOptionsOf(Parse({"top", "--once", "--json", "mnist"})).once);
  EXPECT_TRUE(ShowTopOptionsOf(Parse({"top", "--once", "--json", "mnist"})).json);
  EXPECT_EQ(ShowMetricsOptionsOf(Parse({"metrics", "mnist"})).job, "mnist");
  EXPECT_EQ(ShowStacksOptionsOf(Parse({"stacks", "mnist", "--rank", "3"})).value().rank,
            base::Rank(3));
  EXPECT_TRUE(ShowStacksOptionsOf(Parse({"stacks", "mnist", "--json"})).value().json);
  EXPECT_THAT(ShowStacksOptionsOf(Parse({"stacks", "mnist", "--rank", "x"})),
              StatusIs(Code::kInvalidArgument, HasSubstr("--rank")));
  EXPECT_EQ(DiagnoseJobOptionsOf(Parse({"diagnose", "--json", "mnist", "b"})).what,
            (std::vector<std::string>{"mnist", "b"}));
  EXPECT_TRUE(DiagnoseJobOptionsOf(Parse({"diagnose", "--json", "mnist"})).json);
  EXPECT_TRUE(StopJobOptionsOf(Parse({"stop", "--now", "mnist"})).at_once);
  EXPECT_TRUE(StopJobOptionsOf(Parse({"stop", "mnist"})).wait);
  EXPECT_FALSE(StopJobOptionsOf(Parse({"stop", "mnist", "--no-wait"})).wait);
  EXPECT_TRUE(RemoveJobOptionsOf(Parse({"rm", "-f", "mnist"})).force);
  EXPECT_EQ(PruneJobsOptionsOf(Parse({"prune", "--older", "7d"})).value().older,
            std::chrono::hours(7 * 24));
  EXPECT_EQ(PruneJobsOptionsOf(Parse({"prune"})).value().older, base::Duration(0));
}

TEST(VerbOptionsTest, ExecsFlagsEndAtItsProgram) {
  ASSERT_OK_AND_ASSIGN(
      const ExecOptions options,
      ExecOptionsOf(
          Parse({"exec", "--name", "night", "--job=7", "--checkpoint-dir", "/data", "--backend",
                 "mpi", "--check=strict", "--watch=auto", "./train", "--name", "other"})));

  EXPECT_EQ(options.name, "night");
  EXPECT_EQ(options.job_key, "7");
  EXPECT_EQ(options.checkpoint_directory, "/data");
  EXPECT_EQ(options.backend, "mpi");
  EXPECT_EQ(options.check, "strict");
  EXPECT_EQ(options.watch, "auto");
  EXPECT_EQ(options.program, (std::vector<std::string>{"./train", "--name", "other"}));
  EXPECT_EQ(ExecOptionsOf(Parse({"exec", "--", "--odd"})).value().program,
            (std::vector<std::string>{"--odd"}));
  EXPECT_EQ(ExecOptionsOf(Parse({"exec", "x"})).value().name, "");
  for (const char* name : {"", "Night", "a.b", "-a"}) {
    EXPECT_THAT(ExecOptionsOf(Parse({"exec", std::string("--name=") + name, "x"})),
                StatusIs(Code::kInvalidArgument, HasSubstr("--name")))
        << name;
  }
  EXPECT_THAT(ExecOptionsOf(Parse({"exec", "--watch=cuda", "x"})),
              StatusIs(Code::kInvalidArgument, HasSubstr("must be off, mpi, nccl or auto")));
}

TEST(VerbOptionsTest, LogsHaveNumbers) {
  ASSERT_OK_AND_ASSIGN(const ShowLogsOptions options,
                       ShowLogsOptionsOf(Parse({"logs", "mnist", "--rank", "3", "--round=1",
                                                "--stream", "stderr", "--tail", "20", "-f"})));

  EXPECT_EQ(options.rank, base::Rank(3));
  EXPECT_EQ(options.round, base::Round(1));
  EXPECT_EQ(options.streams, LogStreams::kStderr);
  EXPECT_EQ(options.tail_lines, 20u);
  EXPECT_TRUE(options.follow);
}

TEST(VerbOptionsTest, RenderNeedsToKnowWhat) {
  ASSERT_OK_AND_ASSIGN(
      const RenderJobOptions options,
      RenderJobOptionsOf(Parse({"render", "--to=processes", "--rank=3", "--json", "-np=4", "x"})));

  EXPECT_EQ(options.to, RenderTarget::kProcesses);
  EXPECT_EQ(options.rank, base::Rank(3));
  EXPECT_TRUE(options.json);
  EXPECT_FALSE(options.all);
  EXPECT_THAT(RenderJobOptionsOf(Parse({"render", "x"})),
              StatusIs(Code::kInvalidArgument, HasSubstr("--to env, --to processes or")));
  EXPECT_THAT(RenderJobOptionsOf(Parse({"render", "--to=pods", "--rank=x", "x"})),
              StatusIs(Code::kInvalidArgument,
                       AllOf(HasSubstr("--to pods: must be"), HasSubstr("--rank x"))));
}

TEST(VerbOptionsTest, WrongValuesAreNamed) {
  EXPECT_THAT(ShowLogsOptionsOf(Parse({"logs", "a", "--rank", "x"})),
              StatusIs(Code::kInvalidArgument, HasSubstr("--rank x: must be 0 to 2147483647")));
  EXPECT_THAT(ShowLogsOptionsOf(Parse({"logs", "a", "--rank", "-1"})),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ShowLogsOptionsOf(Parse({"logs", "a", "--tail", "1e3"})),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ShowLogsOptionsOf(Parse({"logs", "a", "--stream", "both"})),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(
      ShowLogsOptionsOf(Parse({"logs", "a", "--rank=x", "--tail=y", "--stream=z"})),
      StatusIs(Code::kInvalidArgument, AllOf(HasSubstr("3 problems"), HasSubstr("--rank x"),
                                             HasSubstr("--tail y"), HasSubstr("--stream z"))));
  EXPECT_THAT(PruneJobsOptionsOf(Parse({"prune", "--older", "7"})),
              StatusIs(Code::kInvalidArgument, HasSubstr("the unit is missing")));
}

}  // namespace
}  // namespace lockstep::launcher
