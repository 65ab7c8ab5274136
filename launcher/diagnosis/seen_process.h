// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_SEEN_PROCESS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_SEEN_PROCESS_H_

#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "runtime/proto/evidence.pb.h"

/// A rank's process as evidence on disk and on the wire has it. Any thread.
namespace lockstep::launcher {

/// All but the rank's ops.
proto::RankSeen ToProto(const collectives::SeenRank& rank);
/// Of anything: what it does not name is unknown.
collectives::SeenProcess ProcessOf(const proto::RankSeen& seen);
/// At most kSocketsMax of them.
std::vector<collectives::SeenSocket> SocketsOf(const proto::RankSeen& seen);
inline constexpr int kSocketsMax = 1024;

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_SEEN_PROCESS_H_
