// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_GROUP_ERROR_H_
#define LOCKSTEP_COLLECTIVES_HOST_GROUP_ERROR_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "collectives/host/host_members.h"
#include "collectives/host/op.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// The first error of a host group, in its shared memory: each member has room for one of its own,
/// and the first that is named there is everybody's from then on (the group is poisoned). One in
/// each HostChannel, which owns it; borrows the members.
///
///   healthy --Publish(), Name()--> poisoned, for ever
///
/// Threads: any.
class GroupError {
 public:
  /// The op in which it happened.
  struct Call {
    const Op& op;
    uint64_t seq;  // 0 = joining
  };

  explicit GroupError(const HostMembers& members) : members_(members) {}

  bool poisoned() const { return members_.control().poison.load(std::memory_order_acquire) != 0; }
  /// Of a poisoned group. DataLoss when another process has written over it.
  base::Status Get() const;
  /// True when it was given up before it had all its members.
  bool IsOfJoining() const;

  /// Makes `error` the group's, unless another was first, and this member's, unless it has one.
  /// `call` may be null.
  void Publish(const base::Status& error, const Call* call, const HostMembers::Set& blamed);
  /// The first half of that: others are led to it later.
  void Write(const base::Status& error, const Call* call, const HostMembers::Set& blamed);
  /// The second half, for that which `member` has written.
  void Name(int member);
  /// What `member` has written.
  base::Status Of(int member) const;

 private:
  void WriteOnce(const base::Status& error, const Call* call, const HostMembers::Set& blamed);
  base::Status Damaged(const std::string& finding) const;

  const HostMembers& members_;
  std::mutex mutex_;
  bool written_ = false;  // guarded by mutex_
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_GROUP_ERROR_H_
