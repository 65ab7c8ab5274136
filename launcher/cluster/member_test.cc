// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What a member does with a coordinator that does not keep to the rules, and at the seams between
// lease and orders. Whole jobs: tests/sim.
#include "launcher/cluster/member.h"

#include <gmock/gmock.h>

#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launcher/agent/rank_processes.h"
#include "launcher/cluster/fake_connection.h"
#include "launcher/cluster/fake_welcome.h"
#include "launcher/cluster/rank_wire.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"
#include "runtime/process/sim_processes.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

/// Node 1 of three, each of two ranks.
class MemberTest : public ::testing::Test, public MemberDelegate, public RankHooks {
 protected:
  void SetUp() override {
    member_.Start(std::make_unique<FakeConnection>(
        far_, net::Peer{.name = "coordinator", .address = "hub:1", .own_host = "here"}));
  }
  void TearDown() override {
    ranks_.reset();
    loop_.RunFor(1ms);
  }

  base::Result<NodeRanks*> OnWelcome(const proto::Welcome&) override {
    ranks_ =
        std::make_unique<RankProcesses>(RankProcesses::Deps{loop_, processes_, *this, member_});
    return ranks_.get();
  }
  void OnWorld(const proto::World&) override { ++worlds_; }
  void OnOutputCredit(uint64_t) override {}
  void OnCards(const proto::CardTable& table) override { table_ = table; }
  void OnClockOffset(const elastic::ClockOffset::Estimate& ahead) override {
    told_offsets_.push_back(ahead.offset);
  }
  void AnswerHere(const proto::ControlRequest&, OnAnswer answer) override { answer({}); }
  void OnJobOver(const proto::JobOver& over) override { over_ = over.exit_code(); }
  void OnMembershipLost(const base::Status& why) override { lost_ = why; }

  base::Status BeginRound(base::Round, int) override { return base::OkStatus(); }
  base::Result<PreparedSpawn> Prepare(const elastic::RankProcess& process) override {
    PreparedSpawn prepared;
    prepared.spec.name = "rank-" + process.rank.ToString() + "-" + process.incarnation.ToString();
    prepared.spec.arguments = {"train"};
    return prepared;
  }
  void OnRankSpawned(const elastic::RankProcess& process, pid_t) override {
    started_.push_back(process.rank.ToString() + "#" + process.incarnation.ToString());
  }
  void OnRankSpawnFailed(const elastic::RankProcess&, const base::Status&) override {}
  RankEnd OnRankExited(const elastic::RankProcess&, pid_t, const process::Exit& exit) override {
    return {.exit = {exit.code, exit.signal, false, ""}, .evidence = evidence_};
  }
  void OnRanksSignalled(int signal, bool, const std::vector<elastic::RankProcess>&) override {
    signals_.push_back(signal);
  }
  void OnStopRequested(base::Duration) override {}
  void OnSurvivorsGoOn(base::Round next, const std::vector<elastic::GoneRank>& gone) override {
    rounds_.push_back(next);
    gone_ = gone;
  }
  void OnRoundGone() override {}

  static proto::Hello HelloOf(int node) {
    proto::Hello hello;
    hello.set_wanted_node(node);
    return hello;
  }
  void Welcome(int node = 1, const std::string& job_id = "train-1") {
    proto::ToAgent message;
    *message.mutable_welcome() = FakeWelcome(job_id);
    message.mutable_welcome()->set_node(node);
    far_->Say(message);
  }
  void SendWorld(int nodes = 3, int slots = 2) {
    proto::ToAgent message;
    message.mutable_world();
    for (int node = 0; node < nodes; ++node) message.mutable_world()->add_nodes()->set_slots(slots);
    far_->Say(message);
  }
  /// Waits for the next heartbeat and answers it so long after, by a wall clock that is ahead.
  void Answer(base::Duration after, base::Duration ahead) {
    const size_t before = far_->heard().size();
    while (far_->heard().size() == before) loop_.RunFor(1ms);
    proto::FromAgent heard;
    ASSERT_TRUE(heard.ParseFromString(far_->heard().back()) && heard.has_heartbeat());
    loop_.RunFor(after);
    proto::ToAgent message;
    proto::HeartbeatAck& ack = *message.mutable_heartbeat_ack();
    ack.set_number(heard.heartbeat().number());
    ack.set_at_wall_ns((loop_.clock().WallNow() + ahead).time_since_epoch().count());
    ack.set_at_steady_ns(loop_.Now().time_since_epoch().count());
    far_->Say(message);
  }
  static proto::ToAgent Order(uint32_t round, const std::vector<int>& ranks) {
    proto::ToAgent message;
    message.mutable_command()->set_round(round);
    for (const int rank : ranks) {
      proto::RankProcess& process = *message.mutable_command()->add_processes();
      process.set_rank(rank);
      process.set_incarnation(round);
    }
    return message;
  }
  void StartRanks(uint32_t round, const std::vector<int>& ranks) {
    proto::ToAgent message = Order(round, ranks);
    message.mutable_command()->mutable_start();
    far_->Say(message);
  }
  void KillRanks(uint32_t round, const std::vector<int>& ranks, base::Duration deadline) {
    proto::ToAgent message = Order(round, ranks);
    message.mutable_command()->set_kill_trees(deadline.count());
    far_->Say(message);
  }

