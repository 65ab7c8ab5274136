// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_LAUNCHERS_H_
#define LOCKSTEP_TESTS_BENCH_LAUNCHERS_H_

#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "tests/bench/command.h"

namespace lockstep::bench {

/// What a benchmark program is told by its command line:
///
///   PROGRAM LOCKSTEP RANK_PROGRAM TORCHRUN [--quick]
///
/// --quick is for the test that each benchmark also is: few repetitions. Making one prepares this
/// process: it becomes the subreaper of whatever it starts and keeps job directories in a folder of
/// its own, which goes when this does.
class Setting {
 public:
  /// Exits with 64 when the command line is not the one above.
  Setting(int argc, char** argv);
  ~Setting();
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

  const std::string& lockstep() const { return lockstep_; }
  const std::string& rank_program() const { return rank_program_; }
  const std::string& torchrun() const { return torchrun_; }
  bool quick() const { return quick_; }
  const std::string& folder() const { return folder_; }
  /// `full`, or the number of a quick run.
  int Runs(int full, int when_quick) const { return quick_ ? when_quick : full; }

 private:
  std::string lockstep_;
  std::string rank_program_;
  std::string torchrun_;
  bool quick_ = false;
  std::string folder_;
};

/// One way to start N ranks of a program.
struct Launcher {
  std::string name;
  Words words;              // the program and its arguments follow
  base::Duration patience;  // after which it counts as hung
  bool slow = false;        // a run takes a second or so: fewer of them
};

/// Names of the contenders that bars speak of.
inline constexpr char kLockstep[] = "lockstep";
inline constexpr char kMpirun[] = "mpirun";
inline constexpr char kHydra[] = "hydra";
inline constexpr char kTorchrun[] = "torchrun";

/// Lockstep itself and those of its peers that are installed, each set up as well as it can be for
/// the sake of a fair comparison:
/// - torchrun polls its ranks every 5 s (since PyTorch 2.4: 0.1 s); here it does so every 10 ms. It
///   is started through torchrun.py, as Debian's is broken.
/// - mpirun waits 1 s from TERM to KILL; `no_grace` sets that to 0, and Lockstep's grace too.
std::vector<Launcher> Launchers(const Setting& setting, int ranks, bool no_grace);

/// A launcher's words and those of the program behind them.
Words With(const Launcher& launcher, const Words& program);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_LAUNCHERS_H_
