// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_GROUP_ERROR_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_GROUP_ERROR_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "collectives/engine/op.h"
#include "collectives/host/shm/shm_members.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// The first error of a host group, in its shared memory: each member has room for one of its own,
/// and the first that is named there is everybody's from then on (the group is poisoned). One in
/// each ShmBackend, which owns it; borrows the members.
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

  explicit GroupError(const ShmMembers& members) : members_(members) {}

  bool poisoned() const { return members_.control().poison.load(std::memory_order_acquire) != 0; }
  /// Of a poisoned group. DataLoss when another process has written over it.
  base::Status Get() const;
  /// True when it was given up before it had all its members.
  bool IsOfJoining() const;

  /// Makes `error` the group's, unless another was first, and this member's, unless it has one.
  /// `call` may be null.
  void Publish(const base::Status& error, const Call* call, const ShmMembers::Set& blamed);
  /// Publish() for what is no collective; returns what the member's call ends with.
  base::Status Raise(const base::Status& error, const ShmMembers::Set& blamed);
  /// Of a call that came after `root`.
  base::Status FailedBefore(const base::Status& root) const;
  /// The first half of Publish(): others are led to it later.
  void Write(const base::Status& error, const Call* call, const ShmMembers::Set& blamed);
  /// Its second half, for that which `member` has written.
  void Name(int member);
  /// What `member` has written.
  base::Status Of(int member) const;

 private:
  void WriteOnce(const base::Status& error, const Call* call, const ShmMembers::Set& blamed);
  base::Status Damaged(const std::string& finding) const;

  const ShmMembers& members_;
  std::mutex mutex_;
  bool written_ = false;  // guarded by mutex_
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_GROUP_ERROR_H_
