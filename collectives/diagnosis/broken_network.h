// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_BROKEN_NETWORK_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_BROKEN_NETWORK_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/finding.h"
#include "collectives/diagnosis/wait_graph.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {

/// Of a network that loses a tenth of all packets each way, one of a thousand messages takes 2 s to
/// arrive. Of such a network no link is called broken that has been silent for less than this; that
/// nothing moves is not said before twice as long, since the kernel tells of silences late.
inline constexpr base::Duration kSilenceOfLosses = std::chrono::seconds(12);

inline constexpr uint64_t kLeastPacketsLost = 3;

struct PacketLosses {
  std::string host;
  uint64_t sent = 0;  // TCP segments, lately
  uint64_t lost = 0;
};
/// Machines whose network loses packets: kLeastPacketsLost or more, and more than one of 200. By
/// host. Pure.
std::vector<PacketLosses> FindPacketLosses(const Evidence& evidence);

struct BrokenNetworkOptions {
  base::Duration grace{0};  // an op that has been waited in for less is no stall
  /// A connection of which nothing was answered for so long, by what its kernel counts, is broken;
  /// where any machine loses packets, after kSilenceOfLosses.
  base::Duration broken_after = std::chrono::milliseconds(1200);
};

/// A kNetworkStall, or a kPartition, where members of an op to which all have come wait, and a
/// connection between two of them is broken: its last bytes were sent again and again, and nothing
/// answered, though both processes live and the agents of both are heard. Two between whom any
/// connection has bytes on their way that were not sent again twice are not cut off from each
/// other. Whose connection is whose is told by its two ends, which must both be in the evidence:
/// sockets to others than ranks say nothing here.
///
/// Machines that are joined by connections without trouble are one part; one on which nothing is
/// under way looks so whatever the network does. Where there are two parts, and between them broken
/// links of two pairs of machines or more, it is a partition, and the smaller part is named; where
/// both are as large, both are. Of a network stall those are named at whom all broken links end,
/// and else both ends of each. Pure; any evidence.
std::optional<Finding> FindBrokenNetwork(const Evidence& evidence, const WaitGraph& waits,
                                         const BrokenNetworkOptions& options);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_BROKEN_NETWORK_H_
