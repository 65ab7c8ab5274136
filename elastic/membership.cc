// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/membership.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/base/check.h"

namespace lockstep::elastic {

namespace {

using base::Duration;
using base::NodeIndex;
using base::SteadyTime;
using Node = MembershipState::Node;

/// Of the nodes that did not come; a thousand names help nobody.
constexpr int kNamedMax = 16;
/// Of a program's hash: enough to see that two differ.
constexpr size_t kHashCharacters = 12;

/// For ever when the sum is beyond what can be said.
SteadyTime After(SteadyTime at, Duration delay) {
  return delay < SteadyTime::max() - at ? at + delay : SteadyTime::max();
}

std::string NodeName(NodeIndex node) { return "node " + node.ToString(); }
std::string NodeName(NodeIndex node, const NodeFacts& facts) {
  return NodeName(node) + " (host " + facts.host + ")";
}
std::string NodeCount(int count) {
  return std::to_string(count) + (count == 1 ? " node" : " nodes");
}

/// One step in the making.
class Stepper {
 public:
  Stepper(MembershipState state, SteadyTime at) : state_(std::move(state)), at_(at) {}

  MembershipStep Finish() && { return {std::move(state_), std::move(actions_)}; }

  void On(const BeginForming&) {
    if (state_.phase != MembershipPhase::kIdle) return;
    state_.phase = MembershipPhase::kForming;
    state_.join_until = After(at_, state_.config.join_deadline);
    SetTimerFor(state_.join_until);
  }

  void On(const Joined& event) {
    if (state_.IsMember(event.member)) return;
    base::Status why = WhyNot(event.facts);
    if (!why.ok()) {
      if (state_.phase == MembershipPhase::kForming) state_.last_trouble = why;
      return Do(Refuse{event.member, std::move(why)});
    }
    const NodeIndex index =
        event.facts.wanted.value() >= 0 ? event.facts.wanted : LowestFreeIndex();
    Node node{.member = event.member, .facts = event.facts, .is_local = event.is_local};
    if (!node.is_local) node.lease_until = After(at_, state_.config.lease);
    SetTimerFor(node.lease_until);
    state_.nodes.emplace(index, std::move(node));
    state_.members.emplace(event.member, index);
    Do(Admit{event.member, index});
    if (static_cast<int>(state_.nodes.size()) == state_.config.node_count) Form();
  }

  void On(const HeartbeatCame& event) {
    const auto member = state_.members.find(event.member);
    if (member == state_.members.end()) return;
    Node& node = state_.nodes.find(member->second)->second;
    if (node.is_local) return;
    // The timer may be late; by its own clock the agent has ended its ranks.
    if (at_ >= node.lease_until && LeasesCount()) return EndLease(member->second);
    node.lease_until = After(at_, state_.config.lease);
  }

  void On(const ConnectionEnded& event) {
    const auto member = state_.members.find(event.member);
    if (member == state_.members.end()) return;
    const NodeIndex index = member->second;
    const std::string how = event.why.ok() ? "its agent closed the connection"
                                           : "its connection ended: " + event.why.message();
    Leave(index, base::UnavailableError(how));
  }

  void On(const FinishMembership&) { state_.phase = MembershipPhase::kFinished; }

  void On(const MembershipTimerFired& event) {
    if (event.generation != state_.timer_generation) return;
    state_.timer_due = SteadyTime::max();
    if (!LeasesCount()) return;
    for (const NodeIndex node : NodesWhoseLeaseEnded()) EndLease(node);
    if (state_.phase == MembershipPhase::kForming && at_ >= state_.join_until) return FailToForm();
    SetTimerFor(NextDue());
  }

 private:
  template <class T>
  void Do(T action) {
    actions_.push_back(std::move(action));
  }

  bool LeasesCount() const {
    return state_.phase == MembershipPhase::kForming || state_.phase == MembershipPhase::kFormed;
  }

  // -- joining

