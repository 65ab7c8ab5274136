// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/shm_backend_maker.h"

#include <string>

#include "collectives/host/shm/shm_backend.h"

namespace lockstep::collectives {

base::Result<std::unique_ptr<Backend>> ShmBackendMaker::Make(const GroupSpec& spec,
                                                             const OpDeadline& deadline) {
  if (spec.world_ranks.size() > kMaxShmMembers) {
    return base::InvalidArgumentError(
        "making group " + spec.name + ": " + std::to_string(spec.world_ranks.size()) +
        " members; one on shared memory has up to " + std::to_string(kMaxShmMembers));
  }
  ASSIGN_OR_RETURN(auto backend, ShmBackend::Join({.job = spec.job,
                                                   .host = spec.host,
                                                   .group_name = spec.name,
                                                   .group = spec.Id(),
                                                   .epoch = spec.epoch,
                                                   .incarnation = spec.incarnation,
                                                   .member = spec.rank.value(),
                                                   .world_ranks = spec.world_ranks},
                                                  segments_, deadline));
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace lockstep::collectives
