// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Verbs on the other nodes of a job. Its agents are on this machine; the verbs are called as on the
// host of one of them, with a folder of jobs that holds what that host would have.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "launcher/verbs/list_jobs.h"
#include "launcher/verbs/show_logs.h"
#include "launcher/verbs/show_status.h"
#include "launcher/verbs/stop_job.h"
#include "launcher/verbs/verb_context.h"
#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/storage/file_system.h"
#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Rank;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Numbered(int first, int last) {
  std::string text;
  for (int i = first; i <= last; ++i) text += std::to_string(i) + "\n";
  return text;
}

/// What a verb prints.
class Print {
 public:
  Print() : file_(std::tmpfile()) {}
  ~Print() { std::fclose(file_); }
  Print(const Print&) = delete;
  Print& operator=(const Print&) = delete;

  std::FILE* file() const { return file_; }
  std::string text() const {
    std::fflush(file_);
    return ReadFile("/proc/self/fd/" + std::to_string(::fileno(file_)));
  }

 private:
  std::FILE* const file_;
};

/// The host of node 1: knows the job by that agent's state alone, and has no rank's file.
class Host {
 public:
  Host(const std::string& job_folder, const std::string& root) {
    const std::string job_id = std::filesystem::path(job_folder).filename();
    const std::string folder = root + "/" + job_id;
    std::filesystem::create_directories(folder);
    here_ = launcher::ThisHost();
    here_.host += "-n1";
    const std::string state = "/state." + launcher::FileSafeHost(here_.host) + ".pb";
    // Not a copy: the agent goes on writing it.
    std::filesystem::create_symlink(job_folder + state, folder + state);
    context_ =
        std::make_unique<launcher::VerbContext>(launcher::VerbContext{.jobs_root = root,
                                                                      .socket_directory = root,
                                                                      .here = here_,
                                                                      .clock = clock_,
                                                                      .files = files_,
                                                                      .out = out.file(),
                                                                      .err = err.file()});
  }

  const launcher::VerbContext& context() const { return *context_; }
  const std::string& name() const { return here_.host; }
  /// Once the job has formed.
  bool KnowsNodes(int count) const {
    return Eventually(
        [&] {
          const auto jobs = launcher::OpenStore(*context_).List();
          return jobs.ok() && jobs->size() == 1 && jobs->front().state.nodes_size() == count;
        },
        20s);
  }

  Print out;
  Print err;

 private:
  base::RealClock clock_;
  storage::RealFileSystem files_;
  launcher::HostIdentity here_;
  std::unique_ptr<launcher::VerbContext> context_;
};

class NodesVerbsTest : public RunFixture {
 protected:
  /// A job on three nodes, one rank each, which waits in `read word <go.$RANK` when it is up.
  void Start(const std::string& script, const std::vector<std::string>& more = {}) {
    for (const char* rank : {"0", "1", "2"}) MakeGo(std::string("go.") + rank);
    std::vector<std::string> words = {"--simulate-hosts", "--nnodes", "3", "-np", "3",
                                      "--name",           "job"};
    words.insert(words.end(), more.begin(), more.end());
    command_ = std::make_unique<Command>(RunScript(words, script), Options());
    ASSERT_TRUE(Eventually([this] { return !JobFolder("job").empty(); }, 20s));
    const std::string folder = JobFolder("job");
    ASSERT_TRUE(Eventually(
        [&] {
          int states = 0;
          for (const auto& file : std::filesystem::directory_iterator(folder)) {
            states += file.path().extension() == ".pb";
          }
          return states == 3;
        },
        20s));
    host_ = std::make_unique<Host>(folder, scratch_.path() + "/host-1");
    ASSERT_TRUE(host_->KnowsNodes(3));
  }
  void LetAllGo() {
    for (const char* rank : {"0", "1", "2"}) ASSERT_TRUE(LetGo(std::string("go.") + rank));
  }
  bool Wrote(int rank, const std::string& text) {
    const std::string path = JobFolder("job") + "/round-0/rank-" + std::to_string(rank) + ".stdout";
    return Eventually([&] { return Contains(ReadFile(path), text); }, 20s);
  }

  std::unique_ptr<Command> command_;
  std::unique_ptr<Host> host_;
};

TEST_F(NodesVerbsTest, LogsOfARankComeFromItsNode) {
  Start("seq 60000; echo done; read word <go.$RANK");
  ASSERT_TRUE(Wrote(2, "done"));
  ASSERT_TRUE(Wrote(0, "done"));

  ASSERT_OK(ShowLogs(host_->context(), {.job = "job", .rank = Rank(2)}));
  EXPECT_EQ(host_->out.text(), Numbered(1, 60000) + "done\n");

  ASSERT_OK(ShowLogs(host_->context(), {.job = "job", .rank = Rank(0), .tail_lines = 2}));
  EXPECT_EQ(host_->out.text(), Numbered(1, 60000) + "done\n60000\ndone\n");
  LetAllGo();
  EXPECT_EQ(command_->Wait(20s).status, 0);
}

