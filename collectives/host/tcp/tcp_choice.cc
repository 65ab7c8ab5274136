// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_choice.h"

#include <algorithm>
#include <bit>
#include <cstdio>

namespace lockstep::collectives {
namespace {

std::vector<TcpEstimate> AllReduceWays(double bytes, int size, double hop_us, double bytes_per_us) {
  const double n = size;
  const double passing = 2 * (n - 1) / n * bytes / bytes_per_us;
  std::vector<TcpEstimate> ways{{TcpWay::kRing, 2 * (n - 1) * hop_us + passing}};
  const auto count = static_cast<unsigned>(size);
  if (size > 2 && std::has_single_bit(count)) {
    const double rounds = std::bit_width(count) - 1;
    ways.push_back({TcpWay::kHalving, 2 * rounds * hop_us + kHalvingFactor * passing});
  }
  return ways;
}

std::vector<TcpEstimate> BroadcastWays(double bytes, int size, double hop_us, double bytes_per_us) {
  const double once = bytes / bytes_per_us;
  const auto count = static_cast<unsigned>(size);
  const double rounds = std::bit_width(count - 1), depth = std::bit_width(count) - 1;
  return {{TcpWay::kBinomialTree, rounds * (hop_us + once)},
          {TcpWay::kTwoWayTree, 2 * depth * hop_us + 2 * once},
          {TcpWay::kChain, (size - 1) * hop_us + once}};
}

}  // namespace

std::string TcpWayName(TcpWay way) {
  switch (way) {
    case TcpWay::kRing: return "ring";
    case TcpWay::kHalving: return "halving and doubling";
    case TcpWay::kBinomialTree: return "binomial tree";
    case TcpWay::kTwoWayTree: return "two-way tree";
    case TcpWay::kChain: return "chain";
    case TcpWay::kDirect: return "direct";
  }
  return "?";
}

std::vector<TcpEstimate> EstimatesOf(OpKind kind, size_t bytes, int size, TcpLink link) {
  if (size < 2 || (kind != OpKind::kAllReduce && kind != OpKind::kBroadcast)) return {};
  const auto length = static_cast<double>(bytes);
  std::vector<TcpEstimate> ways =
      kind == OpKind::kAllReduce
          ? AllReduceWays(length, size, link.latency_us(), link.bytes_per_us())
          : BroadcastWays(length, size, link.latency_us(), link.bytes_per_us());
  std::stable_sort(ways.begin(), ways.end(),
                   [](const TcpEstimate& a, const TcpEstimate& b) { return a.us < b.us; });
  return ways;
}

std::string ExplainEstimates(const std::vector<TcpEstimate>& estimates, TcpLink link) {
  std::string text = "by the cost model with " + link.Describe() + ":";
  for (const TcpEstimate& estimate : estimates) {
    char us[32];
    std::snprintf(us, sizeof us, " %.0f us", estimate.us);
    text += (text.back() == ':' ? " " : ", ") + TcpWayName(estimate.way) + us;
  }
  return text;
}

}  // namespace lockstep::collectives
