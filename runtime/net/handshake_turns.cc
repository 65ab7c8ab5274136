// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/handshake_turns.h"

#include <utility>

namespace lockstep::net {

HandshakeTurns::HandshakeTurns(std::function<void()> after_steps, event::Loop& loop)
    : after_steps_(std::move(after_steps)), loop_(loop) {}

uint64_t HandshakeTurns::Ask(Kind kind, Step step) {
  seq_.AssertHeld();
  waiting_.emplace(++last_number_, Waiting{kind, std::move(step)});
  if (kind == Kind::kFirst) ++first_waiting_;
  Schedule();
  return last_number_;
}

void HandshakeTurns::Withdraw(uint64_t number) {
  seq_.AssertHeld();
  if (const auto found = waiting_.find(number); found != waiting_.end()) (void)Take(found);
}

HandshakeTurns::Step HandshakeTurns::Take(std::map<uint64_t, Waiting>::iterator which) {
  if (which->second.kind == Kind::kFirst) --first_waiting_;
  Step step = std::move(which->second.step);
  waiting_.erase(which);
  return step;
}

void HandshakeTurns::Schedule() {
  if (waiting_.empty() || next_.active()) return;
  next_ = loop_.After(base::Duration(0), [this] { Run(); });
}

void HandshakeTurns::Run() {
  seq_.AssertHeld();
  const std::weak_ptr<const bool> alive = alive_;
  for (int i = 0; i < kStepsPerTurn && !waiting_.empty(); ++i) {
    Take(waiting_.begin())();
    if (alive.expired()) return;
  }
  Schedule();
  after_steps_();  // also when all have withdrawn: whoever waits for fewer of them waits for this
}

}  // namespace lockstep::net
