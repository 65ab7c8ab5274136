// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What a coordinator does with agents that do not keep to the rules. Whole jobs: tests/sim.
#include "launcher/cluster/coordinator.h"

#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "launcher/cluster/fake_connection.h"
#include "launcher/cluster/protocol.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

/// Of a job of two nodes, both elsewhere.
class CoordinatorTest : public ::testing::Test, public CoordinatorDelegate, public NodeNews {
 protected:
  using Far = std::shared_ptr<FakeConnection::Far>;

  void SetUp() override { coordinator_.Begin(); }

  proto::Welcome MakeWelcome() const override { return {}; }
  void OnFormed(const std::vector<JobNode>& nodes) override { nodes_ = nodes; }
  void OnFormationFailed(const base::Status&) override {}
  void OnNodeLost(base::NodeIndex node, const base::Status& why) override {
    lost_[node] = why.message();
  }
  void OnOutput(base::NodeIndex, const proto::Output& output) override {
    shown_bytes_ += output.standard_output().size();
  }
  void OnRefused(const base::Status& why) override { refused_.push_back(why.message()); }
  void OnLeftEarly(base::NodeIndex node) override { left_early_.push_back(node.value()); }
  void Answer(const proto::ControlRequest&, OnAnswer answer) override { answer({}); }

  void OnSpawned(const elastic::RankProcess&, pid_t) override {}
  void OnSpawnFailed(const elastic::RankProcess&, const base::Status&) override {}
  void OnExited(const elastic::RankProcess&, RankEnd) override {}
  void OnGone(const elastic::RankProcess&) override {}
  void OnUnkillable(const elastic::RankProcess&, const base::Status&) override {}
  void OnProgress(const elastic::RankProcess&, int64_t) override {}
  void OnAccused(const elastic::RankProcess&, const elastic::GoneRank&) override {}

  Far Connect(const std::string& name) {
    auto far = std::make_shared<FakeConnection::Far>(loop_);
    coordinator_.Accept(std::make_unique<FakeConnection>(
        far, net::Peer{.name = name, .address = "there:1", .own_host = "hub"}));
    return far;
  }
  static proto::FromAgent Hello(int node) {
    proto::FromAgent message;
    proto::Hello& hello = *message.mutable_hello();
    hello.set_protocol(kAgentProtocol);
    hello.set_job_id("job");
    hello.set_host("host-" + std::to_string(node));
    hello.set_boot_id("boot");
    hello.set_slots(2);
    hello.set_wanted_node(node);
    hello.add_addresses("10.0.0.1");
    return message;
  }
  Far Join(int node) {
    const Far far = Connect("node-" + std::to_string(node));
    far->Say(Hello(node));
    return far;
  }
  /// Why it was refused; "" when it was not.
  static std::string Refusal(const Far& far) {
    if (far->heard().empty()) return "";
    proto::ToAgent message;
    EXPECT_TRUE(message.ParseFromString(far->heard().back()));
    return message.has_refused() ? message.refused().message() : "";
  }
  static proto::FromAgent Cards(int member, uint32_t round = 7) {
    proto::FromAgent message;
    message.mutable_cards()->set_round(round);
    message.mutable_cards()->set_member_count(2);
    message.mutable_cards()->add_come()->set_member(member);
    message.mutable_cards()->mutable_come(0)->set_content("card " + std::to_string(member));
    return message;
  }
  /// The last thing that was said there.
  static proto::ToAgent Last(const Far& far) {
    proto::ToAgent message;
    EXPECT_TRUE(message.ParseFromString(far->heard().back()));
    return message;
  }
  void Beat(const Far& far) {
    proto::FromAgent message;
    message.mutable_heartbeat();
    far->Say(message);
  }
  void SayGoodbye(const Far& far) {
    proto::FromAgent message;
    message.mutable_goodbye();
    far->Say(message);
  }
  void Finish() {
    coordinator_.Finish({}, [this] { done_ = true; });
  }
  static proto::FromAgent Output(size_t bytes) {
    proto::FromAgent message;
    message.mutable_output()->set_standard_output(std::string(bytes, 'x'));
    return message;
  }