TEST_F(NodesVerbsTest, LogsOfAllRanksComeFromAllNodesWithTheirRanksInOrder) {
  Start("echo out of $RANK; echo err of $RANK >&2; echo done; read word <go.$RANK");
  for (int rank = 0; rank < 3; ++rank) ASSERT_TRUE(Wrote(rank, "done"));

  ASSERT_OK(ShowLogs(host_->context(), {.job = "job"}));

  // This host's own, rank 1, is in its own folder, which this one has none of.
  EXPECT_EQ(host_->out.text(), "[0] out of 0\n[0] done\n[2] out of 2\n[2] done\n");
  EXPECT_EQ(host_->err.text(), "[0] err of 0\n[2] err of 2\n");
  LetAllGo();
  EXPECT_EQ(command_->Wait(20s).status, 0);
}

TEST_F(NodesVerbsTest, FollowedLogsLoseAndRepeatNothingUntilTheJobHasEnded) {
  Start("seq 20000; read word <go.$RANK; seq 20001 400000; printf 'the end'");
  auto follower = std::async(std::launch::async, [this] {
    return ShowLogs(host_->context(), {.job = "job", .rank = Rank(2), .follow = true});
  });
  ASSERT_TRUE(Eventually([this] { return Contains(host_->out.text(), "\n20000\n"); }, 20s));

  LetAllGo();
  EXPECT_EQ(command_->Wait(60s).status, 0);

  ASSERT_EQ(follower.wait_for(20s), std::future_status::ready);
  EXPECT_OK(follower.get());
  EXPECT_EQ(host_->out.text(), Numbered(1, 400000) + "the end");
}

TEST_F(NodesVerbsTest, LogsOfARankComeFromAllFilesThatItWasRotatedInto) {
  Start("seq 1000000 1060000; echo done; read word <go.$RANK; seq 1060001 1300000; echo end",
        {"--log-max-file", "64Ki", "--log-keep", "90", "-r", "1"});
  ASSERT_TRUE(Wrote(2, "done"));
  ASSERT_TRUE(std::filesystem::exists(JobFolder("job") + "/round-0/rank-2.stdout.7"));

  ASSERT_OK(ShowLogs(host_->context(), {.job = "job", .rank = Rank(2)}));
  const std::string first = Numbered(1000000, 1060000) + "done\n";
  EXPECT_TRUE(host_->out.text() == first) << host_->out.text().size();
  ASSERT_OK(ShowLogs(host_->context(), {.job = "job", .rank = Rank(2), .tail_lines = 30001}));
  const std::string second = Numbered(1030001, 1060000) + "done\n";
  EXPECT_TRUE(host_->out.text() == first + second) << host_->out.text().size();

  auto follower = std::async(std::launch::async, [this] {
    return ShowLogs(host_->context(),
                    {.job = "job", .rank = Rank(2), .tail_lines = 1, .follow = true});
  });
  ASSERT_TRUE(Eventually([&] { return host_->out.text().ends_with("done\ndone\n"); }, 20s));
  LetAllGo();
  EXPECT_EQ(command_->Wait(60s).status, 0);
  ASSERT_EQ(follower.wait_for(20s), std::future_status::ready);
  EXPECT_OK(follower.get());
  EXPECT_TRUE(host_->out.text() == first + second + "done\n" + Numbered(1060001, 1300000) + "end\n")
      << host_->out.text().size();
  EXPECT_EQ(host_->err.text(), "");
}

TEST_F(NodesVerbsTest, WhatARotationGaveUpIsNoPartOfALog) {
  Start("seq 1000000 1060000; echo done; read word <go.$RANK",
        {"--log-max-file", "64Ki", "--log-keep", "2", "-r", "1"});
  ASSERT_TRUE(Wrote(2, "done"));

  ASSERT_OK(ShowLogs(host_->context(), {.job = "job", .rank = Rank(2)}));
  const std::string kept = host_->out.text();
  EXPECT_LE(kept.size(), size_t{3} * 64 << 10);
  EXPECT_GT(kept.size(), (size_t{2} * 64 << 10) - 100);
  EXPECT_TRUE((Numbered(1000000, 1060000) + "done\n").ends_with(kept));
  ASSERT_OK(ShowLogs(host_->context(), {.job = "job", .rank = Rank(2), .tail_lines = 60000}));

  EXPECT_TRUE(host_->out.text() == kept + kept) << host_->out.text().size();
  LetAllGo();
  EXPECT_EQ(command_->Wait(20s).status, 0);
}

