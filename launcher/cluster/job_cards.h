// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_JOB_CARDS_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_JOB_CARDS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// Where the ranks of a job meet: collects the cards of a group's members from the agents, and
/// hands each of those agents the whole table once all have come. So a group costs a message or two
/// each way with each agent, and none between agents. One per coordinator, confined to its thread.
///
/// A group is here from its first card until all have come, nobody waits any more, or the round
/// ends. Members that gave up count as having come for those who give up later, so that all blame
/// the same ones; where nobody else is missing it is for them that the others waited in vain. Who
/// gives up in the message that brings the last card has its table like the others.
class JobCards {
 public:
  /// Groups of a round whose members have not all come.
  static constexpr size_t kGroupsMax = 1024;
  /// Of all their cards: those of 400 groups with as many members as there may be, whose cards have
  /// 130 bytes. At the limits of groups, members and cards it would be 512 MiB.
  static constexpr size_t kCardBytesMax = size_t{64} << 20;

  /// Tells a node's agent.
  using Send = std::function<void(base::NodeIndex, const proto::ToAgent&)>;

  explicit JobCards(Send send) : send_(std::move(send)) {}

  /// Drops what earlier rounds have left. Cards of other rounds are refused from now on.
  void BeginRound(base::Round round);
  /// What a node's agent says. What cannot be done it is told. Errors: InvalidArgument - the agent
  /// breaks the protocol.
  base::Status Take(base::NodeIndex from, const proto::Cards& news);

  size_t group_count() const { return groups_.size(); }
  /// Of these groups, that have come.
  size_t member_count() const;
  size_t card_bytes() const { return card_bytes_; }

 private:
  struct Member {
    std::string card;
    base::NodeIndex node;
    bool waits = true;
  };
  struct Group {
    std::map<int, Member> members;
    int member_count = 0;
    int waiting = 0;
    std::set<base::NodeIndex> nodes;  // that have had members
  };
  using Groups = std::map<uint64_t, Group>;

  base::Status Check(const proto::Cards& news) const;
  /// Whether there is room for what is new in `news`.
  base::Status CheckRoom(const proto::Cards& news) const;
  /// Why the members that came cannot be let in.
  base::Status Add(base::NodeIndex from, const proto::Cards& news, Group& group);
  /// A member of that node waits no more. False: it has no such member.
  static bool Stop(base::NodeIndex from, int index, Group& group);
  void DropNode(base::NodeIndex node, Group& group);
  void Forget(Groups::iterator group);
  void Refuse(base::NodeIndex node, const proto::Cards& news, const base::Status& why);
  /// Without those that `left` has, if any.
  proto::ToAgent TableOf(uint64_t id, const Group& group, const std::set<int>& left) const;

  const Send send_;
  base::Round round_;
  Groups groups_;          // of this round
  size_t card_bytes_ = 0;  // of their members
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_JOB_CARDS_H_