  /// OK when it may join.
  base::Status WhyNot(const NodeFacts& facts) const {
    switch (state_.phase) {
      case MembershipPhase::kIdle:
        return base::FailedPreconditionError("host " + facts.host +
                                             " came before the job takes nodes; try again");
      case MembershipPhase::kForming: break;
      case MembershipPhase::kFormed: return WhyTooLate(facts);
      case MembershipPhase::kFinished:
        return base::FailedPreconditionError("host " + facts.host +
                                             " came too late: the job is over; start a new one");
    }
    RETURN_IF_ERROR(CheckSameCount(facts));
    RETURN_IF_ERROR(CheckSameSoftware(facts));
    RETURN_IF_ERROR(CheckNotHereYet(facts));
    return CheckPlace(facts);
  }

  base::Status WhyTooLate(const NodeFacts& facts) const {
    for (const auto& [index, node] : state_.nodes) {
      if (node.lost && IsSameMachine(node.facts, facts)) {
        return base::FailedPreconditionError(
            NodeName(index, facts) +
            " was lost, and a job does not take a lost node back; start the job again");
      }
    }
    return base::ResourceExhaustedError(
        "host " + facts.host + " came too late: the job has all of its " +
        NodeCount(state_.config.node_count) + "; to use more, start it with more (--nnodes)");
  }

  base::Status CheckSameCount(const NodeFacts& facts) const {
    if (facts.node_count == 0 || facts.node_count == state_.config.node_count) {
      return base::OkStatus();
    }
    return base::FailedPreconditionError("host " + facts.host + " was started for a job of " +
                                         NodeCount(facts.node_count) + ", this one has " +
                                         std::to_string(state_.config.node_count) +
                                         "; give every node the same --nnodes");
  }

  base::Status CheckSameSoftware(const NodeFacts& facts) const {
    for (const auto& [index, node] : state_.nodes) {
      if (node.facts.lockstep_version != facts.lockstep_version) {
        return base::FailedPreconditionError(
            "host " + facts.host + " runs lockstep " + facts.lockstep_version + ", this job " +
            node.facts.lockstep_version + "; install the same version on both");
      }
      if (!node.facts.program_hash.empty() && !facts.program_hash.empty() &&
          node.facts.program_hash != facts.program_hash) {
        return base::FailedPreconditionError(
            "the program on host " + facts.host + " is not that on host " + node.facts.host +
            " (SHA-256 " + facts.program_hash.substr(0, kHashCharacters) + "... and " +
            node.facts.program_hash.substr(0, kHashCharacters) +
            "...); copy the same file to both, or let --stage do it");
      }
    }
    return base::OkStatus();
  }

  static bool IsSameMachine(const NodeFacts& a, const NodeFacts& b) {
    return a.host == b.host && a.boot_id == b.boot_id;
  }

  base::Status CheckNotHereYet(const NodeFacts& facts) const {
    if (state_.config.hosts_may_repeat) return base::OkStatus();
    for (const auto& [index, node] : state_.nodes) {
      if (IsSameMachine(node.facts, facts)) {
        return base::AlreadyExistsError(
            "host " + facts.host + " is " + NodeName(index) +
            " already; a job has each host once, with all of its slots");
      }
    }
    return base::OkStatus();
  }

  base::Status CheckPlace(const NodeFacts& facts) const {
    if (facts.slots < 1) {
      return base::FailedPreconditionError("host " + facts.host + " offers " +
                                           std::to_string(facts.slots) +
                                           " slots; a node runs at least one rank, so give it "
                                           "slots or leave it out");
    }
    if (facts.wanted == NodeIndex(-1)) return base::OkStatus();
    if (facts.wanted.value() < 0 || facts.wanted.value() >= state_.config.node_count) {
      return base::FailedPreconditionError(
          "host " + facts.host + " wants to be " + NodeName(facts.wanted) + " of " +
          NodeCount(state_.config.node_count) + "; they are numbered 0 to " +
          std::to_string(state_.config.node_count - 1) + " (--node-rank, --nnodes)");
    }
    const auto holder = state_.nodes.find(facts.wanted);
    if (holder == state_.nodes.end()) return base::OkStatus();
    return base::AlreadyExistsError(
        "host " + facts.host + " wants to be " + NodeName(facts.wanted) + ", which host " +
        holder->second.facts.host + " is; give each host a --node-rank of its own, or auto");
  }

  NodeIndex LowestFreeIndex() const {
    NodeIndex free(0);
    for (const auto& [index, node] : state_.nodes) {
      if (index != free) break;
      ++free;
    }
    return free;
  }

