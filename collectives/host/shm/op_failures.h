// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_OP_FAILURES_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_OP_FAILURES_H_

#include <cstdint>
#include <string>

#include "collectives/engine/op_deadline.h"
#include "collectives/host/shm/group_error.h"
#include "collectives/host/shm/shm_members.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// What can go wrong with a collective of a host group, as the member that finds it tells it to
/// all: who is blamed, and in which words. One in each ShmBackend, which owns it; borrows the
/// members and their error. Confined to whoever executes the op.
class OpFailures {
 public:
  using Call = GroupError::Call;
  using Members = ShmMembers::Set;
  /// Who is waited for, and for what.
  enum class Phase : uint8_t { kArrival, kData };

  OpFailures(const ShmMembers& members, GroupError& error) : members_(members), error_(error) {}

  /// All have come to the op, and their fingerprints are not the same. Blamed is who is not with
  /// the majority; everybody when there is none.
  void Differ(const Call& call) const;
  void RanOut(const Call& call, Phase phase, const Members& missing,
              const OpDeadline::Due& due) const;
  void Left(const Call& call, Phase phase, const Members& left) const;
  /// process_vm_readv ended with `error_number`.
  void CannotBeRead(const Call& call, int member, int error_number) const;
  /// In an all_to_all_v.
  void CountsDiffer(const Call& call, int from, int to, uint64_t sent, uint64_t expected) const;

  std::string Describe(const Call& call) const;

 private:
  void Publish(const Call& call, const base::Status& error, const Members& blamed) const {
    error_.Publish(error, &call, blamed);
  }
  const std::string& group_name() const { return members_.config().group_name; }

  const ShmMembers& members_;
  GroupError& error_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_OP_FAILURES_H_
