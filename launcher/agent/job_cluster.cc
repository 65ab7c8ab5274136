// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/job_cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "launcher/cluster/protocol.h"
#include "launcher/version.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/frame.h"
#include "runtime/net/tls_transport.h"

namespace lockstep::launcher {
namespace {

constexpr uint64_t kOutputCredit = uint64_t{1} << 20;  // of each node, on its way to the console
constexpr base::Duration kExitTime = std::chrono::seconds(2);  // of an agent that has said goodbye
constexpr size_t kIdTail = 6;                                  // random characters of a job id

/// One frame, which fits into an empty pipe.
base::Result<base::UniqueFd> PipeWith(const proto::Bootstrap& bootstrap) {
  const std::string payload = bootstrap.SerializeAsString();
  std::string frame;
  net::AppendFrameHeader(payload.size(), &frame);
  frame += payload;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "make a pipe for an agent");
  base::UniqueFd read_end(ends[0]);
  const base::UniqueFd write_end(ends[1]);
  ::fcntl(write_end.get(), F_SETFL, O_NONBLOCK);
  const ssize_t written = ::write(write_end.get(), frame.data(), frame.size());
  ::explicit_bzero(frame.data(), frame.size());
  if (written != static_cast<ssize_t>(frame.size())) {
    return base::ErrnoStatus(written < 0 ? errno : EMSGSIZE, "hand an agent its keys");
  }
  return read_end;
}

}  // namespace

base::Result<std::unique_ptr<JobCluster>> JobCluster::Create(Config config, Deps deps) {
  std::unique_ptr<JobCluster> cluster(new JobCluster(std::move(config), deps));
  RETURN_IF_ERROR(cluster->Open());
  return cluster;
}

JobCluster::JobCluster(Config config, Deps deps) : config_(std::move(config)), deps_(deps) {}

base::Status JobCluster::Open() {
  ASSIGN_OR_RETURN(ca_, net::JobCa::Create(config_.job_id, deps_.clock));
  ASSIGN_OR_RETURN(const net::NodeCredentials own, ca_->Issue(NodeName(base::NodeIndex(0))));
  ASSIGN_OR_RETURN(std::unique_ptr<net::TlsTransport> transport, net::TlsTransport::Create(own));
  network_ =
      std::make_unique<net::TcpNetwork>(std::move(transport), net::Channel::Options{}, deps_.loop);
  coordinator_ = std::make_unique<Coordinator>(
      Coordinator::Config{.job_id = config_.job_id,
                          .membership = {.node_count = static_cast<int>(config_.slots.size()),
                                         .lease = config_.lease.lease,
                                         .join_deadline = config_.join_deadline,
                                         .hosts_may_repeat = true},
                          .lease = config_.lease},
      Coordinator::Deps{deps_.loop, deps_.news, *this});
  ASSIGN_OR_RETURN(listener_, network_->Listen({.host = "127.0.0.1",
                                                .connections_max = 2 * config_.slots.size() + 64},
                                               [this](std::unique_ptr<net::Connection> connection) {
                                                 coordinator_->Accept(std::move(connection));
                                               }));
  return base::OkStatus();
}

void JobCluster::Start(int master_port) {
  coordinator_->Begin();
  elastic::NodeFacts self;
  self.host = config_.here.host;
  self.boot_id = config_.here.boot_id;
  self.slots = config_.slots[0];
  self.wanted = base::NodeIndex(0);
  self.lockstep_version = std::string(kVersion);
  self.addresses = {"127.0.0.1"};
  coordinator_->JoinLocal(std::move(self), master_port, deps_.node.ranks());
  for (int node = 1; node < static_cast<int>(config_.slots.size()); ++node) {
    const base::Status started = StartAgent(base::NodeIndex(node));
    if (!started.ok())
      return Fail(started.WithFrame("while starting the agent of node " + std::to_string(node)));
  }
}

// ----------------------------------------------------------------------------- agents on this machine

std::string JobCluster::HostOf(base::NodeIndex node) const {
  return config_.here.host + "-n" + node.ToString();
}

/// Short: paths of sockets lie in it.
std::string JobCluster::SocketDirectoryOf(base::NodeIndex node) const {
  const std::string tail =
      config_.job_id.substr(config_.job_id.size() - std::min(config_.job_id.size(), kIdTail));
  return config_.socket_directory + "/" + tail + ".n" + node.ToString();
}

base::Result<proto::Bootstrap> JobCluster::MakeBootstrap(base::NodeIndex node) {
  ASSIGN_OR_RETURN(const net::NodeCredentials credentials, ca_->Issue(NodeName(node)));
  proto::Bootstrap bootstrap;
  bootstrap.set_job_id(config_.job_id);
  bootstrap.set_job_name(config_.job_name);
  bootstrap.add_coordinators(listener_->endpoint().ToString());
  bootstrap.set_node(node.value());
  bootstrap.set_ca_certificate(credentials.ca_certificate);
  bootstrap.set_certificate(credentials.certificate);
  bootstrap.set_key(std::string(credentials.key.view()));
  bootstrap.set_host(HostOf(node));
  bootstrap.set_slots(config_.slots[static_cast<size_t>(node.value())]);
  bootstrap.set_jobs_root(config_.jobs_root);
  bootstrap.set_socket_directory(SocketDirectoryOf(node));
  bootstrap.set_color_stdout(config_.color_stdout);
  bootstrap.set_color_stderr(config_.color_stderr);
  return bootstrap;
}

