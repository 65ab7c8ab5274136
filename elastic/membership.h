// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_ELASTIC_MEMBERSHIP_H_
#define LOCKSTEP_ELASTIC_MEMBERSHIP_H_

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/base/strong_int.h"

/// Which agents a job has, decided by its coordinator: one pure function
/// Step(state, event) -> (state, actions), as gang.h is. Membership is fixed: the job forms when
/// all of its nodes are there, and a node that is lost stays lost.
///
///   kIdle --Begin--> kForming --the last node joins--> kFormed --Finish--> kFinished
///                        |                                |
///                        +-- deadline, Finish ------------+--> kFinished
///
/// A node is a member from Admit until its connection ends or its lease does. Leases run on the
/// clock of whoever holds the coordinator: each heartbeat that arrives extends the sender's by
/// MembershipConfig::lease. An agent counts from when it *sent* the heartbeat (lease.h), so it has
/// always stopped believing before the coordinator does, whatever the clocks of the machines say.
namespace lockstep::elastic {

/// One connection of an agent; the driver numbers them, never twice the same, so that what still
/// comes from an old one concerns nobody.
using Member = base::StrongInt<struct MemberTag, uint64_t>;

/// What an agent says of itself when it joins.
struct NodeFacts {
  std::string host;
  /// Of the machine: two agents with the same host and boot id are one machine told twice.
  std::string boot_id;
  int slots = 0;               // ranks that it will run
  base::NodeIndex wanted{-1};  // the place that it was given; -1 = any
  int node_count = 0;          // that it was told the job has; 0 = it was not told
  std::string program_hash;    // of what its ranks execute; "" = not known
  std::string lockstep_version;
  std::vector<std::string> addresses;  // by which the other nodes reach it, best first

  friend bool operator==(const NodeFacts&, const NodeFacts&) = default;
};

struct MembershipConfig {
  int node_count = 1;  // at least 1
  base::Duration lease = std::chrono::seconds(2);
  base::Duration join_deadline = std::chrono::seconds(600);  // from Begin to the last node
  bool hosts_may_repeat = false;  // several agents on one machine are meant (--simulate-hosts)
};

// ---------------------------------------- events

struct BeginForming {};
/// An agent that has proved that it belongs to the job says what it is. `is_local`: it is in the
/// coordinator's own process, and needs no lease. A second one of a member changes nothing.
struct Joined {
  Member member;
  NodeFacts facts;
  bool is_local = false;
};
/// The driver acknowledges it when the sender IsMember() after the step, and else not.
struct HeartbeatCame {
  Member member;
};
/// The connection is gone, for whatever reason.
struct ConnectionEnded {
  Member member;
  base::Status why;
};
/// The job is over: agents go away, and nobody is lost by that.
struct FinishMembership {};
/// Ignored when the generation is not that of the timer last set.
struct MembershipTimerFired {
  uint64_t generation = 0;
};

struct MembershipEvent {
  base::SteadyTime at;  // never before the event handed in last
  std::variant<BeginForming, Joined, HeartbeatCame, ConnectionEnded, FinishMembership,
               MembershipTimerFired>
      what;
};

// ---------------------------------------- actions

/// Tell it that it is in; ranks do not run before Formed.
struct Admit {
  Member member;
  base::NodeIndex node;
};
/// Tell it why not (FailedPrecondition, AlreadyExists, ResourceExhausted: naming host and cure),
/// and close. Also for one that was admitted and then silent before Formed (DeadlineExceeded); it
/// may come again.
struct Refuse {
  Member member;
  base::Status why;
};
/// All are there. Comes once.
struct Formed {
  struct Node {
    Member member;
    NodeFacts facts;
  };
  std::vector<Node> nodes;  // in the order of their indices
};
/// Too few came in time: who is missing, with the last refusal or departure as the cause. The last
/// action but Refuse.
struct FormationFailed {
  base::Status why;
};
/// After Formed, once a node; the driver closes its connection. Its ranks count as dead from
/// `fenced_at` on and not before: that is when the lease ends that its agent may still believe in,
/// for an ended connection does not prove that anything has died.
struct NodeLost {
  base::NodeIndex node;
  base::Status why;  // names the host
  base::SteadyTime fenced_at{};
};
/// Replaces the timer. Heartbeats set none: it goes off for a lease that has been extended
/// meanwhile, and is set anew for the earliest.
struct SetMembershipTimer {
  uint64_t generation = 0;
  base::SteadyTime due;
};

using MembershipAction =
    std::variant<Admit, Refuse, Formed, FormationFailed, NodeLost, SetMembershipTimer>;

// ---------------------------------------- state

enum class MembershipPhase : uint8_t { kIdle, kForming, kFormed, kFinished };

struct MembershipState {
  struct Node {
    Member member;
    NodeFacts facts;
    bool is_local = false;
    bool lost = false;
    base::SteadyTime lease_until = base::SteadyTime::max();  // of a local one: for ever
  };

  /// `config` must ask for at least one node and a lease longer than nothing.
  explicit MembershipState(const MembershipConfig& config);

  /// Admitted, and neither gone nor lost.
  bool IsMember(Member member) const { return members.contains(member); }

  MembershipConfig config;
  MembershipPhase phase = MembershipPhase::kIdle;
  base::SteadyTime join_until{};
  std::map<base::NodeIndex, Node> nodes;
  std::unordered_map<Member, base::NodeIndex> members;  // the nodes that are not lost
  base::Status last_trouble;  // while forming: who was refused or left, and why
  base::SteadyTime timer_due = base::SteadyTime::max();  // of the timer that is set; max() = none
  uint64_t timer_generation = 0;
};

struct MembershipStep {
  MembershipState state;
  std::vector<MembershipAction> actions;
};

/// One step. Every event is legal in every state. Cost of a heartbeat: logarithmic in the number of
/// nodes, and nothing is allocated or copied.
MembershipStep Step(MembershipState state, const MembershipEvent& event);

}  // namespace lockstep::elastic

#endif  // LOCKSTEP_ELASTIC_MEMBERSHIP_H_
