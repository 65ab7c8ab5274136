// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_PLACEMENT_SIMULATED_AGENTS_H_
#define LOCKSTEP_LAUNCHER_PLACEMENT_SIMULATED_AGENTS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "launcher/placement/agent_starter.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/process/processes.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// Agents on this machine, as if each were another one (--simulate-hosts): this very program, with
/// a name and a socket folder for each, its bootstrap on its standard input. As AgentStarter has
/// it. The folders stay: whoever guards us removes them (RemoveWhatIsLeft), for we may be killed.
class SimulatedAgents final : public AgentStarter {
 public:
  struct Config {
    std::string job_id;
    std::map<base::NodeIndex, std::string> hosts;  // of every node to be started
    topology::Environment environment;             // of the agents
    std::string jobs_root;
    std::string socket_directory;  // private to the user, short
  };
  struct Deps {
    event::Loop& loop;
    process::Processes& processes;
  };

  SimulatedAgents(Config config, Deps deps) : config_(std::move(config)), deps_(deps) {}
  SimulatedAgents(const SimulatedAgents&) = delete;
  SimulatedAgents& operator=(const SimulatedAgents&) = delete;

  size_t DescriptorsOfEach() const override {
    return 2;
  }  // its pidfd, and its input until it has joined
  void Start(std::vector<AgentToStart> agents, OnFailed on_failed) override;
  void OnAllJoined() override {
    all_joined_ = true;
    inputs_.clear();
  }
  void OnLost(base::NodeIndex) override {}  // on this machine its process ends
  void Finish(std::function<void()> done) override;

 private:
  base::Status StartOne(AgentToStart agent);
  void Fail(base::NodeIndex node, const base::Status& why);
  void OnExited(base::NodeIndex node, const process::Exit& exit);
  void CheckAllExited();

  const Config config_;
  const Deps deps_;
  OnFailed on_failed_;
  bool all_joined_ = false;
  std::function<void()> done_;
  std::vector<base::UniqueFd> inputs_;  // the agents' standard inputs, open until they have joined
  event::Registration failure_;         // of a start, told from the loop
  event::Registration give_up_;
  std::map<base::NodeIndex, std::unique_ptr<process::Process>> agents_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_PLACEMENT_SIMULATED_AGENTS_H_
