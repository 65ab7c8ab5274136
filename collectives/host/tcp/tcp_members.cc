// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_members.h"

#include <algorithm>

namespace lockstep::collectives {

std::string DescribeMembers(const GroupSpec& spec, const std::vector<int>& members) {
  constexpr size_t kShown = 8;
  std::string text = members.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < members.size() && i < kShown; ++i) {
    text += (i == 0 ? "" : ", ");
    text += spec.world_ranks[static_cast<size_t>(members[i])].ToString();
  }
  if (members.size() > kShown) text += " and " + std::to_string(members.size() - kShown) + " more";
  return text;
}

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
  return DescribeMembers(spec_, members);
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
