// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::elastic {
namespace {

using base::Code;
using base::NodeIndex;
using base::SteadyTime;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

const SteadyTime kStart{1s};

NodeFacts Host(const std::string& name, int wanted = -1) {
  return {.host = name,
          .boot_id = "boot of " + name,
          .slots = 4,
          .wanted = NodeIndex(wanted),
          .program_hash = "5ca1ab1e",
          .lockstep_version = "0.1.0",
          .addresses = {"10.0.0.1"}};
}

/// Feeds events to a membership at a time of its own and keeps the actions of the last one.
class Job {
 public:
  explicit Job(const MembershipConfig& config) : state_(config) { On(BeginForming{}); }

  template <class What>
  Job& On(What what) {
    MembershipStep step = Step(std::move(state_), {now_, std::move(what)});
    state_ = std::move(step.state);
    actions_ = std::move(step.actions);
    if (const auto* timer = Get<SetMembershipTimer>()) timer_ = *timer;
    return *this;
  }
  Job& After(base::Duration delay) {
    now_ += delay;
    return *this;
  }
  Job& Join(uint64_t member, NodeFacts facts, bool is_local = false) {
    return On(Joined{Member(member), std::move(facts), is_local});
  }
  /// Hosts "a", "b", ... of the members 0, 1, ...; the first is local.
  Job& JoinAll() {
    for (int node = 0; node < state_.config.node_count; ++node) {
      Join(static_cast<uint64_t>(node), Host(std::string(1, static_cast<char>('a' + node))),
           node == 0);
    }
    return *this;
  }
  Job& Beat(uint64_t member) { return On(HeartbeatCame{Member(member)}); }
  Job& End(uint64_t member) {
    return On(ConnectionEnded{Member(member), base::UnavailableError("connection reset")});
  }
  /// Lets the time of the timer come, and fires it.
  Job& FireTimer() {
    now_ = std::max(now_, timer_.due);
    return On(MembershipTimerFired{timer_.generation});
  }

  SteadyTime now() const { return now_; }
  SteadyTime timer_due() const { return timer_.due; }
  MembershipPhase phase() const { return state_.phase; }
  const MembershipState& state() const { return state_; }
  const std::vector<MembershipAction>& actions() const { return actions_; }
  template <class T>
  const T* Get() const {
    const T* found = nullptr;
    for (const MembershipAction& action : actions_) {
      if (const T* one = std::get_if<T>(&action)) {
        EXPECT_EQ(found, nullptr) << "two actions of one type";
        found = one;
      }
    }
    return found;
  }
  /// Why the last one was refused; OK when it was not.
  base::Status Refusal() const {
    return Get<Refuse>() == nullptr ? base::OkStatus() : Get<Refuse>()->why;
  }
  int AdmittedAs() const { return Get<Admit>() == nullptr ? -1 : Get<Admit>()->node.value(); }

