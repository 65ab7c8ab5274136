// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_CONTESTANT_H_
#define LOCKSTEP_LAUNCHER_BENCH_CONTESTANT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "launcher/bench/bench_wire.h"
#include "launcher/bench/contenders.h"
#include "runtime/base/result.h"

namespace lockstep::launcher {

/// What the ranks of a gang made of one command.
struct Answer {
  bool supported = true;
  std::string refusal;             // of one that is not supported: why
  uint64_t wrong = 0;              // of all ranks
  std::vector<double> slowest_us;  // of each iteration: the time of the rank that took longest
};

/// A gang that waits for commands: GangStage's in life, a script in tests. Confined to one thread.
class Contestant {
 public:
  virtual ~Contestant() = default;

  virtual const Contender& contender() const = 0;
  /// What its ranks say that they measure.
  virtual std::string library() const = 0;
  /// Blocks: until all ranks have answered, at most the stage's timeout. `doing` is for messages:
  /// "all_reduce of 4096 bytes". Errors: DeadlineExceeded, Unavailable - ranks did not answer, or
  /// have ended (named); Aborted - the library failed, or the user interrupts.
  virtual base::Result<Answer> Ask(const lockstep_bench_command& command,
                                   const std::string& doing) = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_CONTESTANT_H_