  /// Of what the coordinator was told.
  int CountNews(proto::RankChange::KindCase kind) const {
    int count = 0;
    for (const std::string& payload : far_->heard()) {
      proto::FromAgent message;
      EXPECT_TRUE(message.ParseFromString(payload));
      for (const proto::RankChange& change : message.rank_news().changes()) {
        count += change.kind_case() == kind;
      }
    }
    return count;
  }

  RankEvidence evidence_;  // of every rank that ends
  event::SimLoop loop_;
  process::SimProcesses processes_{loop_, 1};
  const std::shared_ptr<FakeConnection::Far> far_ = std::make_shared<FakeConnection::Far>(loop_);
  std::unique_ptr<RankProcesses> ranks_;
  Member member_{{.hello = HelloOf(1), .kill_deadline = 2s}, {loop_, *this}};
  std::vector<std::string> started_;
  std::vector<base::Round> rounds_;  // that survivors have gone on in
  std::vector<elastic::GoneRank> gone_;
  std::vector<int> signals_;
  int worlds_ = 0;
  std::optional<proto::CardTable> table_;
  std::optional<int> over_;
  std::vector<base::Duration> told_offsets_;
  std::optional<base::Status> lost_;
};

TEST_F(MemberTest, RanksOfThisNodeAreStarted) {
  Welcome();
  SendWorld();
  StartRanks(0, {2, 3});

  EXPECT_THAT(started_, ElementsAre("2#0", "3#0"));
}

TEST_F(MemberTest, CardsOfItsRanksGoUpAndTheTableComesBack) {
  proto::ToAgent message;
  message.mutable_cards()->add_cards("card 0");
  far_->Say(message);
  EXPECT_FALSE(table_.has_value()) << "it is no member yet, and has no ranks";
  Welcome();
  SendWorld();
  proto::Cards cards;
  cards.add_come()->set_member(5);
  member_.SendCards(cards);
  far_->Say(message);

  proto::FromAgent sent;
  ASSERT_TRUE(sent.ParseFromString(far_->heard().back()));
  ASSERT_EQ(sent.cards().come_size(), 1);
  EXPECT_EQ(sent.cards().come(0).member(), 5);
  ASSERT_TRUE(table_.has_value());
  EXPECT_THAT(table_->cards(), ElementsAre("card 0"));
}

// The agent looked up the rank's place beyond the end of its table.
TEST_F(MemberTest, SurvivorsGoOnOnceARoundAndTheNextLaunchComesLater) {
  Welcome();
  SendWorld();
  StartRanks(0, {2, 3});
  proto::ToAgent message = Order(0, {});
  proto::NextRound& next = *message.mutable_command()->mutable_next_round();
  next.set_round(1);
  next.add_gone()->set_rank(5);
  next.mutable_gone(0)->set_why("killed");
  far_->Say(message);
  far_->Say(message);  // said again

  EXPECT_THAT(rounds_, ElementsAre(base::Round(1)));
  EXPECT_THAT(gone_, ElementsAre(elastic::GoneRank{base::Rank(5), "killed"}));
  member_.OnAccused({base::Rank(2), base::Incarnation(0)}, {base::Rank(4), "it hangs"});
  loop_.RunFor(50ms);
  EXPECT_EQ(CountNews(proto::RankChange::kAccuses), 1);
  KillRanks(0, {2, 3}, 2s);
  loop_.RunFor(50ms);
  message = Order(0, {});
  message.mutable_command()->set_end_round(true);
  far_->Say(message);
  StartRanks(1, {2, 3});
  EXPECT_THAT(started_, ElementsAre("2#0", "3#0")) << "1 was the survivors'";
  StartRanks(2, {2, 3});
  EXPECT_THAT(started_, ElementsAre("2#0", "3#0", "2#2", "3#2"));
}

