// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_HALVING_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_HALVING_H_

#include "collectives/engine/op.h"
#include "collectives/host/tcp/tcp_plan.h"

namespace lockstep::collectives {

/// all_reduce by recursive halving, then doubling, of `size` members, a power of two: with each of
/// log2(size) partners a member trades halves of what it still has, which both combine, until it
/// has one block; then the blocks come back the same way. A stream to and one from each partner
/// carry both of that, and every byte goes on as it comes.
///
/// Example, member 0 of 4 and 4 elements abcd:
///
///   partner 2:   in: its ab, combined with mine, then cd as it and 3 made it;  out: my cd, then ab
///   partner 1:   in: its a, combined with mine, then b as it made it;          out: my b, then a
///
/// Every element is combined on one member and then handed out: all have the same bits. Source:
/// Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication Operations in MPICH",
/// 2005.
///
/// A function: callable from any thread.
TcpPlan PlanHalving(const Op& op, int self, int size);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_HALVING_H_
