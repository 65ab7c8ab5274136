// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_NCCL_MEETING_H_
#define LOCKSTEP_COLLECTIVES_NCCL_NCCL_MEETING_H_

#include <functional>
#include <memory>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/op_deadline.h"
#include "collectives/nccl/communicator.h"
#include "collectives/nccl/group_board.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// What members bring to the making of their communicator. Borrows all of it for the call.
struct NcclMeeting {
  const GroupSpec& spec;
  const Communicator::Config& config;
  GroupBoard& board;
  const OpDeadline& deadline;
  /// Asked while waiting: an error ends it.
  std::function<base::Status()> stop = [] { return base::OkStatus(); };
};

/// The members meet by an id that member 0 makes and puts on the board; also those of a group that
/// grows: ncclCommGrow (2.29) wants the old communicator gone afterwards, and Group::Grow leaves
/// its group usable. Blocks: until all have come, at most the deadline, and then until it is known
/// who has not (GroupBoard::kAnswerTime). Errors: DeadlineExceeded -
/// names who never came; those of Communicator::Make.
base::Result<std::shared_ptr<Communicator>> MeetById(const NcclMeeting& meeting);

/// ncclCommSplit: called by all members of `parent`, which is healthy. Null for kNoColor, with no
/// board to be had then: `config` and `deadline` alone are looked at. Errors: as MeetById; the
/// parent is then to be aborted.
base::Result<std::shared_ptr<Communicator>> MeetBySplit(const Communicator::Config& config,
                                                        const OpDeadline& deadline,
                                                        std::shared_ptr<Communicator> parent,
                                                        int color, int key);

/// ncclCommShrink where member 0 finds that its `parent` can do it, else MeetById; `excluded` by
/// rank in the parent. Errors: as MeetById; Unavailable - member 0 chose the shrink, and this
/// member's parent is dead.
base::Result<std::shared_ptr<Communicator>> MeetByShrink(const NcclMeeting& meeting,
                                                         std::shared_ptr<Communicator> parent,
                                                         bool parent_idle,
                                                         std::vector<int> excluded);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_NCCL_MEETING_H_
