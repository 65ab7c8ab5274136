// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_NODE_RUNTIME_H_
#define LOCKSTEP_LAUNCHER_AGENT_NODE_RUNTIME_H_

#include <sys/resource.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launcher/agent/job_record.h"
#include "launcher/agent/node_network.h"
#include "launcher/agent/node_stacks.h"
#include "launcher/agent/output_service.h"
#include "launcher/agent/rank_processes.h"
#include "launcher/agent/rank_setup.h"
#include "launcher/attach/attach_server.h"
#include "launcher/attach/node_cards.h"
#include "launcher/diagnosis/rank_looks.h"
#include "launcher/mpi/mpi_server.h"
#include "launcher/mpi/program_image.h"
#include "launcher/mpi/watch_shim.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/event/loop.h"
#include "runtime/net/port_claim.h"
#include "runtime/process/console_sink.h"
#include "runtime/process/output_pump.h"
#include "runtime/process/real_processes.h"
#include "runtime/process/stdin_forwarder.h"
#include "runtime/proto/event.pb.h"
#include "runtime/proto/job.pb.h"
#include "runtime/telemetry/event_log.h"
#include "runtime/topology/environment.h"
#include "runtime/topology/world.h"

namespace lockstep::launcher {

/// Everything that one node needs to run ranks of a job: their processes, environments, output,
/// sockets and log files, and the node's event log. One per agent, owned by it, for all rounds.
/// What to do with the ranks comes in by ranks(); what becomes of them goes to a NodeNews. Confined
/// to the loop's thread.
class NodeRuntime final : public RankHooks {
 public:
  struct Config {
    proto::JobSpec spec;                 // complete and valid
    std::vector<std::string> arguments;  // of every rank
    topology::Environment environment;   // which ranks inherit
    std::string job_id;
    std::string events_path;
    std::string host;
    std::string boot_id;
    std::string socket_directory;  // private to the user, short
    int local_rank_count = 1;      // on this node, about: for the sizes of pipes
    bool reads_stdin = true;       // this process has the standard input that a rank may want
    process::ConsoleSink* console = nullptr;  // null: this process's standard output and error
    bool color_stdout = false;
    bool color_stderr = false;
    bool console_drops = false;  // a slow one costs lines and not the ranks' time
    bool all_ranks_here = true;  // the job has no other node
  };
  struct Deps {
    const base::Clock& clock;
    event::Loop& loop;
    JobRecord& record;
    NodeNews& news;
  };

  /// Opens everything that can fail before a rank starts.
  /// Errors: ResourceExhausted - a limit, named; PermissionDenied - a socket's folder cannot be
  /// written; else errno's code.
  static base::Result<std::unique_ptr<NodeRuntime>> Create(Config config, Deps deps);
  NodeRuntime(const NodeRuntime&) = delete;
  NodeRuntime& operator=(const NodeRuntime&) = delete;

  /// A port for MASTER_PORT, free on this node and kept for the job.
  base::Result<int> ClaimMasterPort();
  /// Before the first rank is spawned: who is where, and which of the nodes this is.
  void SetWorld(topology::WorldSpec world, base::NodeIndex self);

  /// Of a job of several nodes, before the first rank is spawned: how they reach each other.
  void JoinNetwork(NodeNetwork network);
  /// From the coordinator, for ranks that wait for others.
  void OnCards(const proto::CardTable& table) {
    if (cards_ != nullptr) cards_->OnTable(table);
  }

  /// Which of the job's nodes this is.
  base::NodeIndex self() const { return self_; }
  NodeRanks& ranks() { return *ranks_; }
  process::OutputPump& output() { return *output_; }
  /// At the job's end: as OutputPump::Flush, and says what is in no file because of the cap.
  void FlushOutput(base::Duration timeout, std::function<void(const base::Status&)> done);
  /// For those who read the ranks' files from elsewhere.
  OutputService& output_service() { return output_service_; }
  /// For those who ask from elsewhere where the ranks stand.
  NodeStacks& stacks() { return *stacks_; }
  /// For children that are no ranks: a process can have one of these.
  process::Processes& processes() { return *processes_; }
  /// Null when no rank reads standard input.
  process::StdinForwarder* stdin_forwarder() { return stdin_.get(); }
  /// As AttachServer has it: -1 of a rank that has not attached.
  int RecorderFd(base::Rank rank) const {
    return attach_ != nullptr ? attach_->RecorderFd(rank) : -1;
  }
  /// Where torch can be asked in a rank of this node, in the round that runs; empty: nowhere.
  topology::FlightFiles FlightFilesOf(base::Rank rank) const;
  /// This node's ranks of the round that runs, which have been spawned.
  std::vector<WatchedRank> RanksToWatch() const;
  /// False where calls of NCCL are in no ring here, and may be on other nodes.
  bool are_ranks_recorded() const { return watch_.trouble.empty(); }
  std::string containment() const { return processes_->containment(); }
  /// Whether the folder of the round's files could not be made.
  bool folder_failed() const { return folder_failed_; }

