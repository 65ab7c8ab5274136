// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_TCP_OF_ROUND_H_
#define LOCKSTEP_RUNTIME_RANK_TCP_OF_ROUND_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "collectives/engine/backend.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::rank {

/// Makes ends of groups over TCP, in each round with what that round has for it alone: another key,
/// listener and connections. What is of an earlier round lives for as long as its groups do. One
/// per session, shared with its groups. Thread-safe: one thread opens, and others that come
/// meanwhile wait for it until their own deadlines.
class TcpOfRound final : public collectives::BackendMaker {
 public:
  /// For the round that the agent has in force. Blocks: at most the duration.
  using Open =
      std::function<base::Result<std::shared_ptr<collectives::BackendMaker>>(base::Duration)>;

  explicit TcpOfRound(Open open) : open_(std::move(open)) {}

  /// Errors beside BackendMaker's: those of `open`; DeadlineExceeded - another thread has not ended
  /// it in time.
  base::Result<std::unique_ptr<collectives::Backend>> Make(
      const collectives::GroupSpec& spec, const collectives::OpDeadline& deadline) override;

 private:
  using Maker = std::shared_ptr<collectives::BackendMaker>;

  base::Result<Maker> MakerOf(base::Round round, const collectives::OpDeadline& deadline);

  const Open open_;
  std::mutex mutex_;
  std::condition_variable opened_;
  // Guarded by mutex_:
  bool opening_ = false;
  std::optional<base::Round> round_;
  Maker maker_;
};

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_TCP_OF_ROUND_H_