  event::SimLoop loop_;
  std::vector<JobNode> nodes_;
  std::map<base::NodeIndex, std::string> lost_;
  std::vector<std::string> refused_;
  std::vector<int> left_early_;
  size_t shown_bytes_ = 0;
  bool done_ = false;
  Coordinator coordinator_{{.job_id = "job", .membership = {.node_count = 2}, .lease = {}},
                           {loop_, *this, *this}};
};

TEST_F(CoordinatorTest, WhoDoesNotSayHelloFirstIsRefused) {
  const Far far = Connect("node-0");
  Beat(far);
  EXPECT_THAT(Refusal(far), HasSubstr("the first message must be a hello"));

  const Far garbage = Connect("node-0");
  garbage->Say("\xff\xff\xff");
  EXPECT_THAT(Refusal(garbage), HasSubstr("not a message"));

  const Far silent = Connect("node-0");
  loop_.RunFor(5100ms);
  EXPECT_THAT(Refusal(silent), HasSubstr("no hello"));
  loop_.RunFor(1s);
  EXPECT_TRUE(far->closed() && garbage->closed() && silent->closed());
}

TEST_F(CoordinatorTest, AHelloThatCannotBeIsRefused) {
  const Far far = Connect("node-0");
  proto::FromAgent message = Hello(0);
  message.mutable_hello()->set_slots(2'000'000'000);
  far->Say(message);

  EXPECT_THAT(Refusal(far), HasSubstr("number of slots"));
}

TEST_F(CoordinatorTest, AnAgentOfAnotherProtocolIsToldSoAndWhatToDo) {
  const Far far = Connect("node-0");
  proto::FromAgent message = Hello(0);
  message.mutable_hello()->set_protocol(kAgentProtocol + 1);
  far->Say(message);

  EXPECT_EQ(Refusal(far),
            "host host-0 speaks version 2 of the agents' protocol, this job 1; install the same "
            "lockstep on both");
  EXPECT_THAT(refused_, ElementsAre(Refusal(far)));
  loop_.RunFor(2s);
  EXPECT_TRUE(far->closed());
}

TEST_F(CoordinatorTest, ASecondHelloCostsTheConnection) {
  const Far far = Join(0);
  EXPECT_EQ(Refusal(far), "");
  far->Say(Hello(1));

  EXPECT_THAT(Refusal(far), HasSubstr("second hello"));
}

TEST_F(CoordinatorTest, AnotherNodesPlaceIsNotForTheTaking) {
  const Far far = Connect("node-1");
  far->Say(Hello(0));

  EXPECT_THAT(Refusal(far), HasSubstr("is not for node 0"));
}

TEST_F(CoordinatorTest, OutputBeyondItsCreditCostsTheSendersConnection) {
  const Far greedy = Join(0);
  const Far modest = Join(1);
  ASSERT_EQ(nodes_.size(), 2u);
  for (const int node : {0, 1}) coordinator_.SendOutputCredit(base::NodeIndex(node), 1 << 20);
  for (int i = 0; i < 4; ++i) modest->Say(Output(256 << 10));
  for (int i = 0; i < 100; ++i) greedy->Say(Output(256 << 10));

  EXPECT_EQ(shown_bytes_, size_t{9} << 18) << "1 MiB of each, and one line that was too long";
  EXPECT_THAT(Refusal(greedy), HasSubstr("more output"));
  EXPECT_EQ(Refusal(modest), "");
}

TEST_F(CoordinatorTest, AMemberThatNeverStartsItsRanksIsLost) {
  const Far dumb = Join(0);
  const Far other = Join(1);
  ASSERT_EQ(nodes_.size(), 2u);
  nodes_[0].ranks->Spawn(base::Round(0), 0, {{base::Rank(0), base::Incarnation(0)}});

  for (int i = 0; i < 61 && lost_.empty(); ++i) {
    Beat(dumb);
    Beat(other);
    loop_.RunFor(1s);
  }

  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_THAT(lost_.begin()->second, HasSubstr("node 0 (host host-0) was lost"));
  EXPECT_THAT(lost_.begin()->second, HasSubstr("has not started 1 of its ranks"));
  EXPECT_TRUE(dumb->closed());
  EXPECT_FALSE(other->closed());
}

TEST_F(CoordinatorTest, RanksOfAllNodesGetTheCardsOfAll) {
  const Far one = Join(0);
  const Far other = Join(1);
  coordinator_.BeginRound(base::Round(7));

  one->Say(Cards(0));
  EXPECT_FALSE(Last(one).has_cards());
  other->Say(Cards(1));

  for (const Far& far : {one, other}) {
    EXPECT_THAT(Last(far).cards().cards(), ElementsAre("card 0", "card 1"));
    EXPECT_EQ(Last(far).cards().round(), 7u);
  }
  one->Say(Cards(0, 6));
  EXPECT_THAT(Last(one).cards().error().message(), HasSubstr("round 7 is in force"));
}

TEST_F(CoordinatorTest, CardsThatCannotBeCostTheSendersConnection) {
  const Far far = Join(0);
  Join(1);
  coordinator_.BeginRound(base::Round(7));
  far->Say(Cards(2));

  EXPECT_THAT(Refusal(far), HasSubstr("a card of member 2 of 2"));
}

TEST_F(CoordinatorTest, TheEndOfAJobIsToldHoweverMuchEvidenceThereIs) {
  const Far far = Join(0);
  Join(1);
  proto::JobOver over;
  over.set_exit_code(9);
  over.mutable_verdict()->set_job("job");
  for (int rank = 0; rank < 2000; ++rank) {
    over.mutable_verdict()->add_evidence()->add_lines(std::string(1000, 'e'));
  }

  coordinator_.Finish(over, [] {});

  EXPECT_FALSE(far->closed());
  proto::ToAgent message;
  ASSERT_TRUE(message.ParseFromString(far->heard().back()));
  EXPECT_EQ(message.job_over().exit_code(), 9);
  EXPECT_EQ(message.job_over().verdict().job(), "job");
}

TEST_F(CoordinatorTest, WhoHasSaidGoodbyeHasNotLeftEarly) {
  const Far one = Join(0);
  const Far two = Join(1);
  Finish();
  SayGoodbye(one);
  loop_.RunFor(100ms);
  EXPECT_FALSE(done_);
  SayGoodbye(two);
  loop_.RunFor(30s);

  EXPECT_TRUE(done_);
  EXPECT_THAT(left_early_, IsEmpty());
}

TEST_F(CoordinatorTest, AConnectionThatEndsAtTheEndWithoutAGoodbyeIsToldOnce) {
  const Far one = Join(0);
  const Far two = Join(1);
  Finish();
  SayGoodbye(one);
  two->End(base::OkStatus());
  loop_.RunFor(30s);

  EXPECT_TRUE(done_);
  EXPECT_THAT(left_early_, ElementsAre(1));
}

TEST_F(CoordinatorTest, ANodeThatWasLostBeforeTheEndIsNotToldAgain) {
  const Far one = Join(0);
  const Far two = Join(1);
  two->End(base::UnavailableError("broken"));
  loop_.RunFor(10ms);
  ASSERT_EQ(lost_.size(), 1u);
  Finish();
  SayGoodbye(one);
  loop_.RunFor(30s);

  EXPECT_TRUE(done_);
  EXPECT_THAT(left_early_, IsEmpty());
}

TEST_F(CoordinatorTest, WhoIsSilentAtTheEndIsNotWaitedForAsLongAsWhoIsSlow) {
  const Far silent = Join(0);
  const Far slow = Join(1);
  Finish();
  for (int i = 0; i < 24; ++i) {
    loop_.RunFor(1s);
    EXPECT_EQ(left_early_, i < 4 ? std::vector<int>() : std::vector<int>{0}) << i + 1 << " s";
    EXPECT_FALSE(done_);
    Beat(slow);
  }
  loop_.RunFor(1100ms);

  EXPECT_TRUE(done_);
  EXPECT_THAT(left_early_, ElementsAre(0, 1));
}

}  // namespace
}  // namespace lockstep::launcher
