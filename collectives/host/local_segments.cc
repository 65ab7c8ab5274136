// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/local_segments.h"

namespace lockstep::collectives {

base::Result<std::shared_ptr<Segment>> LocalSegments::Open(const SegmentRequest& request) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto key = std::make_pair(request.group, request.epoch);
  if (const auto it = segments_.find(key); it != segments_.end()) {
    if (it->second.member_count != request.member_count || it->second.segment->bytes() != request.bytes) {
      return base::FailedPreconditionError("the members of one group ask for segments of different sizes");
    }
    return it->second.segment;
  }
  ASSIGN_OR_RETURN(std::shared_ptr<Segment> segment, Segment::Anonymous(request.bytes));
  segments_.emplace(key, Entry{request.member_count, segment});
  return segment;
}

}  // namespace lockstep::collectives
