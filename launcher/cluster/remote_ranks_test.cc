// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/remote_ranks.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "runtime/event/sim_loop.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Name(const elastic::RankProcess& process) {
  return process.rank.ToString() + "/" + process.incarnation.ToString();
}

class RemoteRanksTest : public ::testing::Test, public NodeNews {
 protected:
  void OnSpawned(const elastic::RankProcess& process, pid_t pid) override {
    news_.push_back("runs " + Name(process) + " as " + std::to_string(pid));
  }
  void OnSpawnFailed(const elastic::RankProcess& process, const base::Status& error) override {
    news_.push_back("failed " + Name(process) + ": " + error.message());
  }
  void OnExited(const elastic::RankProcess& process, RankEnd end) override {
    news_.push_back("ended " + Name(process) + " with " + std::to_string(end.exit.exit_code));
  }
  void OnGone(const elastic::RankProcess& process) override {
    news_.push_back("gone " + Name(process));
  }
  void OnUnkillable(const elastic::RankProcess& process, const base::Status&) override {
    news_.push_back("unkillable " + Name(process));
  }
  void OnProgress(const elastic::RankProcess& process, int64_t step) override {
    news_.push_back("step " + std::to_string(step) + " of " + Name(process));
  }
  void OnAccused(const elastic::RankProcess& by, const elastic::GoneRank& accused) override {
    news_.push_back(Name(by) + " accuses " + accused.rank.ToString() + ": " + accused.why);
  }

  /// What the agent says of one process, as it comes off the wire.
  proto::RankChange& Says(proto::RankNews& news, const elastic::RankProcess& process) {
    news.set_round(5);
    proto::RankChange& change = *news.add_changes();
    change.set_rank(process.rank.value());
    change.set_incarnation(process.incarnation.value());
    return change;
  }
  void SaysRuns(const elastic::RankProcess& process, int pid) {
    proto::RankNews news;
    Says(news, process).mutable_runs()->set_pid(pid);
    ranks_.OnNews(news);
  }

  const elastic::RankProcess a_{base::Rank(4), base::Incarnation(1)};
  const elastic::RankProcess b_{base::Rank(5), base::Incarnation(1)};
  event::SimLoop loop_;
  std::vector<std::string> news_;
  std::vector<proto::ToAgent> sent_;
  std::vector<std::string> given_up_;
  RemoteRanks ranks_{{loop_, *this,
                      [this](const proto::ToAgent& message) { sent_.push_back(message); },
                      [this](const base::Status& why) { given_up_.push_back(why.message()); }}};
};

