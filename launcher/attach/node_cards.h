// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_ATTACH_NODE_CARDS_H_
#define LOCKSTEP_LAUNCHER_ATTACH_NODE_CARDS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "launcher/attach/card_carrier.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// A node's part in the meeting of ranks: gathers its ranks' cards of each group into one message
/// to the coordinator (JobCards), and answers them with the table that comes back. One per agent of
/// a job of several nodes. Confined to the loop's thread.
///
/// A group is here from its first member's card until each of this node's members has its answer or
/// is gone, at most until the round ends.
class NodeCards final : public CardCarrier {
 public:
  /// Groups whose members have not all come.
  static constexpr size_t kGroupsMax = 256;
  /// For members of this node that come, or give up, a moment later: one message instead of
  /// several, of which each that gives up is answered with a whole table (135 KB of 1,024 members).
  /// All of the node's ranks do not wait.
  static constexpr base::Duration kGatherTime = std::chrono::milliseconds(5);

  struct Deps {
    event::Loop& loop;
    std::function<void(const proto::Cards&)> send;  // to the coordinator
    /// As AttachServer::AnswerCard.
    std::function<void(uint64_t connection, const base::Status& error, int fd,
                       uint64_t table_bytes)>
        answer;
  };

  explicit NodeCards(Deps deps) : deps_(std::move(deps)) {}
  NodeCards(const NodeCards&) = delete;
  NodeCards& operator=(const NodeCards&) = delete;

  /// `rank_count`: of this node.
  void BeginRound(base::Round round, size_t rank_count);
  /// Forgets all; nobody is answered any more.
  void EndRound();
  /// From the coordinator.
  void OnTable(const proto::CardTable& table);

  base::Status Publish(MemberCard card) override;
  void GiveUp(uint64_t connection) override;
  void Forget(uint64_t connection) override;

 private:
  struct Member {
    uint64_t connection = 0;
    bool gives_up = false;
  };
  struct Group {
    int member_count = 0;
    std::map<int, Member> waiting;
    proto::Cards unsent;
    event::Registration send;
  };
  using Groups = std::map<uint64_t, Group>;

  struct Place {
    Groups::iterator group;
    std::map<int, Member>::iterator member;
  };
  /// False: no card of that connection waits.
  bool Find(uint64_t connection, Place* place);
  void SendSoon(uint64_t id, Group& group, base::Duration pause);
  void Send(uint64_t id);
  /// All its members are answered with an error: nobody is to meet them.
  void TakeBack(uint64_t id, Group& group);

  const Deps deps_;
  base::Sequence seq_;
  base::Round round_;
  size_t rank_count_ = 0;
  Groups groups_;  // of this round
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_ATTACH_NODE_CARDS_H_