TEST_F(MemberTest, OrdersForRanksOfOthersEndTheMembership) {
  Welcome();
  SendWorld();
  StartRanks(0, {2, 4});
  loop_.RunFor(1ms);

  EXPECT_THAT(started_, IsEmpty());
  ASSERT_TRUE(lost_.has_value());
  EXPECT_THAT(*lost_, StatusIs(Code::kDataLoss, HasSubstr("rank 4, which is not ours")));
}

// It was dropped, and its answer waited for.
TEST_F(MemberTest, ARequestBeforeThereIsACoordinatorIsAnsweredAtOnce) {
  Member early({.hello = HelloOf(1)}, {loop_, *this});
  base::Status answer;

  early.Ask({}, 5s,
            [&](const base::Result<proto::ControlReply>& reply) { answer = reply.status(); });

  EXPECT_THAT(answer, StatusIs(Code::kUnavailable, HasSubstr("not reached")));
}

TEST_F(MemberTest, AnotherNodesPlaceIsNotOurs) {
  Welcome(2);
  loop_.RunFor(1ms);

  EXPECT_EQ(ranks_, nullptr);
  EXPECT_TRUE(lost_.has_value());
}

/// The id becomes a path.
TEST_F(MemberTest, AWelcomeThatCannotBeEndsTheMembershipBeforeAnythingIsOpened) {
  Welcome(1, "../../../victim/evil");
  loop_.RunFor(1s);

  ASSERT_TRUE(lost_.has_value());
  EXPECT_THAT(*lost_, StatusIs(Code::kInvalidArgument, HasSubstr("job id")));
  EXPECT_EQ(ranks_, nullptr);
}

TEST_F(MemberTest, NoRankIsOursBeforeTheWorld) {
  Welcome();
  StartRanks(0, {0});
  loop_.RunFor(1ms);

  EXPECT_THAT(started_, IsEmpty());
  EXPECT_TRUE(lost_.has_value());
}

TEST_F(MemberTest, AWorldWithoutThisNodeEndsTheMembership) {
  Welcome();
  SendWorld(1);
  loop_.RunFor(1ms);

  EXPECT_EQ(worlds_, 0);
  EXPECT_TRUE(lost_.has_value());
}

