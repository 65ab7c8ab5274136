// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_PLACEMENT_SSH_AGENTS_H_
#define LOCKSTEP_LAUNCHER_PLACEMENT_SSH_AGENTS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/placement/agent_starter.h"
#include "launcher/placement/remote_start.h"
#include "launcher/placement/ssh_failure.h"
#include "launcher/placement/ssh_login.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/process/processes.h"
#include "runtime/proto/job.pb.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// Agents on other machines, by the system's ssh: one log-in a machine finds or copies the agent
/// (remote_start.h), hands it its bootstrap and then carries what it has to say. As AgentStarter
/// has it.
///
///   waiting --one of kAtOnceMax--> connecting --hello--> preparing --run--> starting --OnAllJoined
///                                      |                     |                 |
///                                      +---------------------+-----------------+--> failed
///
/// A machine that does not answer is tried again beside the first try; one that turns us away, when
/// that may pass. One that has answered and then hangs has failed. Once a machine has failed for
/// good no other is begun, and as soon as nobody is connecting any more the failure is told: of one
/// machine in the status, of several by a line each.
class SshAgents final : public AgentStarter {
 public:
  static constexpr size_t kAtOnceMax = 32;  // that connect or copy
  static constexpr int kTriesMax = 3;       // of one machine

  struct Timing {
    /// For all tries of a machine together, so that one that is down is told of within 10 s.
    base::Duration answer = std::chrono::milliseconds(9500);
    /// To the next try, beside those before: a lost SYN is repeated by the kernel after 1 s, then 3
    /// s, and a fresh connection may meet another server behind the name.
    base::Duration next_try = std::chrono::seconds(3);
    /// To the next try after one that was turned away (sshd's MaxStartups, a boot that is not
    /// through); the second one waits three times as long.
    base::Duration backoff = std::chrono::milliseconds(500);
    /// For each step of a machine that has answered, before it counts as stuck: its home is on a
    /// server that is gone, its disk hangs.
    base::Duration step = std::chrono::seconds(10);
    /// The same while we copy, without a byte that ssh takes. Longer: it and the kernels have up to
    /// 6 MB under way then, of which we see nothing; a link of 200 kB/s is slow and no reason.
    base::Duration copy_step = std::chrono::seconds(30);
    /// On top of a step, per MB of what may be copied: to hash it when it has come, with a slow
    /// disk and no help of the processor.
    base::Duration hash_of_mb = std::chrono::milliseconds(20);
  };
  struct Config {
    proto::SshPlacement ssh;
    /// Of every node to be started: where ssh logs in.
    std::map<base::NodeIndex, proto::SshHost> hosts;
    topology::Environment environment;  // of ssh
    /// What is copied: this very program, unless a test names another one.
    std::string agent_path = "/proc/self/exe";
    std::string program_path;  // with --stage; "" = the machines have it
    Timing timing = {};
    /// A line of ours for the user.
    std::function<void(const std::string& text)> say;
  };
  struct Deps {
    event::Loop& loop;
    process::Processes& processes;
  };

  SshAgents(Config config, Deps deps);
  ~SshAgents() override;
  SshAgents(const SshAgents&) = delete;
  SshAgents& operator=(const SshAgents&) = delete;

  size_t DescriptorsOfEach() const override { return 4; }  // ssh's pidfd and three pipes
  /// Blocks: for the first spawns, and to hash what is copied: some ten milliseconds.
  void Start(std::vector<AgentToStart> agents, OnFailed on_failed) override;
  void OnAllJoined() override;
  void OnLost(base::NodeIndex node) override;
  void Finish(std::function<void()> done) override;

  /// argv of ssh for that machine. Pure.
  static std::vector<std::string> SshArguments(const proto::SshPlacement& ssh,
                                               const proto::SshHost& host);

 private:
  struct Machine;
  /// A file that is sent, open for as long as somebody may want it.
  struct Source {
    base::UniqueFd fd;
    RemoteFile file;
  };

  static base::Result<Source> OpenSource(const std::string& path);
  base::Status OpenSources();
  void StartMore();
  void Try(Machine& machine);
  void TryLater(Machine& machine, base::Duration delay);
  SshLogin::Handlers HandlersOf(Machine& machine, size_t attempt);
  void SendRequest(SshLogin& login);
  void OnLine(Machine& machine, size_t attempt, std::string_view line);
  void OnErrorLine(Machine& machine, size_t attempt, std::string_view line);
  void OnEnded(Machine& machine, size_t attempt, const process::Exit& exit);
  void OnTryFailed(Machine& machine, const SshFailure& failure);
  void OnNobodyAnswers(Machine& machine);
  void AwaitStep(Machine& machine);
  void OnStepTimeout(Machine& machine, base::Duration step);
  void OnHave(Machine& machine, const std::string& path);
  void SendFile(Machine& machine);
  void SendBootstrap(Machine& machine);
  void Fail(Machine& machine, const SshFailure& failure);
  void OnCarrierLost(Machine& machine, const process::Exit& exit);
  void Drop(std::unique_ptr<SshLogin>& login);
  void CheckAllDecided();
  void TellFailure();
  void SayIfSlow();
  void CheckAllEnded();

  const Config config_;
  const Deps deps_;
  const std::string own_machine_;
  OnFailed on_failed_;
  Source agent_;
  std::optional<Source> program_;
  std::string request_;  // "" = not hashed yet
  std::vector<std::unique_ptr<Machine>> machines_;
  bool all_joined_ = false;
  bool told_ = false;  // of the failure
  std::function<void()> done_;
  std::vector<std::unique_ptr<SshLogin>> dropped_;  // destroyed from the loop
  event::Registration sweep_;
  event::Registration tell_;
  event::Registration slow_;
  event::Registration give_up_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_PLACEMENT_SSH_AGENTS_H_