 private:
  MembershipState state_;
  SteadyTime now_ = kStart;
  SetMembershipTimer timer_;
  std::vector<MembershipAction> actions_;
};

// ---------------------------------------- forming

TEST(MembershipTest, LastNodeFormsTheJobInTheOrderOfIndices) {
  Job job({.node_count = 3});
  EXPECT_EQ(job.Join(7, Host("a"), true).AdmittedAs(), 0);
  EXPECT_EQ(job.Join(3, Host("c", 2)).AdmittedAs(), 2);
  EXPECT_EQ(job.Get<Formed>(), nullptr);
  EXPECT_EQ(job.Join(5, Host("b")).AdmittedAs(), 1);

  ASSERT_NE(job.Get<Formed>(), nullptr);
  const std::vector<Formed::Node>& nodes = job.Get<Formed>()->nodes;
  ASSERT_EQ(nodes.size(), 3u);
  EXPECT_EQ(nodes[0].member, Member(7));
  EXPECT_EQ(nodes[1].member, Member(5));
  EXPECT_EQ(nodes[1].facts, Host("b"));
  EXPECT_EQ(nodes[2].facts.host, "c");
  EXPECT_EQ(job.phase(), MembershipPhase::kFormed);
}

TEST(MembershipTest, AdmissionComesBeforeFormed) {
  Job job({.node_count = 1});
  job.Join(1, Host("a"), true);

  ASSERT_EQ(job.actions().size(), 2u);
  EXPECT_TRUE(std::holds_alternative<Admit>(job.actions()[0]));
  EXPECT_TRUE(std::holds_alternative<Formed>(job.actions()[1]));
}

TEST(MembershipTest, AnyPlaceIsTheLowestFreeOne) {
  Job job({.node_count = 5});
  job.Join(1, Host("a", 0)).Join(2, Host("b", 2));

  EXPECT_EQ(job.Join(3, Host("c")).AdmittedAs(), 1);
  EXPECT_EQ(job.Join(4, Host("d")).AdmittedAs(), 3);
}

TEST(MembershipTest, SecondHelloOfAMemberChangesNothing) {
  Job job({.node_count = 3});
  job.Join(1, Host("a"));

  EXPECT_TRUE(job.Join(1, Host("b")).actions().empty());
  EXPECT_EQ(job.state().nodes.size(), 1u);
}

TEST(MembershipTest, NodeThatLeavesBeforeFormedFreesItsPlaceAndMayComeBack) {
  Job job({.node_count = 3});
  job.Join(1, Host("a"), true).Join(2, Host("b", 1));

  EXPECT_TRUE(job.End(2).actions().empty());
  EXPECT_FALSE(job.state().IsMember(Member(2)));
  EXPECT_EQ(job.Join(3, Host("c", 1)).AdmittedAs(), 1);
  EXPECT_EQ(job.Join(4, Host("b")).AdmittedAs(), 2);
  EXPECT_NE(job.Get<Formed>(), nullptr);
}

TEST(MembershipTest, NodeThatFallsSilentBeforeFormedIsToldAndFreesItsPlace) {
  Job job({.node_count = 3, .lease = 2s});
  job.Join(1, Host("a"), true).Join(2, Host("b", 1)).FireTimer();

  ASSERT_NE(job.Get<Refuse>(), nullptr);
  EXPECT_EQ(job.Get<Refuse>()->member, Member(2));
  EXPECT_THAT(job.Refusal(), StatusIs(Code::kDeadlineExceeded, HasSubstr("node 1 (host b)")));
  EXPECT_EQ(job.Join(3, Host("b", 1)).AdmittedAs(), 1);
}

// ---------------------------------------- refusals

struct RefusalCase {
  std::string name;
  NodeFacts facts;
  Code code = Code::kOk;
  std::string message;
};

NodeFacts With(NodeFacts facts, void (*change)(NodeFacts&)) {
  change(facts);
  return facts;
}

/// To a job of 4 nodes that has "a" as node 0 and "b" as node 2.
const RefusalCase kRefusals[] = {
    {"OtherVersion", With(Host("c"), [](NodeFacts& facts) { facts.lockstep_version = "0.1.1"; }),
     Code::kFailedPrecondition,
     "host c runs lockstep 0.1.1, this job 0.1.0; install the same version on both"},
    {"OtherProgram",
     With(Host("c"), [](NodeFacts& facts) { facts.program_hash = "0123456789abcdef"; }),
     Code::kFailedPrecondition,
     "the program on host c is not that on host a (SHA-256 0123456789ab... and 5ca1ab1e...); copy "
     "the same file to both, or let --stage do it"},
    {"SameMachine", Host("b"), Code::kAlreadyExists,
     "host b is node 2 already; a job has each host once, with all of its slots"},
    {"PlaceTaken", Host("c", 2), Code::kAlreadyExists,
     "host c wants to be node 2, which host b is; give each host a --node-rank of its own, or "
     "auto"},
    {"PlaceTooHigh", Host("c", 4), Code::kFailedPrecondition,
     "host c wants to be node 4 of 4 nodes; they are numbered 0 to 3 (--node-rank, --nnodes)"},
    {"PlaceTooLow", Host("c", -2), Code::kFailedPrecondition,
     "host c wants to be node -2 of 4 nodes; they are numbered 0 to 3 (--node-rank, --nnodes)"},
    {"NoSlots", With(Host("c"), [](NodeFacts& facts) { facts.slots = 0; }),
     Code::kFailedPrecondition,
     "host c offers 0 slots; a node runs at least one rank, so give it slots or leave it out"},
    {"NegativeSlots", With(Host("c"), [](NodeFacts& facts) { facts.slots = -3; }),
     Code::kFailedPrecondition,
     "host c offers -3 slots; a node runs at least one rank, so give it slots or leave it out"},
    {"OtherCount", With(Host("c"), [](NodeFacts& facts) { facts.node_count = 3; }),
     Code::kFailedPrecondition,
     "host c was started for a job of 3 nodes, this one has 4; give every node the same --nnodes"},
};

class MembershipRefusalTest : public ::testing::TestWithParam<RefusalCase> {};

TEST_P(MembershipRefusalTest, NamesHostAndCureAndLeavesThePlaceFree) {
  Job job({.node_count = 4});
  job.Join(1, Host("a"), true).Join(2, Host("b", 2)).Join(3, GetParam().facts);

  ASSERT_NE(job.Get<Refuse>(), nullptr);
  EXPECT_EQ(job.Get<Refuse>()->member, Member(3));
  EXPECT_EQ(job.Refusal().code(), GetParam().code);
  EXPECT_EQ(job.Refusal().message(), GetParam().message);
  EXPECT_EQ(job.AdmittedAs(), -1);
  EXPECT_FALSE(job.state().IsMember(Member(3)));
  EXPECT_EQ(job.Join(4, Host("c", 3)).AdmittedAs(), 3) << "a second try does well";
}

INSTANTIATE_TEST_SUITE_P(All, MembershipRefusalTest, ::testing::ValuesIn(kRefusals),
                         [](const auto& one) { return one.param.name; });

TEST(MembershipTest, TheRightCountIsNoOtherCount) {
  Job job({.node_count = 2});
  NodeFacts told = Host("a");
  told.node_count = 2;

  EXPECT_EQ(job.Join(1, told).AdmittedAs(), 0);
}

TEST(MembershipTest, ProgramThatIsNotKnownIsNoOtherProgram) {
  Job job({.node_count = 3});
  NodeFacts unknown = Host("b");
  unknown.program_hash = "";
  job.Join(1, unknown);
  EXPECT_EQ(job.Join(2, Host("a")).AdmittedAs(), 1);

  NodeFacts other = Host("c");
  other.program_hash = "0ther";
  EXPECT_THAT(job.Join(3, other).Refusal(), StatusIs(Code::kFailedPrecondition));
}

TEST(MembershipTest, SameNameOfTwoMachinesAndTwoNamesOfOneAreTwoNodes) {
  Job job({.node_count = 3});
  NodeFacts same_name = Host("a");
  same_name.boot_id = "another";
  NodeFacts same_boot = Host("pod-2");
  same_boot.boot_id = Host("a").boot_id;

  EXPECT_EQ(job.Join(1, Host("a")).AdmittedAs(), 0);
  EXPECT_EQ(job.Join(2, same_name).AdmittedAs(), 1);
  EXPECT_EQ(job.Join(3, same_boot).AdmittedAs(), 2);
}

TEST(MembershipTest, HostsMayRepeatWhereThatIsMeant) {
  Job job({.node_count = 2, .hosts_may_repeat = true});
  job.Join(1, Host("a"), true);

  EXPECT_EQ(job.Join(2, Host("a")).AdmittedAs(), 1);
}

TEST(MembershipTest, CompleteJobTakesNobodyMore) {
  Job job({.node_count = 2});
  job.JoinAll().Join(9, Host("z"));

  EXPECT_THAT(job.Refusal(),
              StatusIs(Code::kResourceExhausted,
                       "host z came too late: the job has all of its 2 nodes; to use more, start "
                       "it with more (--nnodes)"));
}

TEST(MembershipTest, LostNodeIsNotTakenBack) {
  Job job({.node_count = 2});
  job.JoinAll().End(1).Join(9, Host("b"));

  EXPECT_THAT(job.Refusal(), StatusIs(Code::kFailedPrecondition,
                                      HasSubstr("node 1 (host b) was lost, and a job does not")));
}

TEST(MembershipTest, JobThatIsOverOrHasNotBegunTakesNobody) {
  Job over({.node_count = 2});
  over.On(FinishMembership{}).Join(1, Host("a"));
  EXPECT_THAT(over.Refusal(), StatusIs(Code::kFailedPrecondition, HasSubstr("the job is over")));

  const MembershipStep idle =
      Step(MembershipState({.node_count = 2}), {kStart, Joined{Member(1), Host("a"), false}});
  ASSERT_EQ(idle.actions.size(), 1u);
  EXPECT_THAT(std::get<Refuse>(idle.actions[0]).why,
              StatusIs(Code::kFailedPrecondition, HasSubstr("host a")));
}

// ---------------------------------------- the deadline of formation

TEST(MembershipTest, DeadlineNamesTheMissingPlaces) {
  Job job({.node_count = 4, .join_deadline = 30s});
  job.Join(1, Host("a", 0), true).Join(2, Host("c", 2));
  while (job.phase() == MembershipPhase::kForming) {
    job.After(250ms).Beat(2);
    if (job.now() >= job.timer_due()) job.FireTimer();
  }

  ASSERT_NE(job.Get<FormationFailed>(), nullptr);
  EXPECT_THAT(
      job.Get<FormationFailed>()->why,
      StatusIs(Code::kDeadlineExceeded, "2 of 4 nodes came within 30s: missing node 1, node 3"));
  EXPECT_GE(job.now(), kStart + 30s);
  EXPECT_THAT(job.Join(3, Host("b", 1)).Refusal(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("over")));
}

TEST(MembershipTest, DeadlineCountsWherePlacesSayNothing) {
  Job job({.node_count = 4, .join_deadline = 30s});
  job.Join(1, Host("a"), true).FireTimer();

  EXPECT_THAT(job.Get<FormationFailed>()->why,
              StatusIs(Code::kDeadlineExceeded, "1 of 4 nodes came within 30s: 3 more needed"));
}

TEST(MembershipTest, DeadlineSaysWhatKeptTheLastOneOut) {
  Job refused({.node_count = 2, .join_deadline = 30s});
  NodeFacts old = Host("b");
  old.lockstep_version = "0.0.9";
  refused.Join(1, Host("a"), true).Join(2, old).FireTimer();
  ASSERT_NE(refused.Get<FormationFailed>(), nullptr);
  ASSERT_NE(refused.Get<FormationFailed>()->why.cause(), nullptr);
  EXPECT_THAT(*refused.Get<FormationFailed>()->why.cause(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("host b runs lockstep 0.0.9")));

  Job left({.node_count = 2, .join_deadline = 30s});
  left.Join(2, Host("b", 1)).End(2).FireTimer();
  while (left.phase() == MembershipPhase::kForming) left.FireTimer();
  ASSERT_NE(left.Get<FormationFailed>()->why.cause(), nullptr);
  EXPECT_THAT(*left.Get<FormationFailed>()->why.cause(),
              StatusIs(Code::kUnavailable,
                       "node 1 (host b) left before the job was complete: its connection ended: "
                       "connection reset"));
}

TEST(MembershipTest, DeadlineNamesOnlySoMany) {
  Job job({.node_count = 1000, .join_deadline = 30s});
  job.Join(1, Host("a", 0), true).FireTimer();

  EXPECT_THAT(job.Get<FormationFailed>()->why.message(),
              HasSubstr("node 15, node 16 and 983 more"));
}

TEST(MembershipTest, DeadlineBeyondAllTimeIsNone) {
  Job job({.node_count = 2, .join_deadline = base::Duration::max()});
  EXPECT_EQ(job.Get<SetMembershipTimer>(), nullptr);
}

// ---------------------------------------- leases

TEST(MembershipTest, SilentNodeIsLostWhenItsLeaseEndsAndOnlyOnce) {
  Job job({.node_count = 3, .lease = 2s});
  job.JoinAll().After(1500ms).Beat(1).FireTimer();

  ASSERT_NE(job.Get<NodeLost>(), nullptr);
  EXPECT_EQ(job.Get<NodeLost>()->node, NodeIndex(2));
  EXPECT_EQ(job.Get<NodeLost>()->fenced_at, kStart + 2s);
  EXPECT_THAT(job.Get<NodeLost>()->why,
              StatusIs(Code::kDeadlineExceeded,
                       "node 2 (host c) was lost: nothing was heard of it for 2s"));
  EXPECT_EQ(job.timer_due(), kStart + 3500ms) << "then for the next one";

  EXPECT_TRUE(job.End(2).actions().empty());
  EXPECT_TRUE(job.Beat(2).actions().empty());
  EXPECT_FALSE(job.state().IsMember(Member(2))) << "its heartbeats are not acknowledged";
  EXPECT_TRUE(job.state().IsMember(Member(1)));
}

TEST(MembershipTest, EndedConnectionLosesTheNodeAtOnceButItsRanksMayLiveUntilItsLeaseEnds) {
  Job job({.node_count = 2, .lease = 2s});
  job.JoinAll().After(1s).Beat(1).After(500ms).End(1);

  ASSERT_NE(job.Get<NodeLost>(), nullptr);
  EXPECT_EQ(job.Get<NodeLost>()->fenced_at, kStart + 3s);
  EXPECT_THAT(job.Get<NodeLost>()->why,
              StatusIs(Code::kUnavailable,
                       "node 1 (host b) was lost: its connection ended: connection reset"));
  EXPECT_EQ(job.Get<NodeLost>()->why.subjects().at(0).host, "b");
  EXPECT_EQ(job.After(10s).FireTimer().Get<NodeLost>(), nullptr);
}

TEST(MembershipTest, OrderlyEndOfAConnectionIsALossToo) {
  Job job({.node_count = 2, .lease = 2s});
  job.JoinAll().On(ConnectionEnded{Member(1), base::OkStatus()});

  EXPECT_THAT(job.Get<NodeLost>()->why,
              StatusIs(Code::kUnavailable, HasSubstr("its agent closed the connection")));
  EXPECT_EQ(job.Get<NodeLost>()->fenced_at, kStart + 2s);
}

TEST(MembershipTest, ConnectionThatEndsBehindItsLeaseIsFencedNow) {
  Job job({.node_count = 2, .lease = 2s});
  job.JoinAll().After(5s).End(1);

  EXPECT_EQ(job.Get<NodeLost>()->fenced_at, kStart + 5s);
}

TEST(MembershipTest, HeartbeatBehindItsLeaseIsTooLateEvenWhenTheTimerIsLater) {
  Job job({.node_count = 2, .lease = 2s});
  job.JoinAll().After(2s).Beat(1);

  ASSERT_NE(job.Get<NodeLost>(), nullptr);
  EXPECT_EQ(job.FireTimer().Get<NodeLost>(), nullptr);
}

TEST(MembershipTest, NodesThatFallSilentTogetherAreLostInOneStep) {
  Job job({.node_count = 4, .lease = 2s});
  job.JoinAll().After(100ms).Beat(2);
  job.After(1900ms).On(MembershipTimerFired{job.state().timer_generation});

  std::vector<int> lost;
  for (const MembershipAction& action : job.actions()) {
    if (const auto* one = std::get_if<NodeLost>(&action)) lost.push_back(one->node.value());
  }
  EXPECT_EQ(lost, (std::vector<int>{1, 3}));
}

TEST(MembershipTest, LocalNodeNeedsNoHeartbeat) {
  Job job({.node_count = 1, .lease = 2s});
  job.JoinAll().After(1h).FireTimer();

  EXPECT_TRUE(job.actions().empty()) << "not even a timer";
  EXPECT_TRUE(job.Beat(0).actions().empty());
}

TEST(MembershipTest, HeartbeatsOfStrangersChangeNothing) {
  Job job({.node_count = 2});
  EXPECT_TRUE(job.JoinAll().Beat(77).actions().empty());
  EXPECT_TRUE(job.End(77).actions().empty());
}

TEST(MembershipTest, FinishedJobLosesNobody) {
  Job job({.node_count = 3, .lease = 2s});
  job.JoinAll().On(FinishMembership{});

  EXPECT_TRUE(job.End(1).actions().empty());
  EXPECT_TRUE(job.After(10s).FireTimer().actions().empty());
  EXPECT_TRUE(job.Beat(2).actions().empty());
  EXPECT_TRUE(job.state().IsMember(Member(2))) << "it is acknowledged until it goes";
}

// ---------------------------------------- the timer

TEST(MembershipTest, OneTimerForTheEarliestAndNoneForAHeartbeat) {
  Job job({.node_count = 3, .lease = 2s, .join_deadline = 60s});
  EXPECT_EQ(job.timer_due(), kStart + 60s);
  job.Join(0, Host("a"), true);
  EXPECT_EQ(job.Get<SetMembershipTimer>(), nullptr);
  job.After(1s).Join(1, Host("b"));
  EXPECT_EQ(job.Get<SetMembershipTimer>()->due, kStart + 3s);
  job.After(500ms).Join(2, Host("c"));
  EXPECT_EQ(job.Get<SetMembershipTimer>(), nullptr) << "it goes off before";

  EXPECT_TRUE(job.After(1s).Beat(1).actions().empty());
  EXPECT_TRUE(job.After(10ms).Beat(2).actions().empty());
  job.FireTimer();
  ASSERT_EQ(job.actions().size(), 1u);
  EXPECT_EQ(job.Get<SetMembershipTimer>()->due, kStart + 4500ms);
}

TEST(MembershipTest, TimerOfAnOldGenerationIsIgnored) {
  Job job({.node_count = 2, .lease = 2s});
  const uint64_t of_the_deadline = job.state().timer_generation;
  job.JoinAll().After(3s).On(MembershipTimerFired{of_the_deadline});

  EXPECT_TRUE(job.actions().empty());
}

}  // namespace
}  // namespace lockstep::elastic
