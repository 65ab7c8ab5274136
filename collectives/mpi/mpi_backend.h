// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_MPI_BACKEND_H_
#define LOCKSTEP_COLLECTIVES_MPI_MPI_BACKEND_H_

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/mpi/mpi_call.h"
#include "collectives/mpi/mpi_engine.h"
#include "collectives/mpi/mpi_group.h"
#include "collectives/mpi/mpi_rounds.h"
#include "collectives/mpi/mpi_transfers.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// One member's end of a group over MPI: executes collectives as rounds of non-blocking calls on a
/// communicator of the group's own, waits for them by our deadlines, and carries errors beside
/// them. Made by MpiBackendMaker; any number may exist.
///
/// MPI has the same arguments on every member in good faith: calls that differ end with rc 0 and
/// garbage, or never. With `check_calls` members compare fingerprints before each op (one more
/// small MPI_Allreduce), and a mismatch is the same error on all. An all_to_all_v always compares
/// its counts.
///
/// There is no path by MPI's blocking calls, though they end large ops sooner where the caller
/// waits at once: inside one, the engine's thread could keep no other group going.
///
/// After an error a collective may stay in flight for ever, since MPI knows no way to cancel one.
/// It works on memory of ours, so the program may free its buffers as always; but the process
/// cannot end its MPI any more (MpiEngine: kMpiLeftOpenExitCode).
///
/// Threads: as Backend. Calls to MPI are all made by the engine's thread.
class MpiBackend final : public Backend {
 public:
  struct Config {
    bool check_calls = false;
  };

  /// Collective. Blocks, errors: as MpiGroup::Join.
  static base::Result<std::unique_ptr<MpiBackend>> Join(const Config& config,
                                                        std::shared_ptr<MpiEngine> engine,
                                                        GroupSpec spec, const OpDeadline& deadline);
  ~MpiBackend() override;
  MpiBackend(const MpiBackend&) = delete;
  MpiBackend& operator=(const MpiBackend&) = delete;

  const Capabilities& capabilities() const override { return capabilities_; }
  base::Status Run(const Op& op, base::OpSeq seq, const OpWatch& watch) override;
  bool Advance(Moving& moving) override { return transfers_.Advance(moving); }
  void AwaitTransfers(base::Duration at_most) override { group_->AwaitChange(at_most); }
  base::Status Fail(const base::Status& error, const std::vector<int>& blamed) override;
  void Poison(const base::Status& reason) override;
  void Interrupt() override { group_->Interrupt(); }
  void DeclareLongPhase(base::Duration at_most) override { group_->DeclareLongPhase(at_most); }
  base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes,
                                                          const OpDeadline& deadline) override;
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const override;

 private:
  using Running = MpiGroup::Running;

  MpiBackend(const Config& config, std::shared_ptr<MpiEngine> engine,
             std::shared_ptr<MpiGroup> group);

  base::Status Execute(const Running& run);
  base::Status Refuse(const Running& run);
  /// OK when every member makes this call.
  base::Status CheckCalls(const Running& run);
  /// What each has of all_to_all_v's counts must fit; `longest` of all parts.
  base::Status CheckCounts(const Running& run, size_t& longest);
  base::Status MoveInRounds(const Running& run, const MpiRounds& rounds);
  /// Gathers `bytes` of each member into `call.out`, in which this member's are in their place.
  base::Status GatherAll(const Running& run, const std::shared_ptr<MpiCall>& call, size_t bytes);
  base::Status PostAndAwait(const Running& run, const std::shared_ptr<MpiCall>& call);

  const Config config_;
  const Capabilities capabilities_;
  const std::shared_ptr<MpiEngine> engine_;
  const std::shared_ptr<MpiGroup> group_;
  MpiTransfers transfers_;  // confined to whoever is in Advance()
  // Confined to whoever is in Run(): reused while all goes well.
  std::array<std::shared_ptr<MpiCall>, 2> calls_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_MPI_MPI_BACKEND_H_
