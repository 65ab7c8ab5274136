// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_members.h"

#include <algorithm>

#include "collectives/engine/member_names.h"

namespace lockstep::collectives {

int TcpMembers::CountOnThisHost() const {
  return static_cast<int>(std::count_if(
      cards_.begin(), cards_.end(),
      [this](const AddressCard& card) { return card.host_id == this->card(self()).host_id; }));
}

FrameHeader TcpMembers::Header(FrameKind kind) const {
  FrameHeader header;
  header.kind = kind;
  header.group = id_.value();
  header.epoch = spec_.epoch.value();
  header.from = self();
  return header;
}

std::string TcpMembers::Describe(const std::vector<int>& members) const {
  return NameMembers(spec_.world_ranks, members);
}

std::string TcpMembers::DescribeWithPlace(int member) const {
  return Describe({member}) + " (process " + std::to_string(card(member).pid) + " on " +
         card(member).host + ")";
}

base::Subject TcpMembers::SubjectOf(int member) const {
  base::Subject subject;
  subject.job = spec_.job;
  subject.host = card(member).host;
  subject.pid = card(member).pid;
  subject.rank = spec_.world_ranks[static_cast<size_t>(member)];
  subject.incarnation = card(member).incarnation;
  return subject;
}

base::Status TcpMembers::StatusOf(const ErrorRecord& record) const {
  return collectives::StatusOf(record, id_, spec_.epoch,
                               [this](int member) { return SubjectOf(member); });
}

}  // namespace lockstep::collectives
