// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/attach_segments.h"

#include <algorithm>
#include <chrono>

#include "collectives/engine/attach_status.h"

namespace lockstep::collectives {
namespace {

// The agent answers from memory; it is busy for longer only when something is wrong with it.
constexpr base::Duration kAnswerTimeout = std::chrono::seconds(10);

}  // namespace

base::Result<std::shared_ptr<Segment>> AttachSegments::Open(const SegmentRequest& request,
                                                            base::Duration timeout) {
  lockstep_attach_segment_request question{};
  question.group_id = request.group.value();
  question.bytes = request.bytes;
  question.epoch = request.epoch.value();
  question.member_count = static_cast<uint32_t>(request.member_count);
  question.member_index = static_cast<uint32_t>(request.member_index);
  lockstep_attach_error error{};
  int fd = -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(
      std::clamp(timeout, base::Duration::zero(), kAnswerTimeout));
  const int result = lockstep_attach_get_segment(&client_, &question,
                                                 static_cast<uint32_t>(wait.count()), &fd, &error);
  if (result != LOCKSTEP_ATTACH_OK)
    return AttachStatus(result, error, "getting the memory of a group");
  return Segment::Map(base::UniqueFd(fd), request.bytes);
}

}  // namespace lockstep::collectives
