// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/adopted_watch.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "launcher/agent/testing/test_record.h"
#include "launcher/diagnosis/testing/sim_rank.h"
#include "runtime/event/sim_loop.h"
#include "runtime/process/sim_processes.h"

namespace lockstep::launcher {
namespace {

using base::Rank;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::SimRank;

/// A process that sleeps, whose standard error is a pipe that nobody waits for.
class Bystander {
 public:
  Bystander() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
    output_.reset(ends[0]);
    const base::UniqueFd theirs(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDERR_FILENO);
    char program[] = "/bin/sleep";
    char time[] = "600";
    char* const words[] = {program, time, nullptr};
    char* const environment[] = {nullptr};
    EXPECT_EQ(::posix_spawn(&pid_, program, &actions, nullptr, words, environment), 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  ~Bystander() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

  pid_t pid() const { return pid_; }
  /// What has come to its standard error.
  std::string Take() const {
    char text[8192];
    const ssize_t size = ::read(output_.get(), text, sizeof text);
    return size > 0 ? std::string(text, static_cast<size_t>(size)) : "";
  }

 private:
  base::UniqueFd output_;
  pid_t pid_ = -1;
};

/// Rank 0 of 2 waits for rank 1, which is to be blamed after 3 s.
class AdoptedWatchTest : public ::testing::Test {
 protected:
  AdoptedWatchTest() {
    for (int rank = 0; rank < 2; ++rank) {
      ranks_.push_back(std::make_unique<SimRank>(loop_, rank, 2));
      watched_.push_back({.rank = Rank(rank),
                          .pid = bystanders_[rank].pid(),
                          .ring_fd = ranks_.back()->fd(),
                          .exit_is_known = false});
    }
    for (const auto& rank : ranks_) rank->Call();
    for (const auto& rank : ranks_) rank->End();
  }
  void Begin(bool kills, int world_size = 2) {
    proto::AdoptedHangs hangs;
    hangs.set_kills(kills);
    hangs.set_grace_ns(1'000'000'000);
    hangs.set_action_after_ns(3'000'000'000);
    watch_ = std::make_unique<AdoptedWatch>(
        hangs, EvidenceFacts{.job = "train-a1b2c3", .host = "h0"}, world_size,
        AdoptedWatch::Deps{.clock = loop_.clock(),
                           .loop = loop_,
                           .record = record_.record(),
                           .ranks = [this] { return watched_; },
                           .log = [this](const proto::Event& event) { events_.push_back(event); },
                           .has_ended =
                               [this](Rank rank) {
                                 if (on_verdict_ && watch_->verdict().has_value())
                                   std::exchange(on_verdict_, nullptr)();
                                 return rank == ended_;
                               },
                           .kill = [this] { ++kills_; },
                           .stacks = &stacks_});
    ranks_[0]->Call();
    ranks_[0]->Wait();
  }

  proto::StatusReply Status() const {
    proto::StatusReply status;
    for (const int rank : {0, 1}) status.add_ranks()->set_rank(rank);
    watch_->Describe(true, status);
    return status;
  }

  event::SimLoop loop_;
  Bystander bystanders_[2];
  std::vector<std::unique_ptr<SimRank>> ranks_;
  std::vector<WatchedRank> watched_;
  testing::TestRecord record_{loop_};
  process::SimProcesses processes_{loop_, 1};
  CulpritStacks stacks_{{}, {.loop = loop_, .processes = processes_, .record = record_.record()}};
  std::vector<proto::Event> events_;
  Rank ended_{-1};
  int kills_ = 0;
  std::function<void()> on_verdict_;  // once, before stacks are taken
  std::unique_ptr<AdoptedWatch> watch_;
};

TEST_F(AdoptedWatchTest, ItIsSaidToARankThatWaitsAndKept) {
  std::filesystem::create_directories(record_.folder());
  Begin(false);
  loop_.RunFor(seconds(2));
  EXPECT_THAT(bystanders_[0].Take(), HasSubstr("lockstep: waiting: rank 1 has not come to "));
  EXPECT_FALSE(watch_->verdict().has_value());
  loop_.RunFor(seconds(2));

  ASSERT_TRUE(watch_->verdict().has_value());
  EXPECT_EQ(watch_->verdict()->culprits(0).rank(), 1);
  EXPECT_EQ(watch_->verdict()->action(), proto::Verdict::REPORT);
  EXPECT_EQ(watch_->verdict()->round_age().seconds(), 3);
  EXPECT_THAT(bystanders_[0].Take(),
              AllOf(HasSubstr("lockstep: rank 1 has not come to "),
                    HasSubstr("nothing is done about it (--on-hang=report)")));
  EXPECT_THAT(bystanders_[1].Take(), IsEmpty());
  EXPECT_EQ(events_.size(), 2U);
  const proto::StatusReply status = Status();
  ASSERT_EQ(status.verdicts_size(), 1);
  EXPECT_EQ(status.verdicts(0).class_(), "MISSING_RANK");
  EXPECT_EQ(status.verdicts(0).count(), 1U);
  EXPECT_TRUE(std::filesystem::exists(record_.folder() + "/verdict.json"));
  EXPECT_TRUE(std::filesystem::exists(record_.folder() + "/round-0/evidence/processes.json"));
  EXPECT_EQ(kills_, 0);
}

TEST_F(AdoptedWatchTest, TheRanksAreKilledWhereThatIsAskedFor) {
  std::filesystem::create_directories(record_.folder());
  Begin(true);
  loop_.RunFor(seconds(30));
  EXPECT_EQ(kills_, 1) << "once";
  EXPECT_TRUE(std::filesystem::exists(record_.folder() + "/round-0/evidence/stacks-rank-1.txt"));
  EXPECT_EQ(watch_->verdict()->evidence(1).kind(), proto::Evidence::STACK);
  EXPECT_THAT(bystanders_[0].Take(), HasSubstr("where rank 1 stands:"));
  EXPECT_EQ(watch_->verdict()->action(), proto::Verdict::KILL_RANKS);
}

TEST_F(AdoptedWatchTest, WhoGoesOnWhileStacksAreReadIsNotKilled) {
  std::filesystem::create_directories(record_.folder());
  Begin(true);
  on_verdict_ = [this] {
    ranks_[1]->Call();
    for (const auto& rank : ranks_) rank->End();
  };
  loop_.RunFor(seconds(10));
  EXPECT_FALSE(on_verdict_) << "it was about to be killed";
  EXPECT_EQ(kills_, 0);
  EXPECT_EQ(watch_->verdict()->action(), proto::Verdict::REPORT);
}

TEST_F(AdoptedWatchTest, RanksThatAllStandInAnOpAreKilledAtTheDeadline) {
  std::filesystem::create_directories(record_.folder());
  Begin(true);
  ranks_[1]->Call();
  ranks_[1]->Wait();
  loop_.RunFor(seconds(299));
  EXPECT_EQ(kills_, 0);
  loop_.RunFor(seconds(3));
  EXPECT_EQ(kills_, 1);
  EXPECT_EQ(watch_->verdict()->class_(), proto::Verdict::LIBRARY_STALL);
  EXPECT_THAT(bystanders_[0].Take(), HasSubstr("and nothing moves\n"));
}

TEST_F(AdoptedWatchTest, HowFastTheyGoIsKnownAfterAWindow) {
  Begin(false);
  EXPECT_FALSE(Status().has_pace());
  ranks_[1]->Call();
  for (int second = 0; second < 12; ++second) {
    for (const auto& rank : ranks_) rank->End();
    for (const auto& rank : ranks_) rank->Call();
    loop_.RunFor(seconds(1));
  }
  const proto::StatusReply status = Status();
  EXPECT_GE(status.pace().window_ns(), 10'000'000'000);
  EXPECT_GT(status.ranks(0).pace().in_ops_share(), 0.5);
  EXPECT_GT(status.ranks(1).pace().in_ops_share(), 0.5);
}

/// Its pid may be anybody's by now.
TEST_F(AdoptedWatchTest, OneThatHasEndedIsNotWrittenTo) {
  ended_ = Rank(0);
  Begin(false);
  loop_.RunFor(seconds(2));
  EXPECT_THAT(bystanders_[0].Take(), IsEmpty());
  EXPECT_THAT(bystanders_[1].Take(), HasSubstr("waiting: rank 1")) << "the next one is";
}

/// Ranks 2 and 3 are on another host.
TEST_F(AdoptedWatchTest, OfRanksElsewhereNobodyIsBlamed) {
  Begin(true, 4);
  ranks_[1]->Call();
  ranks_[1]->Wait();
  loop_.RunFor(seconds(30));
  EXPECT_EQ(kills_, 0);
}

TEST(OpenStandardErrorTest, AFileThatTheProcessOverwritesIsLeftAlone) {
  const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/standard_error";
  const base::UniqueFd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, file.get(), STDERR_FILENO);
  char program[] = "/bin/sleep";
  char time[] = "600";
  char* const words[] = {program, time, nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = -1;
  ASSERT_EQ(::posix_spawn(&pid, program, &actions, nullptr, words, environment), 0);
  ::posix_spawn_file_actions_destroy(&actions);

  EXPECT_FALSE(OpenStandardErrorOf(pid).valid());
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  EXPECT_FALSE(OpenStandardErrorOf(pid).valid()) << "it is no more";
}

}  // namespace
}  // namespace lockstep::launcher
