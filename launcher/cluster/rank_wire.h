// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_RANK_WIRE_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_RANK_WIRE_H_

#include <vector>

#include "elastic/gang.h"
#include "launcher/agent/node_ranks.h"
#include "runtime/proto/agent.pb.h"

/// What is said of ranks, as messages between agents (agent.proto) and back. Pure functions, for
/// any thread.
namespace lockstep::launcher {

/// Of the traceback in a rank's error file, the last so many bytes go to the coordinator: the
/// innermost calls.
inline constexpr size_t kWireTracebackBytes = 32 << 10;

void ToWire(const elastic::RankProcess& process, proto::RankProcess& wire);
elastic::RankProcess FromWire(const proto::RankProcess& wire);

/// A `why` is cut, and left out of a long list, so that it fits into one message.
void ToWire(const elastic::GoneRank& gone, proto::GoneRank& wire);
void ToWire(base::Round next, const std::vector<elastic::GoneRank>& gone, proto::NextRound& wire);
elastic::GoneRank FromWire(const proto::GoneRank& wire);

/// Without the time, which the sender's clock estimate gives.
void ToWire(const RankEnd& end, proto::RankEnded& wire);
/// Whatever a peer sent, texts come back within the bounds of ToWire, and the exit is one that a
/// process can have.
RankEnd FromWire(const proto::RankEnded& wire);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_RANK_WIRE_H_
