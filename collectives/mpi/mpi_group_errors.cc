// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// MpiGroup: its first error, which members tell each other, and how it is told to the caller.
#include <algorithm>
#include <string>
#include <vector>

#include "collectives/engine/member_names.h"
#include "collectives/mpi/mpi_group.h"

namespace lockstep::collectives {
namespace {

using Kind = ControlMessage::Kind;

}  // namespace

base::Status MpiGroup::error() const {
  const Lock lock(mutex_);
  return error_.has_value() ? error_->status : base::OkStatus();
}

base::Status MpiGroup::FailedBefore(const base::Status& root) const {
  return base::AbortedError("group " + spec_.name +
                            " failed before this call and cannot be used any more")
      .WithClass(root.failure_class())
      .WithCause(root);
}

base::Status MpiGroup::LeavingError() const {
  return base::AbortedError("this member is leaving or aborting group " + spec_.name);
}

base::Status MpiGroup::Publish(const base::Status& error, const Running* run,
                               const std::vector<int>& blamed, uint64_t from) {
  ControlMessage message = MessageOf(error, run, blamed);
  {
    const Lock lock(mutex_);
    if (error_.has_value()) return error_->status;
    // Of what has ended here this member has done its part: the others may still end it well.
    message.seq = from = std::max(from, done_ + 1);
    error_ = {StatusOf(message), from, message};  // as the others read it
    changed_.notify_all();
  }
  SendToOthers(message);
  return this->error();
}

base::Status MpiGroup::Adopt(const base::Status& error, const Running& run,
                             const std::vector<int>& blamed) {
  const Lock lock(mutex_);
  done_ = run.seq.value();  // its calls to MPI have ended: nobody waits for this member in it
  if (!error_.has_value()) error_ = {Name(error, &run, blamed), 0, std::nullopt};
  changed_.notify_all();
  return error_->status;
}

ControlMessage MpiGroup::MessageOf(const base::Status& error, const Running* run,
                                   const std::vector<int>& blamed) const {
  ControlMessage message = MakeMessage(Kind::kError);
  message.code = static_cast<uint32_t>(error.code());
  message.failure_class = static_cast<uint32_t>(error.failure_class());
  if (run != nullptr) {
    message.sends = run->seq.value();
    message.count = run->op.count;
    message.root = run->op.peer;
    message.op_kind = static_cast<uint8_t>(run->op.kind);
    message.dtype = static_cast<uint8_t>(run->op.dtype);
    message.reduction = static_cast<uint8_t>(run->op.reduction);
  }
  for (const int member : blamed) {
    if (message.blamed_count == kNamedMembersMax) break;
    message.blamed[message.blamed_count++] = member;
  }
  message.SetText(error.message());
  return message;
}

base::Status MpiGroup::StatusOf(const ControlMessage& message) const {
  if (message.code == 0 || message.code > static_cast<uint32_t>(base::Code::kUnauthenticated) ||
      message.failure_class > static_cast<uint32_t>(base::FailureClass::kAbortedByAgent)) {
    return base::DataLossError("rank " + std::to_string(message.world_rank) + " told group " +
                               spec_.name + " of an error of code " + std::to_string(message.code) +
                               " and class " + std::to_string(message.failure_class));
  }
  base::Status status(static_cast<base::Code>(message.code), message.Text());
  status = status.WithClass(static_cast<base::FailureClass>(message.failure_class));
  for (int i = 0; i < std::min<int>(message.blamed_count, kNamedMembersMax); ++i) {
    const int member = message.blamed[i];
    if (member >= 0 && member < size_) status = status.WithSubject(SubjectOf(member));
  }
  if (message.op_kind == 0) return status;
  return status.WithOp(
      {.group = id(),
       .epoch = spec_.epoch,
       .seq = base::OpSeq(message.sends),
       .kind = DescribeOp(static_cast<OpKind>(message.op_kind), static_cast<Dtype>(message.dtype),
                          static_cast<Reduction>(message.reduction), message.root, message.count)});
}

base::Status MpiGroup::Name(base::Status error, const Running* run,
                            const std::vector<int>& blamed) const {
  for (const int member : blamed) error = error.WithSubject(SubjectOf(member));
  if (run == nullptr) return error;
  const Op& op = run->op;
  return error.WithOp({.group = id(),
                       .epoch = spec_.epoch,
                       .seq = run->seq,
                       .kind = DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count)});
}

base::Subject MpiGroup::SubjectOf(int member) const {
  const Member& known = members_[static_cast<size_t>(member)];
  base::Subject subject;
  subject.job = spec_.job;
  subject.host = known.came ? known.host : "";
  subject.rank = spec_.world_ranks[static_cast<size_t>(member)];
  if (known.came) subject.pid = known.pid;
  return subject;
}

std::string MpiGroup::DescribeMembers(const std::vector<int>& members) const {
  return NameMembers(spec_.world_ranks, members);
}

std::string MpiGroup::DescribeRunning(const Running& run) const {
  return DescribeOp(run.op.kind, run.op.dtype, run.op.reduction, run.op.peer, run.op.count) +
         ", op " + run.seq.ToString() + " of group " + spec_.name;
}

}  // namespace lockstep::collectives
