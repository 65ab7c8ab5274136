// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/job_cluster.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <utility>

#include "launcher/agent/job_events.h"
#include "launcher/agent/rank_world.h"
#include "launcher/cluster/protocol.h"
#include "launcher/verdict/clean_text.h"
#include "launcher/version.h"
#include "runtime/net/endpoint.h"
#include "runtime/net/frame.h"
#include "runtime/net/hmac.h"
#include "runtime/net/own_addresses.h"
#include "runtime/net/tls_transport.h"
#include "runtime/process/descriptor_limit.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kPatience = 3s;   // before a user is told what is waited for
constexpr base::Duration kTellEvery = 1s;  // from then on, and only what is new
constexpr size_t kRefusalsTold = 32;       // of strangers there may be many
constexpr base::Duration kNodeAnswerTime = 3s;

/// Around a Welcome in its message: the node's number, two times, tags and lengths.
constexpr size_t kWelcomeFrameBytes = 64;

/// What a node may have on its way to the console: all nodes together at most what the second says,
/// while there are fewer than 512. The more it is the longer each of those on the way (two agents,
/// the console's thread and reader) may wait for a processor. No more than kQueuedBytesMax
/// (questions.cc): a node whose output waits still answers.
constexpr uint64_t kOutputCreditMax = uint64_t{3} << 19;
constexpr uint64_t kOutputCreditTotal = uint64_t{32} << 20;
constexpr uint64_t kOutputCreditMin = uint64_t{64} << 10;

uint64_t OutputCredit(size_t node_count) {
  return std::clamp(kOutputCreditTotal / node_count, kOutputCreditMin, kOutputCreditMax);
}

}  // namespace

base::Result<std::unique_ptr<JobCluster>> JobCluster::Create(Config config,
                                                             std::unique_ptr<AgentStarter> starter,
                                                             Deps deps) {
  std::unique_ptr<JobCluster> cluster(new JobCluster(std::move(config), std::move(starter), deps));
  RETURN_IF_ERROR(cluster->Open());
  return cluster;
}

JobCluster::JobCluster(Config config, std::unique_ptr<AgentStarter> starter, Deps deps)
    : config_(std::move(config)),
      deps_(deps),
      far_gang_([this](base::NodeIndex node, const proto::ControlRequest& request,
                       OnAnswer answer) { Ask(node, request, std::move(answer)); },
                deps.loop),
      live_gang_([this](base::NodeIndex node, const proto::ControlRequest& request,
                        OnAnswer answer) { Ask(node, request, std::move(answer)); },
                 deps.loop),
      far_stacks_([this](base::NodeIndex node, const proto::ControlRequest& request,
                         OnAnswer answer) { Ask(node, request, std::move(answer)); },
                  deps.loop),
      starter_(std::move(starter)) {}

/// What no agent could be told would be found out when all have been started, as a node that is
/// lost.
base::Status JobCluster::CheckWelcomeFits() const {
  const proto::Welcome welcome = MakeWelcome();
  const size_t bytes = welcome.ByteSizeLong() + kWelcomeFrameBytes;
  if (bytes <= net::kFramePayloadBytesMax) return base::OkStatus();
  size_t of_arguments = 0;
  for (const std::string& word : welcome.arguments()) of_arguments += word.size();
  return base::InvalidArgumentError(
      "tell other nodes what to run: job and arguments are " + std::to_string(bytes) +
      " bytes long (" + std::to_string(welcome.arguments_size()) + " arguments: " +
      std::to_string(of_arguments) + "), and the limit for a job of several nodes is " +
      std::to_string(net::kFramePayloadBytesMax) + "; put long lists into a file");
}

