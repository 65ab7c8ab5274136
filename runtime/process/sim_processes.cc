// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/sim_processes.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"

namespace lockstep::process {
namespace {

bool EndsByDefault(int signal) {
  switch (signal) {
    case SIGCHLD:
    case SIGCONT:
    case SIGURG:
    case SIGWINCH:
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
    case 0: return false;
    default: return true;
  }
}

bool Stops(int signal) { return signal == SIGSTOP || signal == SIGTSTP; }

}  // namespace

class SimProcesses::SimProcess final : public Process {
 public:
  SimProcess(SimProcesses& owner, pid_t pid, SimProgram program, ExitCallback on_exit)
      : owner_(owner), pid_(pid), program_(std::move(program)), on_exit_(std::move(on_exit)) {
    if (program_.runs_for) EndAfter(*program_.runs_for, program_.ends_with);
  }
  ~SimProcess() override { owner_.processes_.erase(pid_); }

  pid_t pid() const override { return pid_; }
  const std::optional<Exit>& exit() const override { return exit_; }

  base::Status SignalLeader(int signal) override {
    if (ended_) return base::OkStatus();
    owner_.signals_[pid_].push_back(signal);
    Take(signal);
    return base::OkStatus();
  }

  base::Status SignalAll(int signal) override {
    if (signal == SIGKILL && !program_.stuck) has_descendants_ = false;
    return SignalLeader(signal);
  }

  void KillAll(base::Duration deadline, std::function<void(base::Status)> gone) override {
    LOCKSTEP_CHECK(gone_ == nullptr, "KillAll() while one is pending");
    gone_ = std::move(gone);
    const base::Status status = SignalAll(SIGKILL);
    LOCKSTEP_CHECK(status.ok(), "a pretended signal cannot fail");
    deadline_ = owner_.news_.After(deadline, [this, deadline] {
      Finish(base::DeadlineExceededError("kill the processes of pid " + std::to_string(pid_) +
                                         ": not dead " + base::FormatDuration(deadline) +
                                         " after SIGKILL"));
    });
    if (exit_) FinishSoon();
  }

  /// The process ends now; the loop hears of it a little later.
  void EndNow(const Exit& how) {
    if (ended_) return;
    ended_ = true;
    end_timer_.reset();
    has_descendants_ = has_descendants_ || (program_.leaves_descendants && gone_ == nullptr);
    report_ = owner_.news_.After(owner_.Delay(), [this, how] {
      exit_ = how;
      exit_->at = owner_.loop_.Now();
      if (gone_ != nullptr) FinishSoon();
      const ExitCallback on_exit = std::move(on_exit_);
      on_exit(*exit_);  // may destroy this
    });
  }

  bool Alive() const { return !ended_ || has_descendants_; }
  bool Killable() const { return Alive() && !program_.stuck; }

 private:
  void EndAfter(base::Duration delay, Exit how) {
    end_timer_ = owner_.loop_.After(delay, [this, how] {
      if (stopped_) {
        pending_end_ = how;
      } else {
        EndNow(how);
      }
    });
  }

  void Take(int signal) {
    if (signal == SIGKILL) {
      if (!program_.stuck) EndNow({.signal = SIGKILL});
    } else if (Stops(signal)) {
      stopped_ = true;
    } else if (signal == SIGCONT) {
      stopped_ = false;
      if (pending_end_) EndNow(*pending_end_);
    } else if (EndsByDefault(signal) && !program_.ignores_term && !ending_) {
      ending_ = true;
      const Exit how =
          program_.term_exit_code ? Exit{.code = *program_.term_exit_code} : Exit{.signal = signal};
      EndAfter(program_.term_takes, how);
    }
  }

  void FinishSoon() {
    report_gone_ = owner_.news_.After(owner_.Delay(), [this] { Finish(base::OkStatus()); });
  }

  void Finish(base::Status status) {
    deadline_.reset();
    report_gone_.reset();
    const auto gone = std::exchange(gone_, nullptr);
    gone(std::move(status));  // may destroy this
  }

  SimProcesses& owner_;
  const pid_t pid_;
  const SimProgram program_;
  ExitCallback on_exit_;
  std::optional<Exit> exit_;  // reported
  bool ended_ = false;        // perhaps not reported yet
  bool ending_ = false;       // a signal that ends it was taken
  bool stopped_ = false;
  bool has_descendants_ = false;
  std::optional<Exit> pending_end_;  // came while stopped
  std::function<void(base::Status)> gone_;
  event::Registration end_timer_;
  event::Registration report_;
  event::Registration report_gone_;
  event::Registration deadline_;
};

SimProcesses::~SimProcesses() {
  LOCKSTEP_CHECK(processes_.empty(), "a Process outlives its Processes");
}

bool SimProcesses::End(pid_t pid, Exit how) {
  const auto it = processes_.find(pid);
  if (it == processes_.end()) return false;
  it->second->EndNow(how);
  return true;
}

int SimProcesses::AliveCount() const {
  return static_cast<int>(std::count_if(processes_.begin(), processes_.end(),
                                        [](const auto& entry) { return entry.second->Alive(); }));
}

int SimProcesses::KillableCount() const {
  return static_cast<int>(
      std::count_if(processes_.begin(), processes_.end(),
                    [](const auto& entry) { return entry.second->Killable(); }));
}

std::vector<SpawnResult> SimProcesses::SpawnAll(std::vector<SpawnRequest> requests) {
  std::vector<SpawnResult> results;
  for (SpawnRequest& request : requests) results.push_back(SpawnOne(std::move(request)));
  return results;
}

SpawnResult SimProcesses::SpawnOne(SpawnRequest request) {
  LOCKSTEP_CHECK(!request.spec.arguments.empty(), "a spawn needs a program");
  const SimProgram& program = programs_[request.spec.name];
  spawned_.push_back(std::move(request.spec));
  if (!program.spawn.ok()) return program.spawn;
  const pid_t pid = next_pid_++;
  auto process = std::make_unique<SimProcess>(*this, pid, program, std::move(request.on_exit));
  processes_[pid] = process.get();
  return std::unique_ptr<Process>(std::move(process));
}

}  // namespace lockstep::process
