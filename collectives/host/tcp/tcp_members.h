// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_MEMBERS_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_MEMBERS_H_

#include <string>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/error_record.h"
#include "collectives/host/tcp/address_exchange.h"
#include "collectives/host/tcp/tcp_frames.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// Who the members of one group are, and where: what this one knew (GroupSpec) and what the others
/// published (AddressCard). A value, const once the group is made.
class TcpMembers {
 public:
  TcpMembers(GroupSpec spec, std::vector<AddressCard> cards)
      : spec_(std::move(spec)), id_(spec_.Id()), cards_(std::move(cards)) {}

  const GroupSpec& spec() const { return spec_; }
  base::GroupId id() const { return id_; }
  int count() const { return static_cast<int>(spec_.world_ranks.size()); }
  int self() const { return spec_.rank.value(); }
  const AddressCard& card(int member) const { return cards_[static_cast<size_t>(member)]; }
  /// Members on this one's machine, with it.
  int CountOnThisHost() const;

  FrameSource SourceOf(int member) const { return {id_, spec_.epoch, member}; }
  /// Of this member's frames.
  FrameHeader Header(FrameKind kind) const;

  /// NameMembers() of this group.
  std::string Describe(const std::vector<int>& members) const;
  /// "rank 3 (process 17 on node2)".
  std::string DescribeWithPlace(int member) const;
  /// For errors.
  base::Subject SubjectOf(int member) const;
  /// The record as the error that every member returns.
  base::Status StatusOf(const ErrorRecord& record) const;

 private:
  GroupSpec spec_;
  base::GroupId id_;
  std::vector<AddressCard> cards_;  // by member
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_MEMBERS_H_