  /// Into the node's event log.
  void Log(base::Round round, proto::Event event) { events_->Append(round, std::move(event)); }
  void FlushEvents() { events_->Flush(); }
  /// Whether this node's log files have not kept all that its ranks wrote: they were full, gave old
  /// bytes up or could not be written.
  bool FilesLackSome() const { return files_lack_some_ || rotations_->HasGivenUp(); }
  /// That so many lines of a node's ranks were dropped; nothing for none. `files_lack_some`: there.
  void SayDropped(uint64_t lines, base::NodeIndex node, bool files_lack_some);
  /// A line of ours on the console.
  void Say(const std::string& text) { output_->Print("lockstep: " + text); }

  base::Status BeginRound(base::Round round, int restart_count) override;
  base::Result<PreparedSpawn> Prepare(const elastic::RankProcess& process) override;
  void OnRankSpawned(const elastic::RankProcess& process, pid_t pid) override;
  void OnRankSpawnFailed(const elastic::RankProcess& process, const base::Status& error) override;
  RankEnd OnRankExited(const elastic::RankProcess& process, pid_t pid,
                       const process::Exit& exit) override;
  void OnRanksSignalled(int signal, bool whole_tree,
                        const std::vector<elastic::RankProcess>& processes) override;
  void OnStopRequested(base::Duration grace) override {
    if (attach_ != nullptr) attach_->RequestStop(grace);
  }
  void OnSurvivorsGoOn(base::Round next, const std::vector<elastic::GoneRank>& gone) override;
  void OnRoundGone() override;

 private:
  NodeRuntime(Config config, Deps deps);
  base::Status Open();
  void RaiseFileLimit();
  base::Status OpenAttach();
  base::Status RestoreAttach();
  /// What the program is told and given because it calls an MPI.
  base::Status OpenMpi();
  /// Whose calls of which libraries are recorded.
  base::Status ChooseWatch(const ProgramImage& program, const topology::Environment& environment);
  /// Before the first round.
  void SayWhatIsNotWatched();
  base::Status BeginMpiRound();
  void OnMpiAbort(base::Rank rank, int code);
  /// What its call of MPI_Abort makes of a rank's end.
  elastic::RankExit ExitOf(base::Rank rank, const process::Exit& exit) const;
  base::Status BeginMeetings(base::Round round);
  void Log(proto::Event event) { Log(facts_.round, std::move(event)); }
  void OnOutputTrouble(process::OutputPump::Sink sink, const base::Status& why);
  void OnFileNotice(const process::FileNotice& notice);
  /// What is said of the output of several nodes names this one.
  std::string Here() const;
  RankFiles FilesOf(base::Rank rank) const;
  topology::Environment EnvironmentOf(const elastic::RankProcess& process, const MpiSeat& seat);
  RankEvidence EvidenceOf(base::Rank rank) const;
  const topology::RankPlace& PlaceOf(base::Rank rank) const {
    return places_[static_cast<size_t>(rank.value())];
  }

  Config config_;
  const Deps deps_;
  topology::WorldSpec world_;
  base::NodeIndex self_;
  std::vector<topology::RankPlace> places_;  // of every rank of the job
  topology::JobFacts facts_;
  rlimit rank_files_{};                        // limit of descriptors, as it was given to us
  std::map<base::Rank, WatchedRank> watched_;  // without their rings
  std::map<base::Rank, topology::FlightFiles> flight_files_;
  bool folder_failed_ = false;
  bool files_lack_some_ = false;  // but for what rotations have given up
  FarWatch watch_;                // with one node, too
  std::string unwatched_;         // a line that is to be said: why it cannot be
  std::map<base::Rank, elastic::RankProcess> mpi_ranks_;  // of the round, where `mpi_` serves them
  std::map<base::Rank, int> aborted_;                     // of these, with which code

  // Destroyed in the opposite order, so that nobody calls what is gone.
  std::optional<net::PortClaim> port_;
  std::unique_ptr<telemetry::EventLog> events_;
  std::unique_ptr<process::OutputPump> output_;
  std::unique_ptr<process::RealProcesses> processes_;
  std::unique_ptr<MpiServer> mpi_;  // null: the ranks need none
  std::unique_ptr<process::StdinForwarder> stdin_;
  std::optional<NodeNetwork> network_;    // of a job of several nodes
  std::unique_ptr<NodeCards> cards_;      // likewise
  std::unique_ptr<AttachServer> attach_;  // null when RestoreAttach() has failed
  std::unique_ptr<RankProcesses> ranks_;
  std::unique_ptr<NodeStacks> stacks_;
  const std::shared_ptr<process::RotationLedger>
      rotations_;  // with threads that may be left behind
  OutputService output_service_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_NODE_RUNTIME_H_
