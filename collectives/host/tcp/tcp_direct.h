// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_DIRECT_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_DIRECT_H_

#include <cstddef>
#include <vector>

#include "collectives/engine/op.h"
#include "collectives/host/tcp/tcp_plan.h"

namespace lockstep::collectives {

/// Results follow inputs on a stream at a distance of so many slices (kRingSliceBytes), in whose
/// time the others' inputs come, too.
inline constexpr size_t kDirectLag = 2;

/// A reduction in one step: member b gets everybody's input for block b straight from where it is,
/// and combines them in one kernel call, in the order of the members, itself included: partial sums
/// are never rounded, and the bits are those of a group in shared memory. Then the blocks go
/// straight to all (all_reduce) or to the root (reduce), or stay (reduce_scatter). As many bytes as
/// around a ring or along a chain and two hops, but a connection to every other member.
///
/// Example, all_reduce of 3 blocks of 4 slices, what member 1 sends to member 2:
///
///   in[2] slices 0, 1, 2; out[1] slice 0; in[2] slice 3; out[1] slices 1, 2, 3
///
/// It cannot come to a standstill, however little is held between: of all bytes that are not yet
/// combined, the inputs of those with the least offset in their blocks wait behind results of
/// lesser offsets only. In place is safe: a result comes after the input that it replaces has gone.
///
/// `op`: an all_reduce, reduce or reduce_scatter of `blocks`, by member. A function: callable from
/// any thread.
TcpPlan PlanDirect(const Op& op, const std::vector<TcpBlock>& blocks, int self);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_DIRECT_H_
