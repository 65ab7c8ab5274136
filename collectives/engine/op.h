// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_OP_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_OP_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "collectives/types.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// Longer timeouts are cut to this: it is as good as none, and no time overflows.
inline constexpr base::Duration kMaxTimeout = std::chrono::hours(10 * 365 * 24);

/// The fingerprint of a call that its own member refused: equal to no other.
inline constexpr uint64_t kRefusedFingerprint = ~uint64_t{0};

/// One call as a backend executes it: a collective, or one send or receive. Its arguments were
/// found valid on this member, or `refusal` says why not: it is still an op of the group, with its
/// number, so that the ops after it meet their like on the other members.
///
/// Buffers are made of parts. `count` is the elements of one part, except where parts differ:
///
///   kind              in                   out
///   all_reduce        count                count
///   reduce            count                count on the root
///   broadcast         count on the root    count (the same buffer)
///   all_gather        count                n parts of count
///   all_gather_v      counts[rank]         n parts of counts[r]
///   reduce_scatter    n parts of count     count
///   reduce_scatter_v  n parts of counts[r] counts[rank]
///   all_to_all        n parts of count     n parts of count
///   all_to_all_v      n parts of counts[r] n parts of out_counts[r]
///   gather            count                n parts of count, on the root
///   scatter           n parts of count, on the root    count
///   send, recv        count                count
struct Op {
  OpKind kind = OpKind::kNone;
  Dtype dtype = Dtype::kU8;
  Reduction reduction = Reduction::kNone;
  int peer = -1;  // group rank: the root, or the other end of a send or receive; -1 = none
  const std::byte* in = nullptr;
  std::byte* out = nullptr;
  size_t count = 0;
  std::vector<size_t> counts;
  std::vector<size_t> out_counts;
  double scale = 1;            // of kPremultipliedSum
  void* stream = nullptr;      // OpOptions::stream
  base::Duration timeout{0};   // from the call
  const char* call_file = "";  // static storage, from std::source_location
  uint32_t call_line = 0;
  std::string tag;
  base::Status refusal;  // OK = to be run

  /// Of one part of `count`.
  size_t bytes() const { return count * DtypeBytes(dtype); }
};

/// Elements of the whole input and output of `op` on member `rank` of `size`; 0 where it has none.
/// Of a refused one: `count`.
size_t InCount(const Op& op, int rank, int size);
size_t OutCount(const Op& op, int rank, int size);

/// "all_reduce(f32, sum, 1024)"; of parts that differ `count` is the sum.
std::string DescribeOp(OpKind kind, Dtype dtype, Reduction reduction, int peer, uint64_t count);

/// Equal on all members exactly when they make the same call as the same op of the same group and
/// epoch; never kRefusedFingerprint. Leaves out what may differ: the counts of all_to_all_v, the
/// scale.
uint64_t FingerprintOf(const Op& op, base::GroupId group, base::Round epoch, base::OpSeq seq);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_OP_H_
