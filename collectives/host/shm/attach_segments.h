// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_ATTACH_SEGMENTS_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_ATTACH_SEGMENTS_H_

#include "collectives/host/shm/segment.h"
#include "runtime/attach/attach_client.h"
#include "runtime/base/status.h"

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

/// What a call of the attach client that returned `result` (not OK) means. `doing` says what was
/// attempted. Codes: the agent's own; Unavailable - no answer in time, agent gone or not there;
/// InvalidArgument - another protocol; FailedPrecondition - a forked child, or unusable socket path
/// or cookie; ResourceExhausted - no descriptors.
base::Status AttachStatus(int result, const lockstep_attach_error& error, const char* doing);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_ATTACH_SEGMENTS_H_
