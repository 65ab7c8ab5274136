// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/open_cluster.h"

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "launcher/agent/meeting_door.h"
#include "launcher/agent/node_runtime.h"
#include "launcher/agent/remote_needs.h"
#include "launcher/placement/simulated_agents.h"
#include "launcher/placement/ssh_agents.h"
#include "runtime/proto/duration_text.h"
#include "runtime/proto/port_range_text.h"

namespace lockstep::launcher {
namespace {

/// All but what other machines need, and who starts their agents.
base::Result<JobCluster::Config> ClusterConfigOf(const AgentConfig& config) {
  const proto::Placement& placement = config.job.spec().placement();
  std::error_code error;
  JobCluster::Config cluster{
      .job_id = config.directory.job_id(),
      .job_name = config.state.name(),
      .jobs_root = config.jobs_root,
      .here = config.here,
      .nodes = config.nodes,
      .door = {.listen_host = placement.has_simulated() ? "127.0.0.1" : ""},
      .lease = {proto::FromProto(placement.heartbeat()), proto::FromProto(placement.lease())},
      .job = config.job,
      .arguments = config.arguments,
      .working_directory = std::filesystem::current_path(error).string(),
      .log_directory = config.log_directory,
      .color_stdout = config.color_stdout,
      .color_stderr = config.color_stderr};
  if (placement.has_join_timeout()) {
    cluster.join_deadline = proto::FromProto(placement.join_timeout());
  }
  ASSIGN_OR_RETURN(const proto::PortSpan ports, proto::ParsePortSpan(placement.ports()));
  cluster.door.ports = {ports.first, ports.last};
  return cluster;
}

std::unique_ptr<AgentStarter> MakeSshStarter(const proto::SshPlacement& ssh,
                                             const std::string& program_path,
                                             topology::Environment environment,
                                             const JobCluster::Deps& deps) {
  SshAgents::Config config{.ssh = ssh,
                           .hosts = {},
                           .environment = std::move(environment),
                           .program_path = ssh.stage() ? program_path : "",
                           .say = [&node = deps.node](const std::string& text) { node.Say(text); }};
  for (int node = 0; node < ssh.hosts_size(); ++node) {
    config.hosts[base::NodeIndex(node)] = ssh.hosts(node);
  }
  return std::make_unique<SshAgents>(std::move(config),
                                     SshAgents::Deps{deps.loop, deps.node.processes()});
}

std::unique_ptr<AgentStarter> MakeSimulatedStarter(const AgentConfig& config,
                                                   topology::Environment environment,
                                                   const JobCluster::Deps& deps) {
  SimulatedAgents::Config agents{.job_id = config.directory.job_id(),
                                 .hosts = {},
                                 .environment = std::move(environment),
                                 .jobs_root = config.jobs_root,
                                 .socket_directory = config.socket_directory};
  for (size_t node = 0; node < config.nodes.size(); ++node) {
    agents.hosts[base::NodeIndex(static_cast<int>(node))] = config.nodes[node].host;
  }
  return std::make_unique<SimulatedAgents>(std::move(agents),
                                           SimulatedAgents::Deps{deps.loop, deps.node.processes()});
}

}  // namespace

base::Result<std::unique_ptr<JobCluster>> OpenCluster(AgentConfig& config,
                                                      topology::Environment environment,
                                                      const JobCluster::Deps& deps) {
  const proto::Placement& placement = config.job.spec().placement();
  ASSIGN_OR_RETURN(JobCluster::Config cluster, ClusterConfigOf(config));
  std::string program_path;
  if (placement.has_ssh() || config.meeting) {
    ASSIGN_OR_RETURN(
        RemoteNeeds needs,
        FindRemoteNeeds(cluster.job.mutable_spec(), config.arguments, config.program_word,
                        config.nodes, config.here, cluster.working_directory, environment));
    cluster.program = std::move(needs.bootstrap);
    cluster.program_hash = std::move(needs.program_hash);
    program_path = std::move(needs.program_path);
  }
  std::unique_ptr<AgentStarter> starter;
  if (config.meeting) {
    TakePartIn(*config.meeting, cluster);
  } else if (placement.has_ssh()) {
    starter = MakeSshStarter(placement.ssh(), program_path, std::move(environment), deps);
  } else {
    starter = MakeSimulatedStarter(config, std::move(environment), deps);
  }
  base::Result<std::unique_ptr<JobCluster>> made =
      JobCluster::Create(std::move(cluster), std::move(starter), deps);
  if (!made.ok() && config.meeting) {
    return ExplainNoMeeting(made.status(), *config.meeting, config.here.host);
  }
  return made;
}

}  // namespace lockstep::launcher
