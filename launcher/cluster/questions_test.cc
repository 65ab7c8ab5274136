// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A coordinator and its members together, over a simulated network: what they pass on for verbs.
#include "launcher/cluster/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launcher/agent/testing/no_news.h"
#include "launcher/cluster/fake_welcome.h"
#include "launcher/cluster/member.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"
#include "runtime/net/sim_network.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::NodeIndex;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using Reply = base::Result<proto::ControlReply>;

/// Ranks that nobody commands.
class NoRanks final : public NodeRanks {
 public:
  void Spawn(base::Round, int, const Processes&) override {}
  void CancelSpawns() override {}
  void SignalLeaders(int, const Processes&) override {}
  void SignalTrees(int, const Processes&) override {}
  void KillTrees(const Processes&, base::Duration) override {}
  void ForwardSignal(int) override {}
  void RequestStop(base::Duration) override {}
  void EndRound() override {}
  void GoOn(base::Round, const std::vector<elastic::GoneRank>&) override {}
};

proto::ControlRequest RequestFor(int node) {
  proto::ControlRequest request;
  request.mutable_read_output()->set_node(node);
  return request;
}

proto::ControlReply Text(const std::string& text) {
  proto::ControlReply reply;
  reply.mutable_output()->add_pieces()->set_content(text);
  return reply;
}

/// An agent that answers with its name; or holds its answers, or makes them long.
struct Agent final : MemberDelegate {
  base::Result<NodeRanks*> OnWelcome(const proto::Welcome&) override { return &ranks; }
  void OnWorld(const proto::World&) override {}
  void OnOutputCredit(uint64_t) override {}
  void AnswerHere(const proto::ControlRequest&, OnAnswer answer) override {
    if (holds) return held.push_back(std::move(answer));
    answer(Text(said));
  }
  void OnJobOver(const proto::JobOver&) override {}
  void OnMembershipLost(const base::Status& why) override { lost = why; }

  std::string said;
  bool holds = false;
  std::vector<OnAnswer> held;
  std::optional<base::Status> lost;
  NoRanks ranks;
  std::unique_ptr<net::Network> network;
  std::unique_ptr<net::Connecting> connecting;
  std::unique_ptr<Member> member;
};

/// Node 0 with the coordinator, nodes 1 and 2.
class QuestionsTest : public ::testing::Test, public CoordinatorDelegate {
 protected:
  QuestionsTest()
      : net_(loop_, 7),
        coordinator_({.job_id = "j", .membership = {.node_count = 3}}, {loop_, news_, *this}) {
    here_ = net_.Join("host-0", {.job = "j", .name = "coordinator"});
    auto listener = here_->Listen({}, [this](std::unique_ptr<net::Connection> connection) {
      coordinator_.Accept(std::move(connection));
    });
    LOCKSTEP_CHECK(listener.ok(), "it listens");
    listener_ = *std::move(listener);
    coordinator_.Begin();
    coordinator_.JoinLocal({.host = "host-0", .boot_id = "b0", .slots = 1, .wanted = NodeIndex(0)},
                           7, ranks_);
  }

  void Join(int node) {
    Agent& agent = agents_[static_cast<size_t>(node - 1)];
    const std::string number = std::to_string(node);
    agent.said = "this is node " + number;
    proto::Hello hello;
    hello.set_protocol(1);
    hello.set_job_id("j");
    hello.set_host("host-" + number);
    hello.set_boot_id("b" + number);
    hello.set_slots(2);
    hello.set_wanted_node(node);
    hello.set_jobs_root("/jobs");
    agent.network = net_.Join("host-" + number, {.job = "j", .name = "node-" + number});
    agent.member =
        std::make_unique<Member>(Member::Config{.hello = hello}, Member::Deps{loop_, agent});
    agent.connecting = agent.network->Connect(
        {listener_->endpoint()}, 5s, [&agent](base::Result<std::unique_ptr<net::Connection>> made) {
          ASSERT_OK(made.status());
          agent.member->Start(*std::move(made));
        });
  }
  void Form() {
    Join(1);
    Join(2);
    ASSERT_TRUE(loop_.RunUntil([this] { return formed_; }, 10s));
  }

  /// What a verb on node `from` gets that asks for node `to`.
  Reply Ask(int from, int to, base::Duration at_most = 10s) {
    std::optional<Reply> got;
    const auto take = [&got](Reply reply) { got = std::move(reply); };
    if (from == 0) {
      coordinator_.Ask(NodeIndex(to), RequestFor(to), 3s, take);
    } else {
      agents_[static_cast<size_t>(from - 1)].member->Ask(RequestFor(to), 5s, take);
    }
    EXPECT_TRUE(loop_.RunUntil([&got] { return got.has_value(); }, at_most));
    if (got && got->ok() && (*got)->has_error()) return proto::FromProto((*got)->error());
    return got.value_or(base::InternalError("no answer"));
  }
  static std::string TextOf(const Reply& reply) {
    return reply.ok() ? reply->output().pieces(0).content() : reply.status().ToString();
  }

