// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/tcp_of_round.h"

#include <algorithm>
#include <chrono>

namespace lockstep::rank {
namespace {

// The deadline's clock wants to be looked at often (AwakeClock).
constexpr base::Duration kLook = std::chrono::milliseconds(10);

}  // namespace

base::Result<std::unique_ptr<collectives::Backend>> TcpOfRound::Make(
    const collectives::GroupSpec& spec, const collectives::OpDeadline& deadline) {
  auto maker = MakerOf(spec.epoch, deadline);
  if (!maker.ok()) return maker.status().WithFrame("joining group " + spec.name);
  return maker.value()->Make(spec, deadline);
}

base::Result<TcpOfRound::Maker> TcpOfRound::MakerOf(base::Round round,
                                                    const collectives::OpDeadline& deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (opening_) {
    if (deadline.Left().count() <= 0) {
      return base::DeadlineExceededError(
          "getting ready for round " + round.ToString() +
          ": another thread still asks the agent for the network, and this group's " +
          base::FormatDuration(deadline.due().timeout) +
          " are over; see whether the agent is stopped or busy");
    }
    opened_.wait_for(lock, kLook);
  }
  if (round_ == round) return maker_;
  opening_ = true;
  lock.unlock();
  // The agent may be a round further: then it refuses this one's cards, and the maker is made
  // again.
  auto opened = open_(std::max(deadline.Left(), base::Duration(0)));
  lock.lock();
  opening_ = false;
  opened_.notify_all();
  if (!opened.ok()) return opened.status();
  maker_ = *std::move(opened);
  round_ = round;
  return maker_;
}

}  // namespace lockstep::rank
