// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_RANKS_TCP_RANK_H_
#define LOCKSTEP_LAUNCHER_BENCH_RANKS_TCP_RANK_H_

#include <string>

#include "collectives/host/tcp/tcp_link.h"
#include "runtime/base/status.h"

namespace lockstep::launcher {

/// Where a rank of the gang over TCP stands.
struct TcpRankPlace {
  int rank = 0;
  int size = 1;
  std::string interface;  // "" = the loopback
  std::string folder;     // in which the ranks meet (FolderExchange)
  // Ranks of one machine go through memory of the agent that these lead to.
  int machine = -1;           // -1 = all by TCP
  collectives::TcpLink link;  // given instead of measured
  bool encrypts_data = false;
  int tcp_flows = 1;
  std::string socket;  // LOCKSTEP_SOCKET
  std::string cookie;  // LOCKSTEP_COOKIE
};

/// A rank of Lockstep's gang over TCP, or over both: serves `lockstep bench` at `socket_path`, with
/// a recorder that nobody reads. Blocks until that is over. Errors: NotFound - no such interface,
/// or it has no address; those of collectives::TcpBackendMaker; Aborted - `lockstep bench` is gone.
base::Status ServeAsTcpRank(const TcpRankPlace& place, const char* socket_path, int gang);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_RANKS_TCP_RANK_H_