base::Status JobCluster::StartAgent(base::NodeIndex node) {
  const std::string sockets = SocketDirectoryOf(node);
  if (::mkdir(sockets.c_str(), 0700) != 0 && errno != EEXIST) {
    return base::ErrnoStatus(errno, "make folder " + sockets);
  }
  std::error_code error;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return base::ErrnoStatus(error.value(), "find the program of this process");
  ASSIGN_OR_RETURN(const proto::Bootstrap bootstrap, MakeBootstrap(node));
  ASSIGN_OR_RETURN(const base::UniqueFd input, PipeWith(bootstrap));
  process::SpawnSpec spawn;
  spawn.name = "agent-" + node.ToString();
  spawn.arguments = {self, "agent"};
  spawn.environment = topology::ToBlock(config_.environment);
  spawn.fds = {{input.get(), STDIN_FILENO}, {STDERR_FILENO, STDERR_FILENO}};
  ASSIGN_OR_RETURN(agents_[node], deps_.node.processes().Spawn(
                                      std::move(spawn), [this, node](const process::Exit& exit) {
                                        OnAgentExited(node, exit);
                                      }));
  return base::OkStatus();
}

/// Its connection tells the rest; but one that dies before it has joined has none.
void JobCluster::OnAgentExited(base::NodeIndex node, const process::Exit& exit) {
  (void)::rmdir(SocketDirectoryOf(node).c_str());
  CheckAllExited();
  if (finishing_ || coordinator_->state().phase == elastic::MembershipPhase::kFormed) return;
  Fail(base::UnavailableError("the agent of node " + node.ToString() +
                              " ended before it had joined: " + exit.ToString()));
}

void JobCluster::Fail(const base::Status& why) {
  if (std::exchange(failed_, true) || finishing_) return;
  deps_.delegate.OnClusterFailed(why);
}

// ------------------------------------------------------------------------------- from the coordinator

proto::Welcome JobCluster::MakeWelcome() const {
  proto::Welcome welcome;
  *welcome.mutable_job() = config_.job;
  for (const std::string& word : config_.arguments) welcome.add_arguments(word);
  welcome.set_working_directory(config_.working_directory);
  return welcome;
}

void JobCluster::OnFormed(const std::vector<JobNode>& nodes) {
  const proto::Gang& gang = config_.job.spec().gang();
  world_.role = gang.role();
  world_.master_address =
      gang.has_master_address() ? gang.master_address() : nodes[0].facts.addresses.front();
  world_.master_port = gang.has_master_port() ? gang.master_port() : nodes[0].master_port;
  FormedCluster cluster;
  proto::World message;
  for (const JobNode& node : nodes) {
    world_.nodes.push_back({.host = node.facts.host, .slots = node.facts.slots});
    proto::WorldNode& wire = *message.add_nodes();
    wire.set_host(node.facts.host);
    wire.set_slots(node.facts.slots);
    cluster.node_of_rank.insert(cluster.node_of_rank.end(), static_cast<size_t>(node.facts.slots),
                                node.ranks);
    cluster.host_of_rank.insert(cluster.host_of_rank.end(), static_cast<size_t>(node.facts.slots),
                                node.facts.host);
  }
  message.set_master_address(world_.master_address);
  message.set_master_port(world_.master_port);
  message.set_role(world_.role);
  coordinator_->SendWorld(message);
  for (int node = 1; node < static_cast<int>(nodes.size()); ++node) {
    coordinator_->SendOutputCredit(base::NodeIndex(node), kOutputCredit);
  }
  cluster.world = world_;
  deps_.delegate.OnClusterFormed(std::move(cluster));
}

void JobCluster::OnFormationFailed(const base::Status& why) { Fail(why); }

void JobCluster::OnNodeLost(base::NodeIndex node, const base::Status& why) {
  std::vector<base::Rank> ranks;
  for (const topology::RankPlace& place : topology::PlaceRanks(world_)) {
    if (place.node == node) ranks.push_back(place.rank);
  }
  deps_.delegate.OnNodeLost(node, ranks, why);
}

void JobCluster::OnOutput(base::NodeIndex node, const proto::Output& output) {
  const auto give_back = [this, node](size_t bytes) {
    return [this, node, bytes] { coordinator_->SendOutputCredit(node, bytes); };
  };
  if (!output.standard_output().empty()) {
    deps_.node.output().Forward(false, output.standard_output(),
                                give_back(output.standard_output().size()));
  }
  if (!output.standard_error().empty()) {
    deps_.node.output().Forward(true, output.standard_error(),
                                give_back(output.standard_error().size()));
  }
  if (output.dropped_lines() > 0) {
    deps_.node.Say(std::to_string(output.dropped_lines()) + " lines of node " + node.ToString() +
                   " are not shown, since the console is too slow; that node's files have them");
  }
}

void JobCluster::Finish(const proto::JobOver& over, std::function<void()> done) {
  finishing_ = true;
  done_ = std::move(done);
  coordinator_->Finish(over, [this] {
    farewell_said_ = true;
    give_up_ = deps_.loop.After(kExitTime, [this] { std::exchange(done_, {})(); });
    CheckAllExited();
  });
}

/// Those that do not are killed with us.
void JobCluster::CheckAllExited() {
  if (!done_ || !farewell_said_) return;
  for (const auto& [node, agent] : agents_) {
    if (agent != nullptr && !agent->exit()) return;
  }
  give_up_.reset();
  std::exchange(done_, {})();
}

}  // namespace lockstep::launcher
