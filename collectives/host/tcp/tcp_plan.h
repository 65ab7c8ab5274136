// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_PLAN_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_PLAN_H_

/// What streams of bytes an op is made of. A stream goes from one member to another and is a
/// sequence of pieces; both ends compute the same sequence. Whether a byte may go out depends on
/// the stream that comes in, byte by byte, so that a ring or a chain is a pipeline without any
/// chunk being waited for.
///
/// Example, all_reduce of 6 elements as a ring of 3, member 1 (blocks 0, 1, 2 of 2 elements):
///
///   in, from 0:   block 0 (forwarded: + mine), block 2 (finished: + mine), block 1, block 0
///   out, to 2:    block 1 (mine), block 0 (as the first piece in comes), block 2, block 1
///
/// What may be rounded once only (RoundsEachStep) is combined in one place instead: all inputs of a
/// block come together on one member (TcpJoin), which hands out the result (tcp_direct.h).
///
/// Functions and values: callable from any thread.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "collectives/engine/op.h"
#include "collectives/host/tcp/tcp_link.h"

namespace lockstep::collectives {

/// A block goes round a ring in slices of this: a slice and what is made of it stay in the
/// second-level cache.
inline constexpr size_t kRingSliceBytes = size_t{256} << 10;

struct InPiece {
  enum class Kind : uint8_t {
    kStore,    // as it is, to `to`
    kForward,  // combined with `mine`, into the window, for the stream that goes out
    kFinish,   // combined with `mine`, to `to`: the result
    kCombine,  // combined with `mine`, to `to`, for more to be combined with it there
    kAside,    // as it is, aside, until what it is joined with is there
  };
  Kind kind = Kind::kStore;
  bool first = false;  // what comes is a member's own input, not yet combined with anything
  bool input = true;   // `mine` is this member's
  size_t bytes = 0;
  std::byte* to = nullptr;
  const std::byte* mine = nullptr;
  /// What `mine` is may be made by another stream that comes in, -1 = by none: byte i can be
  /// combined when that one has processed after + i + 1 bytes.
  int behind = -1;
  uint64_t after = 0;
};

struct OutPiece {
  static constexpr uint64_t kAtOnce = UINT64_MAX;
  static constexpr int kJoined = -1;

  const std::byte* from = nullptr;  // null: the window
  size_t bytes = 0;
  int in = 0;
  /// Byte i may go when the stream `in` of those that come in, or the join, has processed
  /// after + i + 1 bytes.
  uint64_t after = kAtOnce;
};

struct InStream {
  int from = 0;
  std::vector<InPiece> pieces;
};

struct OutStream {
  int to = 0;
  std::vector<OutPiece> pieces;
};

/// What the streams that come in have aside, all of them equally much, combined with this member's
/// own in one step: byte i when all have i + 1 bytes.
struct TcpJoin {
  size_t bytes = 0;  // 0: there is none
  const std::byte* mine = nullptr;
  size_t place = 0;  // of `mine` among the inputs, which else are in the order of the streams
  std::byte* to = nullptr;  // null: the window
};

/// What goes out by way of the window is that of the first stream that comes in
/// (InPiece::Kind::kForward) or of the join.
struct TcpPlan {
  std::vector<InStream> ins;
  std::vector<OutStream> outs;
  TcpJoin join = {};
};

/// Of a valid op with data, for member `self` of `size`, in the fastest way that the cost model
/// knows (tcp_choice.h).
TcpPlan PlanOf(const Op& op, int self, int size, TcpLink link);

/// Bytes of one member's block, and where it lies in a buffer.
struct TcpBlock {
  size_t offset = 0;
  size_t bytes = 0;
};
/// Each gets everybody's block into `out`, where its own lies already.
TcpPlan PlanAllGather(std::byte* out, std::vector<TcpBlock> blocks, int self);
/// Each gets its block of op.in, combined over all, to op.out.
TcpPlan PlanReduceScatter(const Op& op, std::vector<TcpBlock> blocks, int self);
/// Which of them, for people; of a reduction, a sum.
std::string ExplainPlan(OpKind kind, Dtype dtype, size_t count, int size, TcpLink link);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_PLAN_H_