TEST_F(MemberTest, AWorldOfImpossibleSizeEndsTheMembership) {
  Welcome();
  SendWorld(3, 2'000'000'000);
  loop_.RunFor(1ms);

  EXPECT_EQ(worlds_, 0);
  EXPECT_TRUE(lost_.has_value());
}

TEST_F(MemberTest, TheWorldComesOnce) {
  Welcome();
  SendWorld(3, 2);
  SendWorld(3, 1);
  StartRanks(0, {2, 3});

  EXPECT_EQ(worlds_, 1);
  EXPECT_THAT(started_, ElementsAre("2#0", "3#0"));
}

// An order that was said twice started every rank twice, as a simulation of old messages showed.
TEST_F(MemberTest, ARoundThatHasBegunDoesNotBeginAgain) {
  Welcome();
  SendWorld();
  StartRanks(1, {2, 3});
  StartRanks(1, {2, 3});
  StartRanks(0, {2, 3});

  EXPECT_THAT(started_, ElementsAre("2#1", "3#1"));
  EXPECT_FALSE(lost_.has_value());
}

TEST_F(MemberTest, ARoundDoesNotBeginBesideTheLast) {
  Welcome();
  SendWorld();
  StartRanks(0, {2, 3});
  StartRanks(1, {2, 3});
  loop_.RunFor(1s);

  EXPECT_THAT(started_, ElementsAre("2#0", "3#0"));
  EXPECT_TRUE(lost_.has_value());
  EXPECT_EQ(processes_.AliveCount(), 0);
}

TEST_F(MemberTest, ARoundWhoseRanksLiveDoesNotEnd) {
  Welcome();
  SendWorld();
  StartRanks(0, {2, 3});
  proto::ToAgent message = Order(0, {});
  message.mutable_command()->set_end_round(true);
  far_->Say(message);
  loop_.RunFor(1s);

  EXPECT_TRUE(lost_.has_value());
  EXPECT_EQ(processes_.AliveCount(), 0);
}

TEST_F(MemberTest, OrdersForAnOldRoundDoNothing) {
  Welcome();
  SendWorld();
  StartRanks(1, {2, 3});
  KillRanks(0, {2, 3}, 1s);
  loop_.RunFor(10ms);

  EXPECT_THAT(signals_, IsEmpty());
  EXPECT_EQ(processes_.AliveCount(), 2);
}

// The second kill aborted the agent.
/// All that a loop's turn had to tell was one message. Of some 24 ranks' evidence that was too
/// long, nothing of it was sent, and the job waited for ever for ranks that were dead.
TEST_F(MemberTest, AllThatRanksLeaveBehindIsToldHoweverManyFailAtOnce) {
  evidence_.stderr_lines.assign(kStderrLines, std::string(kEvidenceLineColumns, 'e'));
  evidence_.error = ErrorFile{.message = std::string(4096, 'm'),
                              .traceback = std::string(kWireTracebackBytes, 't'),
                              .timestamp = 1};
  Welcome();
  SendWorld(3, 64);
  std::vector<int> ranks(64);
  std::iota(ranks.begin(), ranks.end(), 64);
  for (const int rank : ranks) {
    processes_.SetProgram("rank-" + std::to_string(rank) + "-0",
                          {.runs_for = 100ms, .ends_with = {.code = 3}});
  }
  StartRanks(0, ranks);
  loop_.RunFor(90ms);
  far_->SetQueuedBytes((size_t{7} << 18) + 1);
  loop_.RunFor(110ms);
  EXPECT_EQ(CountNews(proto::RankChange::kEnded), 0) << "heartbeats would come behind it";

  far_->SetQueuedBytes(0);
  loop_.RunFor(10ms);

  EXPECT_EQ(CountNews(proto::RankChange::kEnded), 64);
  EXPECT_FALSE(far_->closed());
}

// A rank that had failed was heard of when a slow link had carried all that the others wrote.
TEST_F(MemberTest, NewsOfRanksDoesNotWaitForLinesOfTheConsole) {
  Welcome();
  SendWorld();
  processes_.SetProgram("rank-2-0", {.runs_for = 100ms, .ends_with = {.code = 3}});
  StartRanks(0, {2, 3});
  far_->SetQueuedBytes(size_t{3} << 19);
  loop_.RunFor(200ms);

  EXPECT_EQ(CountNews(proto::RankChange::kEnded), 1);
}

TEST_F(MemberTest, ALeaseThatEndsWhileRanksAreBeingKilledKillsThemToo) {
  process::SimProgram stuck;
  stuck.stuck = true;
  processes_.SetProgram("rank-2-0", stuck);
  Welcome();
  SendWorld();
  StartRanks(0, {2, 3});
  KillRanks(0, {2, 3}, 10s);
  loop_.RunFor(2100ms);  // no heartbeat is answered
  EXPECT_TRUE(far_->closed());

  loop_.RunFor(4s);

  ASSERT_TRUE(lost_.has_value());
  EXPECT_THAT(*lost_, StatusIs(Code::kDeadlineExceeded, HasSubstr("lease")));
}

TEST_F(MemberTest, RanksThatLiveWhenTheJobIsOverAreKilled) {
  Welcome();
  SendWorld();
  StartRanks(0, {2, 3});
  proto::ToAgent message;
  message.mutable_job_over()->set_exit_code(3);
  far_->Say(message);
  StartRanks(1, {2, 3});
  loop_.RunFor(10ms);

  EXPECT_EQ(over_, 3);
  EXPECT_EQ(processes_.AliveCount(), 0);
  EXPECT_THAT(started_, ElementsAre("2#0", "3#0")) << "nothing begins after the end";
}

TEST_F(MemberTest, HowFarTheClocksAreApartIsToldWheneverItIsNews) {
  Welcome();
  Answer(10ms, 1h);
  ASSERT_THAT(told_offsets_, SizeIs(1));
  EXPECT_NEAR(static_cast<double>((told_offsets_[0] - base::Duration(1h)).count()), 0, 6e6);
  Answer(10ms, 1h);
  Answer(30ms, 1h);
  EXPECT_THAT(told_offsets_, SizeIs(1)) << "nothing new";

  Answer(1ms, 1h);
  EXPECT_THAT(told_offsets_, SizeIs(2)) << "it is known better";
  Answer(1ms, 2h);
  ASSERT_THAT(told_offsets_, SizeIs(3)) << "somebody has set a clock";
  EXPECT_NEAR(static_cast<double>((told_offsets_[2] - base::Duration(2h)).count()), 0, 1e6);
}

}  // namespace
}  // namespace lockstep::launcher
