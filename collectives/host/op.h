// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_OP_H_
#define LOCKSTEP_COLLECTIVES_HOST_OP_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "collectives/types.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// Longer timeouts are cut to this: it is as good as none, and no time overflows.
inline constexpr base::Duration kMaxTimeout = std::chrono::hours(10 * 365 * 24);

/// The fingerprint of a call that its own member refused: equal to no other.
inline constexpr uint64_t kRefusedFingerprint = ~uint64_t{0};

/// One collective call as a backend executes it. Its arguments were found valid on this member, or
/// `refusal` says why not: it is still an op of the group, with its number, so that the ops after
/// it meet their like on the other members.
struct Op {
  OpKind kind = OpKind::kNone;
  Dtype dtype = Dtype::kU8;
  Reduction reduction = Reduction::kNone;
  int root = -1;  // group rank; -1 where the kind has none
  const std::byte* in = nullptr;
  std::byte* out = nullptr;
  size_t count = 0;            // elements of one member's input
  base::Duration timeout{0};   // from the call
  const char* call_file = "";  // static storage, from std::source_location
  uint32_t call_line = 0;
  std::string tag;
  base::Status refusal;  // OK = to be run

  size_t bytes() const { return count * DtypeBytes(dtype); }
};

/// "all_reduce(f32, sum, 1024)".
std::string DescribeOp(OpKind kind, Dtype dtype, Reduction reduction, int root, uint64_t count);

/// Equal on all members exactly when they make the same call as the same op of the same group and
/// epoch; never kRefusedFingerprint.
uint64_t FingerprintOf(const Op& op, base::GroupId group, base::Round epoch, base::OpSeq seq);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_OP_H_
