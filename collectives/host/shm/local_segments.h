// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_LOCAL_SEGMENTS_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_LOCAL_SEGMENTS_H_

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "collectives/host/shm/segment.h"

namespace lockstep::collectives {

/// Segments for members that are threads of one process: one per {group, epoch}, mapped once, so
/// that the thread sanitizer sees every access. Lives while groups are being made from it.
/// Thread-safe.
class LocalSegments final : public SegmentSource {
 public:
  base::Result<std::shared_ptr<Segment>> Open(const SegmentRequest& request,
                                              base::Duration timeout) override;

 private:
  struct Entry {
    int member_count;
    std::shared_ptr<Segment> segment;
    std::set<int> fetched;  // by these members
  };

  std::mutex mutex_;
  std::map<std::pair<base::GroupId, base::Round>, Entry> segments_;  // guarded by mutex_
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_LOCAL_SEGMENTS_H_