base::Status JobCluster::Open() {
  RETURN_IF_ERROR(CheckWelcomeFits());
  ASSIGN_OR_RETURN(std::unique_ptr<net::Transport> transport, MakeTransport());
  network_ =
      std::make_unique<net::TcpNetwork>(std::move(transport), net::Channel::Options{}, deps_.loop);
  const bool simulated = config_.job.spec().placement().has_simulated();
  const ClusterDoor& door = config_.door;
  coordinator_ = std::make_unique<Coordinator>(
      Coordinator::Config{.job_id = door.meeting_id.empty() ? config_.job_id : door.meeting_id,
                          .membership = {.node_count = static_cast<int>(config_.nodes.size()),
                                         .lease = config_.lease.lease,
                                         .join_deadline = config_.join_deadline,
                                         .hosts_may_repeat = simulated},
                          .lease = config_.lease},
      Coordinator::Deps{deps_.loop, deps_.news, *this});
  ASSIGN_OR_RETURN(listener_, network_->Listen({.host = door.listen_host,
                                                .ports = door.ports,
                                                .connections_max = 2 * config_.nodes.size() + 64,
                                                .handshakes_max = Coordinator::HandshakesMax(
                                                    static_cast<int>(config_.nodes.size()))},
                                               [this](std::unique_ptr<net::Connection> connection) {
                                                 coordinator_->Accept(std::move(connection));
                                               }));
  return base::OkStatus();
}

base::Result<std::unique_ptr<net::Transport>> JobCluster::MakeTransport() {
  ClusterDoor& door = config_.door;
  if (door.plain) return std::unique_ptr<net::Transport>(std::make_unique<net::PlainTransport>());
  if (door.key)
    return std::unique_ptr<net::Transport>(
        net::TlsTransport::Create(*std::exchange(door.key, std::nullopt)));
  ASSIGN_OR_RETURN(ca_, net::JobCa::Create(config_.job_id, deps_.clock));
  ASSIGN_OR_RETURN(const net::NodeCredentials own, ca_->Issue(std::string(kCoordinatorName)));
  ASSIGN_OR_RETURN(std::unique_ptr<net::TlsTransport> transport, net::TlsTransport::Create(own));
  return std::unique_ptr<net::Transport>(std::move(transport));
}

void JobCluster::Start(int master_port) {
  coordinator_->Begin();
  if (const base::Status enough = CheckDescriptors(); !enough.ok()) return Fail(enough);
  JoinHere(master_port);
  if (starter_ == nullptr) {
    progress_ = deps_.loop.After(kPatience, [this] { TellWhoIsHere(); });
    return;
  }
  if (const base::Status started = StartOthers(); !started.ok()) Fail(started);
}

/// A listener without a free descriptor turns away whoever comes, and that node would be blamed.
base::Status JobCluster::CheckDescriptors() const {
  const size_t here =
      static_cast<size_t>(std::count_if(config_.nodes.begin(), config_.nodes.end(),
                                        [](const PlannedNode& node) { return node.is_here(); }));
  const size_t each = 1 + (starter_ == nullptr ? 0 : starter_->DescriptorsOfEach());
  return process::CheckDescriptorsLeft(
      "hold the agents of " + std::to_string(config_.nodes.size()) + " nodes together",
      (config_.nodes.size() - here) * each);
}

/// This agent's own node, if it is one.
void JobCluster::JoinHere(int master_port) {
  const auto here = std::find_if(config_.nodes.begin(), config_.nodes.end(),
                                 [](const PlannedNode& node) { return node.is_here(); });
  if (here == config_.nodes.end()) return;
  elastic::NodeFacts self;
  self.host = config_.here.host;
  self.boot_id = config_.here.boot_id;
  self.slots = here->slots;
  self.wanted = base::NodeIndex(static_cast<int>(here - config_.nodes.begin()));
  self.lockstep_version = std::string(kVersion);
  self.program_hash = config_.program_hash;
  if (!here->address.empty()) self.addresses = {here->address};
  coordinator_->JoinLocal(std::move(self), master_port, deps_.node.ranks());
}

/// Nobody but the users of the other nodes can make them come.
void JobCluster::TellWhoIsHere() {
  if (formed_ || failed_ || finishing_) return;
  const int count = static_cast<int>(config_.nodes.size());
  const int here = static_cast<int>(coordinator_->state().nodes.size());
  if (std::exchange(told_here_, here) != here) {
    deps_.node.Say(FormingText(here, count));
    coordinator_->SendForming();
  }
  progress_ = deps_.loop.After(kTellEvery, [this] { TellWhoIsHere(); });
}

base::Status JobCluster::StartOthers() {
  std::vector<AgentToStart> agents;
  for (int index = 0; index < static_cast<int>(config_.nodes.size()); ++index) {
    if (config_.nodes[static_cast<size_t>(index)].is_here()) continue;
    const base::NodeIndex node(index);
    ASSIGN_OR_RETURN(proto::Bootstrap bootstrap, MakeBootstrap(node));
    agents.push_back({node, std::move(bootstrap)});
  }
  starter_->Start(std::move(agents),
                  [this](base::NodeIndex, const base::Status& why) { Fail(why); });
  return base::OkStatus();
}

