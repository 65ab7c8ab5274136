// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_JOB_CLUSTER_H_
#define LOCKSTEP_LAUNCHER_AGENT_JOB_CLUSTER_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "launcher/agent/far_gang.h"
#include "launcher/agent/node_runtime.h"
#include "launcher/cluster/coordinator.h"
#include "launcher/cluster/questions.h"
#include "launcher/jobs/process_identity.h"
#include "launcher/placement/agent_starter.h"
#include "launcher/placement/node_plan.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/event/loop.h"
#include "runtime/net/job_ca.h"
#include "runtime/net/job_token.h"
#include "runtime/net/tcp_network.h"
#include "runtime/net/transport.h"
#include "runtime/proto/agent.pb.h"
#include "runtime/proto/control.pb.h"
#include "runtime/proto/job_state.pb.h"
#include "runtime/topology/world.h"

namespace lockstep::launcher {

/// A job's nodes once all are there.
struct FormedCluster {
  topology::WorldSpec world;
  base::NodeIndex self{-1};               // this agent's own place; -1 = it runs no ranks
  std::vector<NodeRanks*> node_of_rank;   // indexed by rank
  std::vector<std::string> host_of_rank;  // likewise
  std::vector<proto::JobNodeFacts> nodes;
};

/// Whom a job's cluster tells. All calls come on the loop's thread.
class ClusterDelegate {
 public:
  virtual ~ClusterDelegate() = default;
  virtual void OnClusterFormed(FormedCluster cluster) = 0;
  virtual void OnClusterFailed(const base::Status& why) = 0;
  virtual void OnNodeLost(base::NodeIndex node, const std::vector<base::Rank>& ranks,
                          const base::Status& why) = 0;
  /// What a verb has asked another node's agent. Calls `answer` once.
  virtual void Answer(const proto::ControlRequest& request, OnAnswer answer) = 0;
};

/// How agents prove to the coordinator that they belong to the job, and how it is reached.
struct ClusterDoor {
  /// Either agents that we start are handed certificates of the job's own CA (nothing is set), or
  /// they come with the token's key, or `plain`: without anything.
  std::optional<net::JobKey> key;
  bool plain = false;
  std::string meeting_id;   // what a Hello must name; "" = the job's id
  std::string listen_host;  // "" = every address of this machine
  net::PortRange ports{0, 0};
};

/// The nodes of a job that has several, where its coordinator is: makes the job's keys, has the
/// other agents started, listens for them, and brings their ranks and their output to this agent.
/// One per such job, owned by the agent of `lockstep run`. Confined to the loop's thread.
class JobCluster final : public CoordinatorDelegate {
 public:
  struct Config {
    std::string job_id;
    std::string job_name;
    std::string jobs_root;  // the folder of job directories here
    HostIdentity here;
    std::vector<PlannedNode> nodes;  // in rank order
    ClusterDoor door;
    elastic::LeaseConfig lease;
    base::Duration join_deadline = std::chrono::seconds(60);
    proto::TrainingJob job;              // complete and valid
    std::vector<std::string> arguments;  // of every rank
    std::string working_directory;       // of `lockstep run`
    std::string log_directory;           // of the ranks' files on all nodes; "" = by jobs_root
    std::string program_hash;            // as elastic::NodeFacts has it
    proto::Bootstrap program;            // its fields about the program and where it runs
    bool color_stdout = false;
    bool color_stderr = false;
  };
  struct Deps {
    const base::Clock& clock;
    event::Loop& loop;
    NodeRuntime& node;  // this agent's own
    NodeNews& news;
    ClusterDelegate& delegate;
  };

  /// Makes keys and listens. `starter`: null when the other agents come by themselves. Errors:
  /// errno's code; Internal - no randomness; InvalidArgument - the job is longer than what an
  /// agent can be told; as Network::Listen.
  static base::Result<std::unique_ptr<JobCluster>> Create(Config config,
                                                          std::unique_ptr<AgentStarter> starter,
                                                          Deps deps);
  JobCluster(const JobCluster&) = delete;
  JobCluster& operator=(const JobCluster&) = delete;

  /// Has the other agents started; OnClusterFormed or OnClusterFailed follows. `master_port` is
  /// claimed on this machine.
  void Start(int master_port);
  /// Ranks of this round are about to be started, or go on as those that are left.
  void BeginRound(base::Round round) { coordinator_->BeginRound(round); }
  /// The job is over: tells the agents, waits for them (bounded), and calls `done`.
  void Finish(const proto::JobOver& over, std::function<void()> done);

  /// Passes a verb's request on to the agent of another node; its answer or why there is none.
  void Ask(base::NodeIndex node, const proto::ControlRequest& request, OnAnswer answer);
  /// The ranks of other nodes, for as long as this lives.
  FarLooks& far_looks() { return far_gang_; }
  FarPaces& far_paces() { return far_gang_; }
  /// The same for those who watch: a look of theirs cuts none of the others' short.
  FarLooks& live_looks() { return live_gang_; }
  /// The nodes of `status`, and where each of its ranks is.
  void Describe(proto::StatusReply& status) const;

  proto::Welcome MakeWelcome() const override;
  void OnFormed(const std::vector<JobNode>& nodes) override;
  void OnFormationFailed(const base::Status& why) override;
  void OnRefused(const base::Status& why) override;
  void OnNodeLost(base::NodeIndex node, const base::Status& why) override;
  void OnOutput(base::NodeIndex node, const proto::Output& output) override;
  void OnLeftEarly(base::NodeIndex node) override;
  void Answer(const proto::ControlRequest& request, OnAnswer answer) override {
    deps_.delegate.Answer(request, std::move(answer));
  }
  void OnCards(const proto::CardTable& table) override { deps_.node.OnCards(table); }
  void OnStanding(base::NodeIndex node, bool stands) override {
    far_gang_.OnStanding(node, stands);
  }

 private:
  JobCluster(Config config, std::unique_ptr<AgentStarter> starter, Deps deps);
  base::Status CheckWelcomeFits() const;
  base::Status Open();
  base::Result<std::unique_ptr<net::Transport>> MakeTransport();
  base::Result<std::vector<std::string>> Coordinators() const;
  base::Status StartOthers();
  base::Result<proto::Bootstrap> MakeBootstrap(base::NodeIndex node);
  base::Status CheckDescriptors() const;
  void JoinHere(int master_port);
  void TellWhoIsHere();
  void Fail(const base::Status& why);
  void JoinNetworkHere(const JobNode& node, const std::string& secret);
  std::string LogFolderOf(const JobNode& node) const;

  Config config_;  // constant once the transport has its key
  const Deps deps_;
  topology::WorldSpec world_;
  std::vector<proto::JobNodeFacts> nodes_;  // once formed
  bool formed_ = false;
  bool failed_ = false;
  bool finishing_ = false;
  int told_here_ = -1;                   // nodes that were there when it was last told
  std::set<std::string> refusals_told_;  // at most kRefusalsTold
  event::Registration progress_;
  FarGang far_gang_;
  FarGang live_gang_;

  // Destroyed in the opposite order, so that nobody calls what is gone.
  std::unique_ptr<net::JobCa> ca_;
  std::unique_ptr<net::TcpNetwork> network_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<net::Listener> listener_;
  std::unique_ptr<AgentStarter> starter_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_JOB_CLUSTER_H_
