// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CHOICE_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CHOICE_H_

/// Which algorithm an op takes among members that reach each other by TCP: the one that the cost
/// model says is fastest, of those that there are for the op. With n members, S bytes, L the time
/// of one message and B bytes a microsecond (TcpLink):
///
///   all_reduce   ring                2 (n - 1) L + 2 (n - 1)/n S/B
///                halving, doubling   2 log2(n) L + kHalvingFactor 2 (n - 1)/n S/B; n = 2^k
///                direct              2 L + 2 (n - 1)/n S/B; what a ring would round at each hop
///                                    (RoundsEachStep) has no choice
///   broadcast    binomial tree       ceil(log2 n) (L + S/B)
///                two-way tree        2 floor(log2 n) L + 2 S/B
///                chain               (n - 1) L + S/B
///
/// Everything is pipelined byte by byte, so that no term multiplies hops with bytes but the
/// binomial tree's, whose root sends to log2(n) members. All members know the same L and B, and so
/// choose alike.
///
/// Functions without state: callable from any thread.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "collectives/host/tcp/tcp_link.h"
#include "collectives/types.h"

namespace lockstep::collectives {

/// Halving and doubling combines in the members' buffers, a ring in a window that stays in the
/// caches.
inline constexpr double kHalvingFactor = 1.25;

enum class TcpWay : uint8_t { kRing, kHalving, kBinomialTree, kTwoWayTree, kChain, kDirect };
std::string TcpWayName(TcpWay way);

struct TcpEstimate {
  TcpWay way = TcpWay::kRing;
  double us = 0;
};

/// Of a kind that has a choice: the fastest first. Of others: empty.
std::vector<TcpEstimate> EstimatesOf(OpKind kind, size_t bytes, int size, TcpLink link);

/// "by the cost model with 16 us and 1.02 GB/s: ring 90 us, halving and doubling 70 us".
std::string ExplainEstimates(const std::vector<TcpEstimate>& estimates, TcpLink link);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_CHOICE_H_