base::Result<proto::Bootstrap> JobCluster::MakeBootstrap(base::NodeIndex node) {
  ASSIGN_OR_RETURN(const net::NodeCredentials credentials, ca_->Issue(NodeName(node)));
  ASSIGN_OR_RETURN(const std::vector<std::string> coordinators, Coordinators());
  proto::Bootstrap bootstrap = config_.program;
  bootstrap.set_job_id(config_.job_id);
  bootstrap.set_job_name(config_.job_name);
  for (const std::string& coordinator : coordinators) bootstrap.add_coordinators(coordinator);
  bootstrap.set_node(node.value());
  bootstrap.set_ca_certificate(credentials.ca_certificate);
  bootstrap.set_certificate(credentials.certificate);
  bootstrap.set_key(std::string(credentials.key.view()));
  bootstrap.set_slots(config_.nodes[static_cast<size_t>(node.value())].slots);
  bootstrap.set_color_stdout(config_.color_stdout);
  bootstrap.set_color_stderr(config_.color_stderr);
  return bootstrap;
}

/// By which other machines reach our listener, each to be tried.
base::Result<std::vector<std::string>> JobCluster::Coordinators() const {
  const net::Endpoint listening = listener_->endpoint();
  if (!config_.door.listen_host.empty()) return std::vector<std::string>{listening.ToString()};
  ASSIGN_OR_RETURN(std::vector<std::string> hosts, net::OwnAddresses());
  if (hosts.empty()) {
    return base::FailedPreconditionError(
        "this machine has no address that other machines could reach it by: every interface is "
        "down, or has a loopback or link-local address alone (see `ip address`)");
  }
  for (std::string& host : hosts) host = net::Endpoint{host, listening.port}.ToString();
  return hosts;
}

void JobCluster::Fail(const base::Status& why) {
  if (std::exchange(failed_, true) || finishing_) return;
  deps_.delegate.OnClusterFailed(why);
}

// ---------------------------------------------------------------------------- from the coordinator

proto::Welcome JobCluster::MakeWelcome() const {
  proto::Welcome welcome;
  welcome.set_job_id(config_.job_id);
  welcome.set_job_name(config_.job_name);
  *welcome.mutable_job() = config_.job;
  welcome.mutable_job()->mutable_spec()->mutable_program()->clear_args();
  for (const std::string& word : config_.arguments) welcome.add_arguments(word);
  welcome.set_working_directory(config_.working_directory);
  return welcome;
}

void JobCluster::OnFormed(const std::vector<JobNode>& nodes) {
  formed_ = true;
  if (starter_ != nullptr) starter_->OnAllJoined();
  FormedCluster cluster;
  proto::World message;
  std::vector<topology::Node> members;
  for (const JobNode& node : nodes) {
    members.push_back({.host = node.facts.host, .slots = node.facts.slots});
    proto::WorldNode& wire = *message.add_nodes();
    wire.set_host(node.facts.host);
    wire.set_slots(node.facts.slots);
    proto::JobNodeFacts& facts = nodes_.emplace_back();
    facts.set_host(node.facts.host);
    facts.set_slots(node.facts.slots);
    facts.set_log_folder(LogFolderOf(node));
    // Each node is sent all of them.
    if (nodes_.size() == 1 || facts.log_folder() != nodes_[nodes_.size() - 2].log_folder()) {
      wire.set_log_folder(facts.log_folder());
    }
    cluster.node_of_rank.insert(cluster.node_of_rank.end(), static_cast<size_t>(node.facts.slots),
                                node.ranks);
    cluster.host_of_rank.insert(cluster.host_of_rank.end(), static_cast<size_t>(node.facts.slots),
                                node.facts.host);
  }
  world_ = WorldOf(config_.job.spec().gang(), std::move(members),
                   {.address = nodes[0].facts.addresses.front(), .port = nodes[0].master_port});
  message.set_master_address(world_.master_address);
  message.set_master_port(world_.master_port);
  message.set_role(world_.role);
  std::array<uint8_t, kJobSecretBytes> secret{};
  net::FillRandom(secret);
  message.set_secret(secret.data(), secret.size());
  ::explicit_bzero(secret.data(), secret.size());
  coordinator_->SendWorld(message);
  for (int node = 0; node < static_cast<int>(nodes.size()); ++node) {
    const base::NodeIndex index(node);
    if (nodes[static_cast<size_t>(node)].ranks == &deps_.node.ranks()) {
      cluster.self = index;
      JoinNetworkHere(nodes[static_cast<size_t>(node)], message.secret());
    } else {
      coordinator_->SendOutputCredit(index, OutputCredit(nodes.size()));
    }
  }
  std::string& told = *message.mutable_secret();
  ::explicit_bzero(told.data(), told.size());
  far_gang_.SetWorld(world_, cluster.self);
  live_gang_.SetWorld(world_, cluster.self);
  far_stacks_.SetWorld(world_);
  cluster.world = world_;
  cluster.nodes = nodes_;
  deps_.delegate.OnClusterFormed(std::move(cluster));
}

