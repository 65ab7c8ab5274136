// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_BOARD_BYTES_H_
#define LOCKSTEP_COLLECTIVES_NCCL_BOARD_BYTES_H_

/// What boards of several machines say as bytes, little endian, in the frames kNotice and kNote
/// (tcp_frames.h):
///
///   kNotice := from_parent (4 bytes, 0 or 1), NCCL's id (128)
///   kNote   := CallCard as it lies in memory (256 bytes)
///
/// Who sent them is a member of the job, and may still be broken: what it says is parsed with
/// bounds. Functions without state: callable from any thread.

#include <string>
#include <string_view>

#include "collectives/engine/call_check.h"
#include "collectives/nccl/group_board.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

std::string BytesOfInvitation(const GroupBoard::Invitation& invitation);
/// Errors: DataLoss - no invitation of this release.
base::Result<GroupBoard::Invitation> ParseInvitation(std::string_view bytes);

std::string BytesOfCallCard(const CallCard& card);
/// Texts become printable and end within their fields. Errors: DataLoss - no card of this release.
base::Result<CallCard> ParseCallCard(std::string_view bytes);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_BOARD_BYTES_H_
