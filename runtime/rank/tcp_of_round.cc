// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/tcp_of_round.h"

#include <algorithm>

namespace lockstep::rank {

base::Result<std::unique_ptr<collectives::Backend>> TcpOfRound::Make(
    const collectives::GroupSpec& spec, const collectives::OpDeadline& deadline) {
  std::shared_ptr<collectives::BackendMaker> maker;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (round_ != spec.epoch) {
      // The agent may be a round further: then it refuses this one's cards, and the maker is made again.
      ASSIGN_OR_RETURN(maker_, open_(std::max(deadline.Left(), base::Duration(0))));
      round_ = spec.epoch;
    }
    maker = maker_;
  }
  return maker->Make(spec, deadline);
}

}  // namespace lockstep::rank
