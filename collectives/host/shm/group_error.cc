// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/group_error.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lockstep::collectives {
namespace {

constexpr int kMaxBlamed = static_cast<int>(kNamedMembersMax);

void CopyText(const std::string& text, char* to, size_t capacity) {
  const size_t length = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

}  // namespace

base::Status GroupError::Get() const {
  const uint32_t poison = members_.control().poison.load(std::memory_order_acquire);
  if (poison < 1 || poison > static_cast<uint32_t>(members_.count())) {
    return Damaged("names member " + std::to_string(poison) + " of " +
                   std::to_string(members_.count()) + " as the one with the error");
  }
  return Of(static_cast<int>(poison) - 1);
}

bool GroupError::IsOfJoining() const {
  const uint32_t poison = members_.control().poison.load(std::memory_order_acquire);
  return poison >= 1 && poison <= static_cast<uint32_t>(members_.count()) &&
         members_.page(static_cast<int>(poison) - 1).error.op.kind ==
             static_cast<uint8_t>(OpKind::kInit);
}

void GroupError::Publish(const base::Status& error, const Call* call,
                         const ShmMembers::Set& blamed) {
  if (poisoned()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  WriteOnce(error, call, blamed);
  Name(members_.self());
}

void GroupError::Write(const base::Status& error, const Call* call, const ShmMembers::Set& blamed) {
  const std::lock_guard<std::mutex> lock(mutex_);
  WriteOnce(error, call, blamed);
}

void GroupError::WriteOnce(const base::Status& error, const Call* call,
                           const ShmMembers::Set& blamed) {
  if (std::exchange(written_, true)) return;
  SharedError& shared = members_.mine().error;
  shared.seq = call != nullptr ? call->seq : 0;
  shared.code = static_cast<uint32_t>(error.code());
  shared.failure_class = static_cast<uint32_t>(error.failure_class());
  if (call != nullptr) {
    shared.op.kind = static_cast<uint8_t>(call->op.kind);
    shared.op.dtype = static_cast<uint8_t>(call->op.dtype);
    shared.op.reduction = static_cast<uint8_t>(call->op.reduction);
    shared.op.root = call->op.peer;
    shared.op.count = call->op.count;
  }
  shared.blamed_count = 0;
  for (int member = 0; member < members_.count() && shared.blamed_count < kMaxBlamed; ++member) {
    if (!blamed.test(static_cast<size_t>(member))) continue;
    const MemberPage& their = members_.page(member);
    const bool called = call != nullptr && call->seq != 0 &&
                        (member == members_.self() || their.arrival[call->seq & 1].seq.load(
                                                          std::memory_order_acquire) == call->seq);
    SharedError::Blamed& entry = shared.blamed[shared.blamed_count++];
    entry.member = member;
    CopyText(called ? ReadSharedText(their.ops[call->seq & 1].call_site, kCallSiteBytes) : "",
             entry.call_site, kCallSiteBytes);
  }
  CopyText(error.message(), shared.message, sizeof shared.message);
}

base::Status GroupError::Raise(const base::Status& error, const ShmMembers::Set& blamed) {
  if (poisoned()) return FailedBefore(Get());
  Publish(error, nullptr, blamed);
  return Get();
}

base::Status GroupError::FailedBefore(const base::Status& root) const {
  return base::AbortedError("group " + members_.config().group_name +
                            " failed before this call and cannot be used any more")
      .WithClass(root.failure_class())
      .WithCause(root);
}

void GroupError::Name(int member) {
  uint32_t healthy = 0;
  members_.control().poison.compare_exchange_strong(healthy, static_cast<uint32_t>(member) + 1,
                                                    std::memory_order_acq_rel);
  members_.WakeSleepers();
}

// Other processes write it: what they wrote is read, not trusted.
base::Status GroupError::Damaged(const std::string& finding) const {
  return base::DataLossError("the shared memory of group " + members_.config().group_name + " " +
                             finding + ": a member's process wrote over it");
}

base::Status GroupError::Of(int member) const {
  const SharedError& shared = members_.page(member).error;
  const uint32_t code = shared.code;
  const uint32_t failure_class = shared.failure_class;
  if (code == 0 || code > static_cast<uint32_t>(base::Code::kUnauthenticated) ||
      failure_class > static_cast<uint32_t>(base::FailureClass::kAbortedByAgent)) {
    return Damaged("holds an error of code " + std::to_string(code) + " and class " +
                   std::to_string(failure_class));
  }
  base::Status status = base::Status(static_cast<base::Code>(code),
                                     ReadSharedText(shared.message, sizeof shared.message))
                            .WithClass(static_cast<base::FailureClass>(failure_class));
  const int blamed_count = std::min(shared.blamed_count, kMaxBlamed);
  for (int i = 0; i < blamed_count; ++i) {
    const SharedError::Blamed& blamed = shared.blamed[i];
    if (blamed.member < 0 || blamed.member >= members_.count()) continue;
    status = status.WithSubject(
        members_.SubjectOf(blamed.member, ReadSharedText(blamed.call_site, kCallSiteBytes)));
  }
  if (shared.seq == 0) return status;
  return status.WithOp(
      {.group = members_.config().group,
       .epoch = members_.config().epoch,
       .seq = base::OpSeq(shared.seq),
       .kind = DescribeOp(static_cast<OpKind>(shared.op.kind), static_cast<Dtype>(shared.op.dtype),
                          static_cast<Reduction>(shared.op.reduction), shared.op.root,
                          shared.op.count)});
}

}  // namespace lockstep::collectives
