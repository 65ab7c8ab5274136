// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/local_segments.h"

namespace lockstep::collectives {

base::Result<std::shared_ptr<Segment>> LocalSegments::Open(const SegmentRequest& request,
                                                           base::Duration) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto key = std::make_pair(request.group, request.epoch);
  auto it = segments_.find(key);
  if (it == segments_.end()) {
    ASSIGN_OR_RETURN(std::shared_ptr<Segment> made, Segment::Anonymous(request.bytes));
    it = segments_.emplace(key, Entry{request.member_count, std::move(made), {}}).first;
  }
  Entry& entry = it->second;
  if (entry.member_count != request.member_count || entry.segment->bytes() != request.bytes) {
    return base::FailedPreconditionError(
        "the members of one group ask for segments of different sizes");
  }
  const std::shared_ptr<Segment> segment = entry.segment;
  entry.fetched.insert(request.member_index);
  if (static_cast<int>(entry.fetched.size()) == entry.member_count) segments_.erase(it);
  return segment;
}

}  // namespace lockstep::collectives
