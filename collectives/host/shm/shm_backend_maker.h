// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_BACKEND_MAKER_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_BACKEND_MAKER_H_

#include <memory>
#include <utility>

#include "collectives/engine/backend.h"
#include "collectives/host/shm/segment.h"

namespace lockstep::collectives {

/// Makes ShmBackends, all with memory from one source. Thread-safe.
class ShmBackendMaker final : public BackendMaker {
 public:
  explicit ShmBackendMaker(std::shared_ptr<SegmentSource> segments)
      : segments_(std::move(segments)) {}

  /// Errors beside BackendMaker's: InvalidArgument - more than kMaxShmMembers members; those of
  /// SegmentSource::Open.
  base::Result<std::unique_ptr<Backend>> Make(const GroupSpec& spec,
                                              const OpDeadline& deadline) override;

 private:
  const std::shared_ptr<SegmentSource> segments_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_BACKEND_MAKER_H_