TEST_F(NodesVerbsTest, FollowedLogsGoOnInTheNextRound) {
  Start(
      "echo round $TORCHELASTIC_RESTART_COUNT; [ $TORCHELASTIC_RESTART_COUNT = 1 ] && exit 0; "
      "[ $RANK = 2 ] || exec sleep 60; read word <go.$RANK; exit 7",
      {"--max-restarts", "1", "--grace", "0"});
  auto follower = std::async(std::launch::async, [this] {
    return ShowLogs(host_->context(), {.job = "job", .rank = Rank(2), .follow = true});
  });
  ASSERT_TRUE(Eventually([this] { return Contains(host_->out.text(), "round 0\n"); }, 20s));

  ASSERT_TRUE(LetGo("go.2"));
  EXPECT_EQ(command_->Wait(20s).status, 0);

  ASSERT_EQ(follower.wait_for(20s), std::future_status::ready);
  EXPECT_OK(follower.get());
  EXPECT_EQ(host_->out.text(), "round 0\nround 1\n");
}

TEST_F(NodesVerbsTest, WhenTheAgentsAreGoneTheErrorSaysWhereTheLogsAreAndHowToGetThem) {
  Start("echo out; read word <go.$RANK");
  LetAllGo();
  EXPECT_EQ(command_->Wait(20s).status, 0);

  const base::Status status = ShowLogs(host_->context(), {.job = "job", .rank = Rank(2)});

  const std::string folder = JobFolder("job");
  const std::string id = std::filesystem::path(folder).filename();
  EXPECT_THAT(status, StatusIs(Code::kUnavailable,
                               AllOf(HasSubstr("rank 2 is on "), HasSubstr("-n2, in "),
                                     HasSubstr(folder + "/round-0/rank-2.stdout"),
                                     HasSubstr("-n2 lockstep logs " + id + " --rank 2`"))));
}

TEST_F(NodesVerbsTest, StatusAndPsTellWhichHostHasWhat) {
  Start("echo up; read word <go.$RANK");
  ASSERT_TRUE(Wrote(2, "up"));

  ASSERT_OK(ShowStatus(host_->context(), {.job = "job"}));
  const std::string status = host_->out.text();
  EXPECT_THAT(status, HasSubstr("NODE  HOST"));
  EXPECT_THAT(status, HasSubstr("2     " + launcher::ThisHost().host + "-n2  alive"));
  EXPECT_THAT(status, HasSubstr("RANK  NODE  HOST"));
  EXPECT_THAT(status, HasSubstr("\n1     1     " + host_->name()));

  ASSERT_OK(ListJobs(host_->context(), {}));
  const std::string jobs = host_->out.text().substr(status.size());
  EXPECT_THAT(jobs, AllOf(HasSubstr("RANKS  HOSTS"), HasSubstr("running  3      3      0"),
                          HasSubstr("sh -c")));

  ASSERT_OK(ShowStatus(host_->context(), {.job = "job", .json = true}));
  const std::string json = host_->out.text().substr(status.size() + jobs.size());
  EXPECT_THAT(json, AllOf(HasSubstr("\"heartbeat_age_ns\""), HasSubstr("\"log_folder\""),
                          HasSubstr("\"clock_error_ns\"")));
  LetAllGo();
  EXPECT_EQ(command_->Wait(20s).status, 0);
}

TEST_F(NodesVerbsTest, StopEndsTheJobOnAllNodes) {
  Start("echo up; exec sleep 60");
  ASSERT_TRUE(Wrote(2, "up"));

  EXPECT_OK(StopJob(host_->context(), {.job = "job"}));

  EXPECT_EQ(command_->Wait(20s).status, 143);
  EXPECT_THAT(host_->out.text(), HasSubstr("has ended with exit status 143"));
}

TEST_F(NodesVerbsTest, ThoseOfANodeThatIsLostAreNamedAndTheOthersCome) {
  Start("echo $PPID of $RANK; read word <go.$RANK");
  ASSERT_TRUE(Wrote(2, "of 2"));
  ASSERT_TRUE(Wrote(0, "of 0"));
  const std::string log = JobFolder("job") + "/round-0/rank-2.stdout";
  const pid_t agent = std::stoi(ReadFile(log));

  // Stopped, not killed: the job goes on for a lease.
  ::kill(agent, SIGSTOP);
  auto follower = std::async(std::launch::async, [this] {
    return ShowLogs(host_->context(), {.job = "job", .follow = true});
  });
  EXPECT_EQ(command_->Wait(30s).status, 75);
  ::kill(agent, SIGCONT);

  ASSERT_EQ(follower.wait_for(40s), std::future_status::ready);
  EXPECT_THAT(follower.get(), StatusIs(Code::kUnavailable, HasSubstr("-n2, in ")));
  EXPECT_THAT(host_->out.text(), HasSubstr("[0] "));
}

}  // namespace
}  // namespace lockstep::e2e
