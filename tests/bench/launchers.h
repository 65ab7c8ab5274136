// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_LAUNCHERS_H_
#define LOCKSTEP_TESTS_BENCH_LAUNCHERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "tests/bench/command.h"

namespace lockstep::bench {

/// One way to start N ranks of a program.
struct Launcher {
  std::string name;
  Words words;              // the program and its arguments follow
  base::Duration patience;  // after which it counts as hung
  // A run takes a second or more: fewer of them.
  int runs_max = 1000;
  int quick_runs_max = 1000;
  std::string restart_flag;  // one more word that allows a restart; "" where there is no such thing
};

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
  /// Words that have `lockstep bench` draw `name`.svg into the folder that LOCKSTEP_BENCH_PICTURES
  /// names; none where it names none.
  Words Picture(const std::string& name) const;
  /// `full`, or the number of a quick run.
  int Runs(int full, int when_quick) const { return quick_ ? when_quick : full; }
  /// The same for one launcher, which may be too slow for that many.
  int Runs(const Launcher& launcher, int full, int when_quick) const;

 private:
  std::string lockstep_;
  std::string rank_program_;
  std::string torchrun_;
  bool quick_ = false;
  std::string folder_;
};

/// Names of the contenders that bars speak of.
inline constexpr char kLockstep[] = "lockstep";
inline constexpr char kMpirun[] = "mpirun";
inline constexpr char kMpirunAsItComes[] = "mpirun as it comes";
inline constexpr char kHydra[] = "hydra";
inline constexpr char kTorchrun[] = "torchrun";
inline constexpr char kTorchrunAsItComes[] = "torchrun as it comes";

/// kTuned: what a user can set for speed is set. torchrun polls its ranks every 10 ms instead of
/// every 5 s (0.1 s since PyTorch 2.4). kNoGrace: besides, nobody waits between TERM and KILL,
/// which mpirun does for 1 s; and mpirun and torchrun as they come are contenders of their own.
enum class Peers : uint8_t { kTuned, kNoGrace };

/// Lockstep itself and those of its peers that are installed. torchrun is started through
/// torchrun.py, as Debian's is broken.
std::vector<Launcher> Launchers(const Setting& setting, int ranks, Peers peers);

/// A launcher's words and those of the program behind them.
Words With(const Launcher& launcher, const Words& program);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_LAUNCHERS_H_
