// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_SEGMENT_BOARDS_H_
#define LOCKSTEP_COLLECTIVES_NCCL_SEGMENT_BOARDS_H_

#include <memory>
#include <utility>

#include "collectives/host/shm/segment.h"
#include "collectives/nccl/group_board.h"

namespace lockstep::collectives {

/// Boards in memory that the members of a group on one machine share. Thread-safe.
class SegmentBoards final : public BoardSource {
 public:
  explicit SegmentBoards(std::shared_ptr<SegmentSource> segments)
      : segments_(std::move(segments)) {}

  base::Result<std::unique_ptr<GroupBoard>> Open(const GroupSpec& spec,
                                                 const OpDeadline& deadline) override;

 private:
  const std::shared_ptr<SegmentSource> segments_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_SEGMENT_BOARDS_H_
