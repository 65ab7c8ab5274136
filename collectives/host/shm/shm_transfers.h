// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_TRANSFERS_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_TRANSFERS_H_

#include <cstdint>

#include "collectives/engine/backend.h"
#include "collectives/host/shm/group_error.h"
#include "collectives/host/shm/shm_lane.h"
#include "collectives/host/shm/shm_members.h"

namespace lockstep::collectives {

/// The sends and receives of one member of a shared memory group: moves them through the lanes. One
/// in each ShmBackend, which owns it; borrows members and error. One thread at a time.
class ShmTransfers {
 public:
  ShmTransfers(const ShmMembers& members, GroupError& error) : members_(members), error_(error) {}

  /// As Backend::Advance.
  bool Advance(Moving& moving);

 private:
  /// What fits into the lane of an outgoing transfer, or has come through that of an incoming one.
  void Push(Moving& moving, ShmLane& lane) const;
  void Pull(Moving& moving, ShmLane& lane);
  bool HeaderFits(const Moving& moving, const LaneHeader& header) const;
  base::Status HeaderError(const Moving& moving, const LaneHeader& header);
  base::Status LeftError(const Moving& moving);

  const ShmMembers& members_;
  GroupError& error_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_TRANSFERS_H_