  proto::Welcome MakeWelcome() const override { return FakeWelcome(); }
  void OnFormed(const std::vector<JobNode>& nodes) override {
    formed_ = true;
    EXPECT_EQ(nodes[2].jobs_root, "/jobs");
  }
  void OnFormationFailed(const base::Status& why) override { ADD_FAILURE() << why.ToString(); }
  void OnNodeLost(NodeIndex node, const base::Status&) override { lost_.push_back(node.value()); }
  void OnOutput(NodeIndex, const proto::Output& output) override {
    output_bytes_ += output.standard_output().size();
  }
  void Answer(const proto::ControlRequest& request, OnAnswer answer) override {
    const int node = request.read_output().node();
    if (node == 0) return answer(Text("this is node 0"));
    coordinator_.Ask(NodeIndex(node), request, 3s, [answer](const Reply& reply) {
      answer(reply.ok() ? *reply : Refusal(reply.status()));
    });
  }

  event::SimLoop loop_;
  net::SimNetwork net_;
  testing::NoNews news_;
  NoRanks ranks_;
  bool formed_ = false;
  std::vector<int> lost_;
  size_t output_bytes_ = 0;
  std::unique_ptr<net::Network> here_;
  Coordinator coordinator_;
  std::unique_ptr<net::Listener> listener_;
  std::array<Agent, 2> agents_;
};

TEST_F(QuestionsTest, EveryNodeIsReachedFromEveryNode) {
  Form();

  EXPECT_EQ(TextOf(Ask(0, 1)), "this is node 1");
  EXPECT_EQ(TextOf(Ask(1, 0)), "this is node 0");
  EXPECT_EQ(TextOf(Ask(1, 2)), "this is node 2");
  EXPECT_EQ(TextOf(Ask(2, 1)), "this is node 1");
}

TEST_F(QuestionsTest, ANodeThatIsNotThereIsNotFound) {
  Form();

  EXPECT_THAT(Ask(0, 3).status(), StatusIs(Code::kNotFound));
  EXPECT_THAT(Ask(1, 3).status(), StatusIs(Code::kNotFound));
  EXPECT_THAT(Ask(1, -1).status(), StatusIs(Code::kNotFound));
}

TEST_F(QuestionsTest, ANodeThatDoesNotAnswerIsNamedWhenItsTimeIsUp) {
  Form();
  agents_[1].holds = true;

  const base::SteadyTime asked_at = loop_.Now();
  const Reply reply = Ask(1, 2);

  EXPECT_THAT(reply.status(), StatusIs(Code::kDeadlineExceeded, HasSubstr("node 2")));
  EXPECT_GE(loop_.Now() - asked_at, 3s);
  EXPECT_LT(loop_.Now() - asked_at, 4s);
  EXPECT_TRUE(lost_.empty());
}

TEST_F(QuestionsTest, WhoeverWaitsForANodeThatIsLostIsToldAtOnce) {
  Form();
  agents_[1].holds = true;
  std::optional<Reply> got;
  agents_[0].member->Ask(RequestFor(2), 5s, [&got](Reply reply) { got = std::move(reply); });
  ASSERT_TRUE(loop_.RunUntil([this] { return !agents_[1].held.empty(); }, 1s));

  net_.Die("host-2", net::SimNetwork::Death::kReset);
  ASSERT_TRUE(loop_.RunUntil([&got] { return got.has_value(); }, 100ms));

  ASSERT_OK(got->status());
  EXPECT_THAT(proto::FromProto((*got)->error()), StatusIs(Code::kUnavailable, HasSubstr("host-2")));
  EXPECT_THAT(Ask(1, 2).status(), StatusIs(Code::kUnavailable, HasSubstr("host-2")));
}

TEST_F(QuestionsTest, OneRequestMoreThanMayWaitIsRefused) {
  Form();
  agents_[0].holds = true;
  int answered = 0;
  std::vector<Code> refused;
  for (int i = 0; i < 65; ++i) {
    coordinator_.Ask(NodeIndex(1), RequestFor(1), 3s, [&](const Reply& reply) {
      ++answered;
      if (!reply.ok()) refused.push_back(reply.status().code());
    });
  }
  ASSERT_TRUE(loop_.RunUntil([this] { return agents_[0].held.size() == 64; }, 1s));
  for (const OnAnswer& answer : agents_[0].held) answer(Text("late"));
  ASSERT_TRUE(loop_.RunUntil([&] { return answered == 65; }, 1s));

  EXPECT_THAT(refused, ::testing::ElementsAre(Code::kResourceExhausted));
}

