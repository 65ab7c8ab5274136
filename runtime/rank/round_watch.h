// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_ROUND_WATCH_H_
#define LOCKSTEP_RUNTIME_RANK_ROUND_WATCH_H_

#include <memory>
#include <string>
#include <thread>

#include "collectives/engine/attach_connection.h"
#include "collectives/engine/rounds.h"
#include "runtime/base/result.h"

namespace lockstep::rank {

/// Hears from the agent which rounds begin, and tells the process's groups: a thread that sleeps in
/// poll, on a connection of its own, so that an op that waits for a rank which was killed ends at
/// once, whatever the program does meanwhile. One per session of a job that keeps its survivors,
/// owned by it. Confined to the thread that owns it.
class RoundWatch {
 public:
  /// As LOCKSTEP_SOCKET and LOCKSTEP_COOKIE say. Blocks: at most `timeout_ms`. Errors: as
  /// AttachStatus.
  static base::Result<std::unique_ptr<RoundWatch>> Start(
      const std::string& socket_path, const std::string& cookie, uint32_t timeout_ms,
      std::shared_ptr<collectives::Rounds> rounds);
  /// Nothing is heard any more. In a forked child it touches nothing.
  ~RoundWatch();
  RoundWatch(const RoundWatch&) = delete;
  RoundWatch& operator=(const RoundWatch&) = delete;

 private:
  RoundWatch(collectives::AttachClient client, std::shared_ptr<collectives::Rounds> rounds);

  void Listen();

  collectives::AttachClient client_;
  const std::shared_ptr<collectives::Rounds> rounds_;
  const int64_t owner_pid_;
  std::thread thread_;
};

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_ROUND_WATCH_H_
