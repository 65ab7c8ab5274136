// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/attach/group_segments.h"

#include <cerrno>
#include <string>
#include <utility>

#include "runtime/attach/shared_memory.h"
#include "runtime/base/errno_status.h"

namespace lockstep::launcher {

base::Result<int> GroupSegments::Find(const lockstep_attach_segment_request& request) {
  const Key key{request.group_id, request.epoch};
  if (const auto it = segments_.find(key); it != segments_.end()) {
    const Segment& segment = it->second;
    if (segment.bytes == request.bytes && segment.member_count == request.member_count)
      return segment.memory.get();
    return base::FailedPreconditionError(
        "the members of one group ask for different memory: " + std::to_string(request.bytes) +
        " bytes for " + std::to_string(request.member_count) + " members, and before " +
        std::to_string(segment.bytes) + " bytes for " + std::to_string(segment.member_count) +
        "; do all ranks run the same program?");
  }
  if (segments_.size() >= static_cast<size_t>(limits_.held) ||
      request.bytes > limits_.bytes_held - bytes_) {
    return base::ResourceExhaustedError(
        "no more shared memory for groups that not all members have come to: there are " +
        std::to_string(segments_.size()) + ", of " + std::to_string(bytes_) + " bytes, " +
        std::to_string(request.bytes) + " were asked for, and " + std::to_string(limits_.held) +
        " groups of " + std::to_string(limits_.bytes_held) + " bytes are the limit");
  }
  base::UniqueFd memory(lockstep_shared_memory_create("lockstep-group", request.bytes));
  if (!memory.valid()) {
    const std::string cure =
        errno == ENOSPC
            ? " (memfd_create is not allowed here, so that it must fit into /dev/shm, TMPDIR or "
              "/tmp: give one of them more room, as docker does by --shm-size)"
            : "";
    return base::ErrnoStatus(errno, "making shared memory of " + std::to_string(request.bytes) +
                                        " bytes for a group" + cure);
  }
  bytes_ += request.bytes;
  return segments_.emplace(key, Segment{request.bytes, request.member_count, std::move(memory), {}})
      .first->second.memory.get();
}

void GroupSegments::Fetched(const lockstep_attach_segment_request& request) {
  const auto segment = segments_.find({request.group_id, request.epoch});
  if (segment == segments_.end()) return;
  segment->second.fetched.insert(request.member_index);
  if (segment->second.fetched.size() < segment->second.member_count) return;
  bytes_ -= segment->second.bytes;
  segments_.erase(segment);
}

void GroupSegments::Clear() {
  segments_.clear();
  bytes_ = 0;
}

}  // namespace lockstep::launcher
