// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_SIM_PROCESSES_H_
#define LOCKSTEP_RUNTIME_PROCESS_SIM_PROCESSES_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/random.h"
#include "runtime/base/status.h"
#include "runtime/event/sim_loop.h"
#include "runtime/process/processes.h"

namespace lockstep::process {

/// What a pretended program does. The default runs until a signal ends it.
struct SimProgram {
  base::Status spawn;                      // an error: Spawn() fails with it
  std::optional<base::Duration> runs_for;  // ends by itself after this
  Exit ends_with;                          // and then so
  bool ignores_term = false;               // TERM, INT, HUP, QUIT, USR1 and USR2 do nothing
  base::Duration term_takes{0};            // from such a signal to the end it brings
  std::optional<int> term_exit_code;       // ends so on such a signal; null: the signal kills it
  // Something of it lives on when the leader has ended, until KillAll().
  bool leaves_descendants = false;
  bool stuck = false;  // in uninterruptible sleep: not even KILL ends it
};

/// Processes on simulated time, for tests of whatever supervises them: programs do what the test
/// has scripted for their name, and the news of their ends comes up to 2 ms late, by the seed.
/// Owned by the test; confined to its thread.
class SimProcesses final : public Processes {
 public:
  SimProcesses(event::SimLoop& loop, uint64_t seed) : SimProcesses(loop, loop, seed) {}
  /// Programs run by `loop`; whoever has started them hears of it on `news`, which may stand still.
  SimProcesses(event::SimLoop& loop, event::Loop& news, uint64_t seed)
      : loop_(loop), news_(news), random_(seed) {}
  /// Every Process must be gone.
  ~SimProcesses() override;

  /// What spawns of this name will do from now on.
  void SetProgram(const std::string& name, SimProgram program) {
    programs_[name] = std::move(program);
  }
  /// Ends a running process, as a crash does; false when there is none of that pid.
  bool End(pid_t pid, Exit how);
  /// Leaders that have not ended, and trees that have left something behind.
  int AliveCount() const;
  /// Of these, what SIGKILL would end.
  int KillableCount() const;
  /// Every spawn so far, failed ones too.
  const std::vector<SpawnSpec>& spawned() const { return spawned_; }
  /// Signals sent to a pid, KILL too, in order.
  const std::vector<int>& SignalsSent(pid_t pid) { return signals_[pid]; }

  std::vector<SpawnResult> SpawnAll(std::vector<SpawnRequest> requests) override;
  std::string containment() const override { return "simulated"; }

 private:
  class SimProcess;

  SpawnResult SpawnOne(SpawnRequest request);
  base::Duration Delay() { return base::Duration(random_.Below(2'000'000)); }

  event::SimLoop& loop_;
  event::Loop& news_;
  base::Random random_;
  std::map<std::string, SimProgram> programs_;
  std::map<pid_t, SimProcess*> processes_;
  std::map<pid_t, std::vector<int>> signals_;
  std::vector<SpawnSpec> spawned_;
  pid_t next_pid_ = 1000;
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_SIM_PROCESSES_H_