TEST_F(QuestionsTest, LongAnswersOnASlowPathAreRefusedBeforeTheyCostTheNode) {
  Form();
  agents_[0].said = std::string(size_t{256} << 10, 'x');
  // A lease of its heartbeats and an answer or two fit through this.
  net_.SetPath("host-1", "host-0", {.bytes_per_second = 1 << 20});
  int whole = 0;
  int refused = 0;
  for (int i = 0; i < 40; ++i) {
    coordinator_.Ask(NodeIndex(1), RequestFor(1), 3s, [&](const Reply& reply) {
      const bool has_text = reply.ok() && reply->has_output();
      ++(has_text ? whole : refused);
    });
  }
  ASSERT_TRUE(loop_.RunUntil([&] { return whole + refused == 40; }, 10s));

  EXPECT_GE(whole, 4);
  EXPECT_GE(refused, 20);
  EXPECT_TRUE(lost_.empty());
  EXPECT_EQ(TextOf(Ask(0, 1)).size(), agents_[0].said.size());
}

TEST_F(QuestionsTest, AnAnswerThatNoMessageHoldsIsRefusedAndTheNodeStays) {
  Form();
  agents_[0].said = std::string(size_t{1} << 20, 'x');
  EXPECT_THAT(Ask(0, 1).status(), StatusIs(Code::kResourceExhausted, HasSubstr("1048512")));
  EXPECT_THAT(Ask(2, 1).status(), StatusIs(Code::kResourceExhausted, HasSubstr("1048512")));

  agents_[0].said.resize((size_t{1} << 20) - 200);
  EXPECT_EQ(TextOf(Ask(0, 1)).size(), agents_[0].said.size());
  EXPECT_TRUE(lost_.empty());
}

// Agents ended with the last of their ranks' lines unsent: a busy coordinator had not read so far.
TEST_F(QuestionsTest, WhoeverSaysGoodbyeIsHeardToHisLastWord) {
  Form();
  net_.SetPath("host-1", "host-0", {.bytes_per_second = 1 << 20});
  coordinator_.SendOutputCredit(NodeIndex(1), 1 << 20);
  bool finished = false;
  coordinator_.Finish({}, [&finished] { finished = true; });
  loop_.RunFor(10ms);
  bool left = false;
  proto::Output output;
  output.set_standard_output(std::string(size_t{256} << 10, 'x'));
  for (int i = 0; i < 4; ++i) agents_[0].member->SendOutput(output);

  agents_[0].member->SayGoodbye(5s, [&left] { left = true; });
  agents_[1].member->SayGoodbye(5s, [] {});
  ASSERT_TRUE(loop_.RunUntil([&left] { return left; }, 3s));
  agents_[0].member.reset();
  ASSERT_TRUE(loop_.RunUntil([&finished] { return finished; }, 1s));

  EXPECT_EQ(output_bytes_, size_t{1} << 20);
}

TEST_F(QuestionsTest, ACoordinatorThatHearsNothingKeepsNobodyForEver) {
  Form();
  net_.Partition("host-0", "host-1");
  bool left = false;

  const base::SteadyTime begin = loop_.Now();
  agents_[0].member->SayGoodbye(1s, [&left] { left = true; });

  ASSERT_TRUE(loop_.RunUntil([&left] { return left; }, 5s));
  EXPECT_EQ(loop_.Now() - begin, 1s);
}

TEST_F(QuestionsTest, EachNodeIsDescribedFromTheDayItIsAwaited) {
  Join(1);
  ASSERT_TRUE(
      loop_.RunUntil([this] { return coordinator_.DescribeNodes()[1].state() == "alive"; }, 1s));
  EXPECT_EQ(coordinator_.DescribeNodes()[0].state(), "alive");
  EXPECT_TRUE(coordinator_.DescribeNodes()[0].is_coordinator());
  EXPECT_EQ(coordinator_.DescribeNodes()[2].state(), "awaited");

  Join(2);
  ASSERT_TRUE(loop_.RunUntil([this] { return formed_; }, 10s));
  loop_.RunFor(1s);
  const proto::NodeStatus node = coordinator_.DescribeNodes()[2];
  EXPECT_EQ(node.host(), "host-2");
  EXPECT_EQ(node.slots(), 2);
  EXPECT_LE(node.heartbeat_age_ns(), base::Duration(260ms).count());
  EXPECT_TRUE(node.has_clock_offset_ns());
  EXPECT_LE(std::abs(node.clock_offset_ns()), node.clock_error_ns());

  net_.Die("host-2", net::SimNetwork::Death::kSilent);
  ASSERT_TRUE(loop_.RunUntil([this] { return !lost_.empty(); }, 5s));
  EXPECT_EQ(coordinator_.DescribeNodes()[2].state(), "lost");
  EXPECT_THAT(coordinator_.DescribeNodes()[2].reason(), HasSubstr("host-2"));
}

}  // namespace
}  // namespace lockstep::launcher
