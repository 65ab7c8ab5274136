// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_MPI_PMIX_SERVER_H_
#define LOCKSTEP_LAUNCHER_MPI_PMIX_SERVER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "launcher/mpi/mpi_server.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"
#include "runtime/net/frame.h"
#include "runtime/process/processes.h"
#include "runtime/proto/pmix.pb.h"

namespace lockstep::launcher {

/// PMIx for Open MPI: a child of the agent, lockstep-pmix, that serves the ranks (pmix_service.h),
/// and is told of each round. One that has ended is started again for the next round.
class PmixServer final : public MpiServer {
 public:
  struct Config {
    std::string job_id;
    std::string host;
    std::string program;                // lockstep-pmix
    std::string folder;                 // of Open MPI's files, ours alone; made and removed here
    std::string log_path;               // what the child writes
    topology::Environment environment;  // what it inherits
    base::Duration answer_limit = std::chrono::seconds(10);
    OnMpiAbort on_abort;
    std::function<void(const std::string& why)> on_ended = [](const std::string&) {};
  };
  struct Deps {
    event::Loop& loop;
    process::Processes& processes;
  };

  /// Starts the child, which gets ready while the agent does.
  /// Errors: NotFound - `program` is not there; AlreadyExists - `folder` is, and not ours; else as
  /// Processes::SpawnAll.
  static base::Result<std::unique_ptr<PmixServer>> Create(Config config, Deps deps);
  ~PmixServer() override;

  /// Blocks until the child has answered: some ms, 50 when it has just been started, answer_limit
  /// at most. Errors: Unavailable - it does not run (libpmix is missing, say), or libpmix says no;
  /// DeadlineExceeded.
  base::Status BeginRound(base::Round round, int rank_count) override;
  base::Result<MpiSeat> SeatOf(base::Rank rank) override;
  void EndRound() override;

 private:
  PmixServer(Config config, Deps deps) : config_(std::move(config)), deps_(deps) {}
  base::Status MakeFolder();
  base::Status Start();
  void Stop();
  bool Send(const proto::PmixRequest& request);
  base::Result<proto::PmixReply> AwaitAnswer();
  void OnReadable();
  bool ReadSome();
  void OnReply(proto::PmixReply reply);
  base::Status WhyItEnded() const;

  const Config config_;
  const Deps deps_;
  base::Sequence seq_;
  bool has_folder_ = false;
  std::unique_ptr<process::Process> process_;  // null: it is to be started
  base::UniqueFd fd_;
  std::optional<net::FrameDecoder> decoder_;  // as long as `fd_`
  std::unique_ptr<proto::PmixReply> answer_;
  topology::Environment variables_;  // of the round, for each rank
  int rank_count_ = 0;
  event::Registration watch_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_MPI_PMIX_SERVER_H_
