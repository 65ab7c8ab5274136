// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_MPI_PMI_SERVER_H_
#define LOCKSTEP_LAUNCHER_MPI_PMI_SERVER_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "launcher/mpi/mpi_server.h"
#include "launcher/mpi/pmi_line.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"

namespace lockstep::launcher {

/// PMI-1 for MPICH and its relatives, in the agent: a pair of sockets a rank (PMI_FD), over which
/// it sends lines and awaits a line each. What ranks put is kept for the round. Never blocks. A
/// rank that breaks the rules (bounds below, a command that is none) is cut off: its MPI then ends
/// it, saying that its server is gone.
class PmiServer final : public MpiServer {
 public:
  static constexpr size_t kNameBytesMax = 256;    // as ranks are told
  static constexpr size_t kKeyBytesMax = 64;      // likewise
  static constexpr size_t kValueBytesMax = 1024;  // likewise
  static constexpr size_t kLineBytesMax = 4096;
  static constexpr size_t kStoreBytesMax = size_t{64} << 20;  // of what all ranks put in a round
  static constexpr int kRankFd = 20;                          // above those that scripts use

  struct Config {
    std::string job_id;
    OnMpiAbort on_abort;
  };

  PmiServer(Config config, event::Loop& loop);
  ~PmiServer() override;

  base::Status BeginRound(base::Round round, int rank_count) override;
  base::Result<MpiSeat> SeatOf(base::Rank rank) override;
  void EndRound() override;

 private:
  struct Client;

  void OnReadable(Client& client);
  /// False: the client has been cut off.
  bool OnLine(Client& client, std::string_view text);
  std::string AnswerTo(const PmiLine& line);
  std::string Put(const PmiLine& line);
  std::string Get(const PmiLine& line) const;
  void OnBarrier(Client& client);
  bool Send(Client& client, const std::string& text);
  void CutOff(Client& client);

  const Config config_;
  event::Loop& loop_;
  base::Sequence seq_;
  std::string store_name_;  // of the round
  int rank_count_ = 0;
  int waiting_in_barrier_ = 0;
  std::map<std::string, std::string> store_;
  size_t store_bytes_ = 0;
  std::map<base::Rank, std::unique_ptr<Client>> clients_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_MPI_PMI_SERVER_H_
