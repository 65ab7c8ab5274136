// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CIRCLE_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CIRCLE_H_

#include <utility>
#include <vector>

#include "collectives/host/tcp/tcp_plan.h"

namespace lockstep::collectives {

/// Members of a group in an order that all of them agree on, among whom something goes round: all
/// of the group, or one from each machine. Plans and exchanges count by position here; connections
/// and errors are by member. A value, callable from any thread.
class TcpCircle {
 public:
  /// `self` is one of `members`.
  TcpCircle(std::vector<int> members, int self) : members_(std::move(members)) {
    while (members_[static_cast<size_t>(position_)] != self) ++position_;
  }
  /// All of a group, in rank order.
  static TcpCircle Whole(int count, int self) {
    std::vector<int> members;
    for (int member = 0; member < count; ++member) members.push_back(member);
    return {std::move(members), self};
  }

  int count() const { return static_cast<int>(members_.size()); }
  /// This member's.
  int position() const { return position_; }
  /// Positions beyond the last begin again.
  int member(int position) const {
    return members_[static_cast<size_t>(position) % members_.size()];
  }

  /// A plan by position, with the members instead.
  TcpPlan Named(TcpPlan plan) const {
    for (InStream& stream : plan.ins) stream.from = member(stream.from);
    for (OutStream& stream : plan.outs) stream.to = member(stream.to);
    return plan;
  }

 private:
  std::vector<int> members_;  // by position
  int position_ = 0;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CIRCLE_H_