  void Form() {
    state_.phase = MembershipPhase::kFormed;
    state_.last_trouble = base::OkStatus();
    Formed formed;
    for (const auto& [index, node] : state_.nodes)
      formed.nodes.push_back({node.member, node.facts});
    Do(std::move(formed));
  }

  void FailToForm() {
    state_.phase = MembershipPhase::kFinished;
    const int here = static_cast<int>(state_.nodes.size());
    Do(FormationFailed{base::DeadlineExceededError(
                           std::to_string(here) + " of " + NodeCount(state_.config.node_count) +
                           " came within " + base::FormatDuration(state_.config.join_deadline) +
                           ": " + Missing(state_.config.node_count - here))
                           .WithCause(state_.last_trouble)});
  }

  /// By number only where the nodes brought their numbers with them.
  std::string Missing(int count) const {
    const bool numbered =
        std::all_of(state_.nodes.begin(), state_.nodes.end(),
                    [](const auto& entry) { return entry.second.facts.wanted.value() >= 0; });
    if (state_.nodes.empty() || !numbered) return std::to_string(count) + " more needed";
    std::string text = "missing";
    int named = 0;
    for (NodeIndex index(0); index.value() < state_.config.node_count; ++index) {
      if (state_.nodes.contains(index)) continue;
      if (named == kNamedMax) return text + " and " + std::to_string(count - named) + " more";
      text += (named++ == 0 ? " " : ", ") + NodeName(index);
    }
    return text;
  }

  // -- leaving

  void EndLease(NodeIndex index) {
    const Node& node = state_.nodes.find(index)->second;
    const Member member = node.member;
    const bool forming = state_.phase == MembershipPhase::kForming;
    Leave(index, base::DeadlineExceededError(
                     "nothing was heard of it for " +
                     base::FormatDuration(at_ - node.lease_until + state_.config.lease)));
    if (forming) Do(Refuse{member, state_.last_trouble});
  }

  /// A member goes, for whatever reason.
  void Leave(NodeIndex index, const base::Status& why) {
    const auto found = state_.nodes.find(index);
    Node& node = found->second;
    state_.members.erase(node.member);
    switch (state_.phase) {
      case MembershipPhase::kIdle:
      case MembershipPhase::kFinished: return;
      case MembershipPhase::kForming:
        state_.last_trouble =
            why.WithFrame(NodeName(index, node.facts) + " left before the job was complete");
        state_.nodes.erase(found);
        return;
      case MembershipPhase::kFormed:
        node.lost = true;
        Do(NodeLost{index,
                    why.WithFrame(NodeName(index, node.facts) + " was lost")
                        .WithSubject({.host = node.facts.host}),
                    node.is_local ? at_ : std::max(at_, node.lease_until)});
        return;
    }
  }

  std::vector<NodeIndex> NodesWhoseLeaseEnded() const {
    std::vector<NodeIndex> ended;
    for (const auto& [member, index] : state_.members) {
      if (state_.nodes.find(index)->second.lease_until <= at_) ended.push_back(index);
    }
    std::sort(ended.begin(), ended.end());
    return ended;
  }

  // -- the timer

  SteadyTime NextDue() const {
    SteadyTime due =
        state_.phase == MembershipPhase::kForming ? state_.join_until : SteadyTime::max();
    for (const auto& [member, index] : state_.members) {
      due = std::min(due, state_.nodes.find(index)->second.lease_until);
    }
    return due;
  }

  /// Sets it unless it goes off by then anyway.
  void SetTimerFor(SteadyTime due) {
    if (due >= state_.timer_due) return;
    state_.timer_due = due;
    Do(SetMembershipTimer{++state_.timer_generation, due});
  }

  MembershipState state_;
  SteadyTime at_;
  std::vector<MembershipAction> actions_;
};

}  // namespace

MembershipState::MembershipState(const MembershipConfig& membership_config)
    : config(membership_config) {
  LOCKSTEP_CHECK(config.node_count >= 1, "a job has at least one node");
  LOCKSTEP_CHECK(config.lease > Duration(0), "a lease lasts");
}

MembershipStep Step(MembershipState state, const MembershipEvent& event) {
  Stepper stepper(std::move(state), event.at);
  std::visit([&stepper](const auto& what) { stepper.On(what); }, event.what);
  return std::move(stepper).Finish();
}

}  // namespace lockstep::elastic