TEST_F(RemoteRanksTest, OrdersGoOutWithRoundAndProcesses) {
  ranks_.Spawn(base::Round(5), 2, {a_, b_});
  ranks_.SignalLeaders(15, {a_});
  ranks_.KillTrees({a_, b_}, 10s);

  ASSERT_EQ(sent_.size(), 3U);
  const proto::RankCommand& start = sent_[0].command();
  EXPECT_EQ(start.round(), 5U);
  EXPECT_EQ(start.start().restart_count(), 2);
  ASSERT_EQ(start.processes_size(), 2);
  EXPECT_EQ(start.processes(1).rank(), 5);
  EXPECT_EQ(start.processes(1).incarnation(), 1U);
  EXPECT_EQ(sent_[1].command().signal_leaders(), 15);
  EXPECT_EQ(sent_[2].command().kill_trees(), 10'000'000'000);
}

TEST_F(RemoteRanksTest, NewsOfALifeComesThrough) {
  ranks_.Spawn(base::Round(5), 0, {a_, b_});
  proto::RankNews news;
  Says(news, a_).mutable_runs()->set_pid(17);
  *Says(news, b_).mutable_not_started() = proto::ToProto(base::NotFoundError("no such program"));
  Says(news, a_).set_step(3);
  Says(news, a_).mutable_ended()->set_exit_code(9);
  Says(news, a_).set_gone(true);
  ranks_.OnNews(news);

  EXPECT_THAT(news_, ElementsAre("runs 4/1 as 17", "failed 5/1: no such program", "step 3 of 4/1",
                                 "ended 4/1 with 9", "gone 4/1"));
}

TEST_F(RemoteRanksTest, TheRoundOfSurvivorsGoesOutAndAnAccusationComesIn) {
  ranks_.Spawn(base::Round(5), 0, {a_, b_});
  SaysRuns(a_, 17);
  proto::RankNews news;
  Says(news, a_).mutable_accuses()->set_rank(0);
  news.mutable_changes(0)->mutable_accuses()->set_why("it hangs");
  ranks_.OnNews(news);
  ranks_.GoOn(base::Round(6), {{base::Rank(0), "killed"}});
  proto::RankNews of_one_that_does_not_run;
  Says(of_one_that_does_not_run, b_).mutable_accuses()->set_rank(0);
  ranks_.OnNews(of_one_that_does_not_run);

  EXPECT_THAT(news_, ElementsAre("runs 4/1 as 17", "4/1 accuses 0: it hangs"));
  const proto::RankCommand& command = sent_.back().command();
  EXPECT_EQ(command.round(), 5u) << "that of the processes";
  EXPECT_EQ(command.next_round().round(), 6u);
  ASSERT_EQ(command.next_round().gone_size(), 1);
  EXPECT_EQ(command.next_round().gone(0).why(), "killed");
}

TEST_F(RemoteRanksTest, APeerCannotSpeakForRanksThatAreNotItsOwnOrOfAnotherRound) {
  ranks_.Spawn(base::Round(5), 0, {a_});
  SaysRuns(b_, 1);
  SaysRuns({a_.rank, base::Incarnation(0)}, 2);
  proto::RankNews old;
  Says(old, a_).mutable_runs()->set_pid(3);
  old.set_round(4);
  ranks_.OnNews(old);
  proto::RankNews early;
  Says(early, a_).mutable_ended()->set_exit_code(1);  // before it ran
  ranks_.OnNews(early);

  EXPECT_THAT(news_, IsEmpty());
}

TEST_F(RemoteRanksTest, RanksOfALostNodeAreGoneWhenItsLeaseIsOver) {
  ranks_.Spawn(base::Round(5), 0, {a_, b_});
  SaysRuns(a_, 17);
  news_.clear();
  ranks_.KillTrees({a_}, 10s);  // the answer never comes
  const base::SteadyTime fenced_at = loop_.Now() + 2s;

  ranks_.Lose(base::UnavailableError("host h3 is gone"), fenced_at);
  ranks_.KillTrees({b_}, 1s);
  SaysRuns(b_, 18);  // too late
  loop_.RunFor(1900ms);
  EXPECT_THAT(news_, IsEmpty()) << "they may still run";
  loop_.RunFor(200ms);

  EXPECT_THAT(news_, ElementsAre("gone 4/1", "gone 5/1"));
  const size_t sent = sent_.size();
  ranks_.SignalLeaders(15, {a_});
  EXPECT_EQ(sent_.size(), sent) << "nobody is there to read it";
}

TEST_F(RemoteRanksTest, KillsAfterTheLeaseIsOverAreAnsweredAtOnce) {
  ranks_.Spawn(base::Round(5), 0, {a_, b_});
  ranks_.Lose(base::UnavailableError("gone"), loop_.Now());
  loop_.RunFor(1s);

  ranks_.KillTrees({a_}, 1s);
  EXPECT_THAT(news_, IsEmpty()) << "not within the call";
  loop_.RunFor(1ms);

  EXPECT_THAT(news_, ElementsAre("gone 4/1"));
}

// A job that waited for the answer for ever was seen in a simulation that loses messages; an agent
// that is broken or hostile does the same.
TEST_F(RemoteRanksTest, AnAgentThatNeverSaysThatRanksAreGoneIsGivenUp) {
  ranks_.Spawn(base::Round(5), 0, {a_, b_});
  SaysRuns(a_, 17);
  SaysRuns(b_, 18);
  ranks_.KillTrees({a_}, 10s);
  loop_.RunFor(2s);
  ranks_.KillTrees({b_}, 10s);
  proto::RankNews news;
  Says(news, a_).mutable_ended()->set_signal(9);
  Says(news, a_).set_gone(true);
  ranks_.OnNews(news);

  loop_.RunFor(14900ms);
  EXPECT_THAT(given_up_, IsEmpty());
  loop_.RunFor(200ms);

  EXPECT_THAT(given_up_, ElementsAre(HasSubstr("has not said that they are gone")));
}

TEST_F(RemoteRanksTest, AnAgentThatStartsNothingIsGivenUpAMinuteAfterItsLastNews) {
  ranks_.Spawn(base::Round(5), 0, {a_, b_});
  loop_.RunFor(59s);
  SaysRuns(a_, 17);
  loop_.RunFor(59s);
  EXPECT_THAT(given_up_, IsEmpty());
  loop_.RunFor(2s);

  EXPECT_THAT(given_up_, ElementsAre(HasSubstr("has not started 1 of its ranks")));
}

TEST_F(RemoteRanksTest, WhoHasAnsweredIsNotGivenUp) {
  ranks_.Spawn(base::Round(5), 0, {a_, b_});
  SaysRuns(a_, 17);
  proto::RankNews news;
  *Says(news, b_).mutable_not_started() = proto::ToProto(base::NotFoundError("no such program"));
  ranks_.OnNews(news);
  ranks_.KillTrees({a_}, 1s);
  proto::RankNews undead;
  *Says(undead, a_).mutable_unkillable() = proto::ToProto(base::DeadlineExceededError("stuck"));
  ranks_.OnNews(undead);

  loop_.RunFor(1h);

  EXPECT_THAT(given_up_, IsEmpty());
}

/// The end of it was in a message that was never sent, and the gang waited for it: 17 s with a
/// kill, for ever without one.
TEST_F(RemoteRanksTest, AnAgentThatTellsTheGoneWithoutTheirEndIsGivenUpAtOnce) {
  ranks_.Spawn(base::Round(5), 0, {a_, b_});
  SaysRuns(a_, 17);
  SaysRuns(b_, 18);
  news_.clear();
  proto::RankNews news;
  *Says(news, a_).mutable_unkillable() = proto::ToProto(base::DeadlineExceededError("not asked"));
  Says(news, a_).set_gone(true);
  ranks_.OnNews(news);

  EXPECT_THAT(news_, IsEmpty()) << "its exit would never be heard";
  EXPECT_THAT(given_up_, ElementsAre(HasSubstr("rank 4 is gone")));
}

TEST_F(RemoteRanksTest, ARoundOnALostNodeCannotStart) {
  ranks_.Lose(base::UnavailableError("host h3 is gone"), loop_.Now());

  ranks_.Spawn(base::Round(6), 1, {a_});

  EXPECT_THAT(news_, ElementsAre("failed 4/1: host h3 is gone"));
}

}  // namespace
}  // namespace lockstep::launcher
