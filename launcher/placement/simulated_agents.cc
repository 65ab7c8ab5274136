// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/simulated_agents.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "launcher/jobs/job_addresses.h"
#include "launcher/placement/bootstrap_frame.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

constexpr base::Duration kExitTime = std::chrono::seconds(2);  // of an agent that has said goodbye

struct Pipe {
  base::UniqueFd read_end;
  base::UniqueFd write_end;
};

/// One frame, which fits into an empty pipe.
base::Result<Pipe> PipeWith(const proto::Bootstrap& bootstrap) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "make a pipe for an agent");
  Pipe pipe{base::UniqueFd(ends[0]), base::UniqueFd(ends[1])};
  ::fcntl(pipe.write_end.get(), F_SETFL, O_NONBLOCK);
  std::string frame = BootstrapFrame(bootstrap);
  const ssize_t written = ::write(pipe.write_end.get(), frame.data(), frame.size());
  ::explicit_bzero(frame.data(), frame.size());
  if (written != static_cast<ssize_t>(frame.size())) {
    return base::ErrnoStatus(written < 0 ? errno : EMSGSIZE, "hand an agent its keys");
  }
  return pipe;
}

}  // namespace

void SimulatedAgents::Start(std::vector<AgentToStart> agents, OnFailed on_failed) {
  on_failed_ = std::move(on_failed);
  for (AgentToStart& agent : agents) {
    const base::NodeIndex node = agent.node;
    const base::Status started = StartOne(std::move(agent));
    if (started.ok()) continue;
    failure_ = deps_.loop.After(base::Duration(0), [this, node, started] {
      Fail(node, started.WithFrame("while starting the agent of node " + node.ToString()));
    });
    return;
  }
}

base::Status SimulatedAgents::StartOne(AgentToStart agent) {
  const std::string sockets =
      SimulatedSocketFolder(config_.socket_directory, config_.job_id, agent.node);
  if (::mkdir(sockets.c_str(), 0700) != 0 && errno != EEXIST) {
    return base::ErrnoStatus(errno, "make folder " + sockets);
  }
  std::error_code error;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return base::ErrnoStatus(error.value(), "find the program of this process");
  agent.bootstrap.set_host(config_.hosts.at(agent.node));
  agent.bootstrap.set_jobs_root(config_.jobs_root);
  agent.bootstrap.set_socket_directory(sockets);
  ASSIGN_OR_RETURN(Pipe input, PipeWith(agent.bootstrap));
  std::string& key = *agent.bootstrap.mutable_key();
  ::explicit_bzero(key.data(), key.size());
  process::SpawnSpec spawn;
  spawn.name = "agent-" + agent.node.ToString();
  spawn.arguments = {self, "agent"};
  spawn.environment = topology::ToBlock(config_.environment);
  spawn.fds = {{input.read_end.get(), STDIN_FILENO}, {STDERR_FILENO, STDERR_FILENO}};
  ASSIGN_OR_RETURN(
      agents_[agent.node],
      deps_.processes.Spawn(std::move(spawn), [this, node = agent.node](const process::Exit& exit) {
        OnExited(node, exit);
      }));
  inputs_.push_back(std::move(input.write_end));
  return base::OkStatus();
}

/// Its connection tells the rest; but one that dies before it has joined has none.
void SimulatedAgents::OnExited(base::NodeIndex node, const process::Exit& exit) {
  CheckAllExited();
  if (all_joined_ || done_) return;
  Fail(node, base::UnavailableError("the agent of node " + node.ToString() +
                                    " ended before it had joined: " + exit.ToString()));
}

void SimulatedAgents::Fail(base::NodeIndex node, const base::Status& why) {
  if (on_failed_) on_failed_(node, why);
}

void SimulatedAgents::Finish(std::function<void()> done) {
  done_ = std::move(done);
  inputs_.clear();  // those that have not reached the coordinator end by that
  give_up_ = deps_.loop.After(kExitTime, [this] { std::exchange(done_, {})(); });
  CheckAllExited();
}

/// Those that do not are killed with us.
void SimulatedAgents::CheckAllExited() {
  if (!done_) return;
  for (const auto& [node, agent] : agents_) {
    if (agent != nullptr && !agent->exit()) return;
  }
  give_up_ = deps_.loop.After(base::Duration(0), [this] { std::exchange(done_, {})(); });
}

}  // namespace lockstep::launcher
