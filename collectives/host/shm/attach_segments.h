// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_ATTACH_SEGMENTS_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_ATTACH_SEGMENTS_H_

#include "collectives/host/shm/segment.h"
#include "runtime/attach/attach_client.h"

namespace lockstep::collectives {

/// Segments from the agent, over the rank's attach connection. Thread-safe, as the client is.
class AttachSegments final : public SegmentSource {
 public:
  /// `client` outlives this.
  explicit AttachSegments(lockstep_attach& client) : client_(client) {}

  base::Result<std::shared_ptr<Segment>> Open(const SegmentRequest& request,
                                              base::Duration timeout) override;

 private:
  lockstep_attach& client_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_ATTACH_SEGMENTS_H_
