// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_GANG_STAGE_H_
#define LOCKSTEP_LAUNCHER_BENCH_GANG_STAGE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launcher/bench/contestant.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/event/signal_source.h"
#include "runtime/process/processes.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

class Gang;
struct RankLink;

/// Where the gangs of one `lockstep bench` live: starts them, waits for their ranks to come to its
/// socket, and ends them. One in a process. States of a gang: starting -> waiting <-> busy ->
/// ended; all but the one that is busy sleep.
///
/// Threads: confined to the one that made it, which must live as long as the process. SIGINT,
/// SIGTERM and SIGHUP end whatever blocks here with Aborted. However it is left, the destructor
/// leaves no process behind; should this process be killed, the launchers of the gangs die with it,
/// and the ranks when they find its socket closed.
class GangStage {
 public:
  struct Config {
    std::string folder;          // of this run alone; socket and outputs of gangs go there
    std::string lockstep;        // this program
    std::string program_folder;  // where the rank programs are
    std::vector<int> cpus;       // by rank: which it is bound to; empty = none is
    bool yields = false;         // there are more ranks than cores
    int ranks = 0;
    base::Duration start_timeout = std::chrono::seconds(60);
    base::Duration timeout = std::chrono::seconds(60);
    topology::Environment environment;  // of the gangs
  };

  /// Errors: those of sockets and descriptors.
  static base::Result<std::unique_ptr<GangStage>> Create(Config config, const base::Clock& clock);
  ~GangStage();
  GangStage(const GangStage&) = delete;
  GangStage& operator=(const GangStage&) = delete;

  /// Blocks: until all ranks have come, at most the start timeout. The contestant lives as long as
  /// this. Errors: NotFound - its launcher or program is missing; Unavailable - it ended instead;
  /// DeadlineExceeded - names the ranks that did not come.
  base::Result<Contestant*> Start(const Contender& contender);

  /// Of all ranks, and of this program.
  std::vector<pid_t> Pids() const;

  /// Lets all gangs part in an orderly way. Blocks: 10 s at most, then they are killed.
  void End();

  /// The signal that interrupted; 0 = none has come.
  int signal() const { return signal_; }

 private:
  friend class Gang;

  GangStage(Config config, std::unique_ptr<event::Loop> loop);
  base::Status Open();
  base::Result<std::unique_ptr<process::Process>> Spawn(Gang& gang);

  void Accept();
  void OnReadable(RankLink& link);
  void TakeHello(RankLink& link);
  /// Runs the loop until `holds`, the deadline or a signal. False when it does not hold by then.
  bool RunUntil(const std::function<bool()>& holds, base::SteadyTime deadline,
                bool heeds_signals = true);
  base::Status Interrupted() const;

  const Config config_;
  const std::unique_ptr<event::Loop> loop_;
  std::unique_ptr<process::Processes> processes_;
  std::unique_ptr<event::SignalSource> signals_;
  base::UniqueFd listener_;
  event::Registration listening_;
  std::vector<std::unique_ptr<RankLink>> strangers_;  // have not said who they are
  std::vector<std::unique_ptr<Gang>> gangs_;
  int signal_ = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_GANG_STAGE_H_
