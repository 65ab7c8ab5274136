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

base::Status TcpMembers::StatusOf(const ErrorRecord& record) const {
  base::Status status = base::Status(record.code, record.message).WithClass(record.failure_class);
  for (const ErrorRecord::Blamed& blamed : record.blamed) {
    base::Subject subject;
    subject.job = spec_.job;
    subject.host = card(blamed.member).host;
    subject.pid = card(blamed.member).pid;
    subject.rank = spec_.world_ranks[static_cast<size_t>(blamed.member)];
    subject.incarnation = card(blamed.member).incarnation;
    subject.call_site = blamed.call_site;
    status = status.WithSubject(std::move(subject));
  }
  if (record.op_seq == 0) return status;
  const Op& op = record.op;
  return status.WithOp({.group = id_,
                        .epoch = spec_.epoch,
                        .seq = base::OpSeq(record.op_seq),
                        .kind = DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count)});
}

}  // namespace lockstep::collectives
