// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_JOB_CLUSTER_H_
#define LOCKSTEP_LAUNCHER_AGENT_JOB_CLUSTER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "launcher/agent/node_runtime.h"
#include "launcher/cluster/coordinator.h"
#include "launcher/jobs/process_identity.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/event/loop.h"
#include "runtime/net/job_ca.h"
#include "runtime/net/tcp_network.h"
#include "runtime/process/processes.h"
#include "runtime/proto/agent.pb.h"
#include "runtime/topology/environment.h"
#include "runtime/topology/world.h"

namespace lockstep::launcher {

/// A job's nodes once all are there.
struct FormedCluster {
  topology::WorldSpec world;
  std::vector<NodeRanks*> node_of_rank;   // indexed by rank
  std::vector<std::string> host_of_rank;  // likewise
};

/// Whom a job's cluster tells. All calls come on the loop's thread.
class ClusterDelegate {
 public:
  virtual ~ClusterDelegate() = default;
  virtual void OnClusterFormed(FormedCluster cluster) = 0;
  virtual void OnClusterFailed(const base::Status& why) = 0;
  virtual void OnNodeLost(base::NodeIndex node, const std::vector<base::Rank>& ranks,
                          const base::Status& why) = 0;
  virtual proto::ControlReply AnswerNow(const proto::ControlRequest& request) = 0;
};

/// The nodes of a job that has several, where its coordinator is: makes the job's keys, starts the
/// other agents, listens for them, and brings their ranks and their output to this agent. One per
/// such job, owned by its first agent, whose node is node 0. Confined to the loop's thread.
class JobCluster final : public CoordinatorDelegate {
 public:
  struct Config {
    std::string job_id;
    std::string job_name;
    HostIdentity here;
    std::vector<int> slots;  // of each node
    elastic::LeaseConfig lease;
    base::Duration join_deadline = std::chrono::seconds(60);
    proto::TrainingJob job;              // complete and valid
    std::vector<std::string> arguments;  // of every rank
    std::string working_directory;       // of `lockstep run`
    topology::Environment environment;   // of agents on this machine
    std::string jobs_root;
    std::string socket_directory;
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

  /// Makes keys and listens. Errors: errno's code; Internal - no randomness.
  static base::Result<std::unique_ptr<JobCluster>> Create(Config config, Deps deps);
  JobCluster(const JobCluster&) = delete;
  JobCluster& operator=(const JobCluster&) = delete;

  /// Starts the other agents; OnClusterFormed or OnClusterFailed follows.
  void Start(int master_port);
  /// The job is over: tells the agents, waits for them (bounded), and calls `done`.
  void Finish(const proto::JobOver& over, std::function<void()> done);

  proto::Welcome MakeWelcome() const override;
  void OnFormed(const std::vector<JobNode>& nodes) override;
  void OnFormationFailed(const base::Status& why) override;
  void OnNodeLost(base::NodeIndex node, const base::Status& why) override;
  void OnOutput(base::NodeIndex node, const proto::Output& output) override;
  proto::ControlReply Answer(const proto::ControlRequest& request) override {
    return deps_.delegate.AnswerNow(request);
  }

 private:
  JobCluster(Config config, Deps deps);
  base::Status Open();
  base::Status StartAgent(base::NodeIndex node);
  base::Result<proto::Bootstrap> MakeBootstrap(base::NodeIndex node);
  void OnAgentExited(base::NodeIndex node, const process::Exit& exit);
  void Fail(const base::Status& why);
  void CheckAllExited();
  std::string HostOf(base::NodeIndex node) const;
  std::string SocketDirectoryOf(base::NodeIndex node) const;

  const Config config_;
  const Deps deps_;
  topology::WorldSpec world_;
  bool failed_ = false;
  bool finishing_ = false;
  bool farewell_said_ = false;
  std::function<void()> done_;
  event::Registration give_up_;

  // Destroyed in the opposite order, so that nobody calls what is gone.
  std::unique_ptr<net::JobCa> ca_;
  std::unique_ptr<net::TcpNetwork> network_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<net::Listener> listener_;
  std::map<base::NodeIndex, std::unique_ptr<process::Process>> agents_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_JOB_CLUSTER_H_