/// For the ranks of this agent's own node.
void JobCluster::JoinNetworkHere(const JobNode& node, const std::string& secret) {
  const std::string& address = node.facts.addresses.front();
  deps_.node.JoinNetwork(
      {.secret = net::Secret(secret),
       .listen_address = node.own_host.empty() ? address : node.own_host,
       .address = address,
       .send_cards = [this](const proto::Cards& cards) { coordinator_->TakeLocalCards(cards); }});
}

std::string JobCluster::LogFolderOf(const JobNode& node) const {
  if (!config_.log_directory.empty()) return config_.log_directory;
  return (node.jobs_root.empty() ? config_.jobs_root : node.jobs_root) + "/" + config_.job_id;
}

void JobCluster::OnFormationFailed(const base::Status& why) { Fail(why); }

/// Agents that we have started tell it themselves, on the same terminal.
void JobCluster::OnRefused(const base::Status& why) {
  if (starter_ != nullptr || finishing_ || refusals_told_.size() >= kRefusalsTold) return;
  const std::string text = CleanText(why.ToString());
  if (refusals_told_.insert(text).second) deps_.node.Say("refused: " + text);
}

void JobCluster::OnNodeLost(base::NodeIndex node, const base::Status& why) {
  far_gang_.OnNodeLost(node);
  live_gang_.OnNodeLost(node);
  if (starter_ != nullptr) starter_->OnLost(node);
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
  deps_.node.SayDropped(output.dropped_lines(), node, output.files_lack_some());
}

/// One that came by itself has a console of its own.
void JobCluster::OnLeftEarly(base::NodeIndex node) {
  if (starter_ == nullptr) return;
  const proto::JobNodeFacts& facts = nodes_[static_cast<size_t>(node.value())];
  deps_.node.Say(LeftEarlyText(node, CleanText(facts.host()), CleanText(facts.log_folder())));
}

void JobCluster::Ask(base::NodeIndex node, const proto::ControlRequest& request, OnAnswer answer) {
  coordinator_->Ask(node, request, kNodeAnswerTime,
                    [answer = std::move(answer)](base::Result<proto::ControlReply> reply) {
                      answer(reply.ok() ? *std::move(reply) : Refusal(reply.status()));
                    });
}

void JobCluster::Describe(proto::StatusReply& status) const {
  for (proto::NodeStatus& node : coordinator_->DescribeNodes()) {
    const auto index = static_cast<size_t>(node.node());
    if (index < nodes_.size()) node.set_log_folder(nodes_[index].log_folder());
    // Before it has joined: as it was named.
    if (node.host().empty()) node.set_host(config_.nodes[index].host);
    *status.add_nodes() = std::move(node);
  }
  const std::vector<topology::RankPlace> places = topology::PlaceRanks(world_);
  for (proto::RankStatus& rank : *status.mutable_ranks()) {
    const auto index = static_cast<size_t>(rank.rank());
    if (index < places.size()) rank.set_node(places[index].node.value());
  }
}

void JobCluster::Finish(const proto::JobOver& over, std::function<void()> done) {
  finishing_ = true;
  // Whoever comes from now on is of a later job, and is to find that one's coordinator.
  listener_.reset();
  coordinator_->Finish(over, [this, done = std::move(done)]() mutable {
    if (starter_ == nullptr) return done();
    starter_->Finish(std::move(done));
  });
}

}  // namespace lockstep::launcher
