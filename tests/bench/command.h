// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_COMMAND_H_
#define LOCKSTEP_TESTS_BENCH_COMMAND_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"

namespace lockstep::bench {

using Words = std::vector<std::string>;

/// A program that a benchmark times, with no input and its output thrown away unless said
/// otherwise (borrowed descriptors). Times are those of the steady clock, which ranks can read too
/// (CLOCK_MONOTONIC). Whatever the program and its children left is ended by the destructor, so
/// that a peer that hangs or forgets its ranks does not slow down the next contender.
class Command {
 public:
  struct Streams {
    int in = -1;
    int out = -1;
    int err = -1;
  };

  explicit Command(const Words& words) : Command(words, Streams()) {}
  Command(const Words& words, Streams streams);
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  pid_t pid() const { return pid_; }
  base::SteadyTime started_at() const { return started_at_; }
  void Signal(int signal) const;

  /// When it ended; nothing at the deadline (it runs on), or when it could not be started.
  /// With `success_needed`, also nothing when its exit status was not 0.
  std::optional<base::SteadyTime> WaitForEnd(base::Duration at_most, bool success_needed);

 private:
  pid_t pid_ = -1;
  base::SteadyTime started_at_;
};

double Milliseconds(base::Duration time);

/// Finds a program in PATH; a peer that is not installed does not compete.
bool OnPath(const std::string& program);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_COMMAND_H_
