// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_MPI_ENGINE_H_
#define LOCKSTEP_COLLECTIVES_MPI_MPI_ENGINE_H_

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "collectives/engine/reduce_kernels.h"
#include "collectives/mpi/control_message.h"
#include "collectives/mpi/mpi_call.h"
#include "collectives/mpi/mpi_ending.h"
#include "collectives/mpi/mpi_library.h"
#include "collectives/types.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// The one thread of a process that calls MPI, and what it does there: starts calls, tests them
/// until they end, passes control messages on, makes communicators. It never waits inside MPI but
/// for starting, for ending, and for making the communicator of a part of the world, when every
/// member is ready to make it; so a stuck op keeps neither other groups nor a deadline's keeper
/// waiting.
///
/// A member that is stopped while a communicator is made, microseconds to milliseconds after all
/// have come, holds the others for as long: those of the whole world wait for it beside what else
/// they do, but make no other communicator before. Of a part of the world MPI's call does not
/// return: the engine then gets on with nothing (IsHeld), and ops and groups of this process end by
/// their deadlines.
///
/// One per process (MPI starts once), shared by the backends that use it.
///
///   Start() -> running -> last holder drops it -> ended well (MPI_Finalize), or left open
///
/// Left open it is when something was still in flight, or the process exits without having dropped
/// its groups. Such a process ends by _exit() in an on_exit handler: what was printed is flushed,
/// MPI's own handlers do not run, and its status is its own, or kMpiLeftOpenExitCode in place of 0.
///
/// Where MPI outlives its ranks (ULFM: Open MPI 5 under `mpirun --with-ft ulfm`), every engine
/// hears at once of a rank that has died, tells the ports of groups that it was in, and revokes
/// their communicators, so that what is in flight ends on all members. Groups of those that live
/// can be made. No process ends its MPI well after a death, since some calls never end then (Open
/// MPI 5.0.11); its status stays its own. One weakness is MPI's: a member that dies while a
/// communicator is made, a few milliseconds after all have come, holds the other members' engines
/// for ever; deadlines hold.
///
/// While something is in flight the thread tests without a pause for 200 us (giving its core to
/// whoever wants it), then ever less often, down to once a millisecond; with nothing in flight it
/// looks for messages every millisecond, and every 10 ms once nothing has happened for 100 ms.
///
/// Threads: public functions may be called from any; a Port's are called on the engine's thread.
class MpiEngine {
 public:
  struct Config {
    std::string plugin;  // path of liblockstep_mpi_*.so
    base::Duration start_timeout = std::chrono::seconds(120);
    /// For the other ranks to end theirs, too.
    base::Duration end_timeout = std::chrono::seconds(60);
  };

  /// One end of a group, as the engine knows it.
  class Port {
   public:
    virtual ~Port() = default;
    virtual void OnMessage(const ControlMessage& message) = 0;
    /// Rank 0 of the world said kGo: MPI makes the communicator.
    virtual void OnGo() = 0;
    /// What came of it.
    virtual void OnComm(base::Status status) = 0;
    /// It was given up in time: its communicator is made on no member.
    virtual void OnWithdrawn() = 0;
    /// A call of it ended.
    virtual void OnEnded() = 0;
    /// A rank of the world has died, and MPI goes on without it. Returns whether it was a member
    /// that had not left.
    virtual bool OnDied(int world_rank) = 0;
    /// Everybody has left it: once nothing is in flight, its communicator may go.
    virtual bool over() const = 0;
    /// Of one that is over: everything that was sent in it has been received.
    virtual bool drained() const = 0;

   private:
    friend class MpiEngine;
    // The engine's thread's:
    lockstep_mpi_comm* comm_ = nullptr;
    int in_flight_ = 0;
    bool hurt_ = false;  // a member has died, of which the port knows
  };

  /// Blocks: until MPI has started, which waits for the other ranks; at most the timeout. Errors:
  /// those of MpiLibrary::Load; DeadlineExceeded - MPI_Init did not return (it goes on trying, and
  /// the process is left open); FailedPrecondition - the program has called MPI_Init itself.
  /// Dropping the last holder blocks: until all ranks end their MPI, at most the end timeout (and
  /// 10 s for MPI_Finalize); half a second when something is stuck.
  static base::Result<std::shared_ptr<MpiEngine>> Start(Config config);
  ~MpiEngine();

  int world_rank() const { return world_rank_; }
  int world_size() const { return world_size_; }
  /// "Open MPI v4.1.4 (through /usr/lib/liblockstep_mpi_openmpi.so)"
  std::string Describe() const;
  const std::string& version() const { return library_.version(); }
  /// Whether the death of a rank leaves the others their MPI.
  bool outlives_ranks() const { return outlives_ranks_; }
  /// Whether its thread is inside a call of MPI that makes a communicator.
  bool IsHeld() const { return creation_steps_.load() % 2 == 1; }

  /// Starts `call` on the communicator of `port`, which has one.
  void Post(std::shared_ptr<Port> port, std::shared_ptr<MpiCall> call);
  /// To a rank of the world; to itself, too. In order with other messages to it.
  void Send(int world_rank, const ControlMessage& message);
  /// From now on messages of the key of `ready` are for `port`. Says `ready` to the rank that
  /// orders the making of groups, whose kGo then makes a communicator of `world_ranks`.
  void Open(const ControlMessage& ready, std::shared_ptr<Port> port, std::vector<int> world_ranks);
  /// Takes `ready` of that key back. Port::OnWithdrawn says that this has come about; kGo may have
  /// been on its way.
  void Withdraw(const ControlMessage& withdraw);
  /// Receives of `port` that are in flight are given up.
  void CancelReceives(std::shared_ptr<Port> port);

 private:
  enum class Phase { kStarting, kRunning, kEnded, kLeftOpen };
  struct Opened {
    std::shared_ptr<Port> port;
    std::vector<int> world_ranks;
    /// What the orderer was last told of it, kReady or kWithdraw, until it has answered.
    std::optional<ControlMessage> asked;
  };
  struct Pending {
    std::shared_ptr<Port> port;  // null = a control message
    std::shared_ptr<MpiCall> call;
  };
  /// A communicator on its way.
  struct Making {
    std::shared_ptr<Port> port;
    lockstep_mpi_comm* comm;
    lockstep_mpi_request* request;
  };
  /// A group that is being made, as rank 0 of the world sees it.
  struct Waiting {
    int member_count = 0;
    std::set<int> ready;  // by world rank
  };
  /// Groups whose messages came before this rank opened them; beyond it the oldest are dropped.
  static constexpr size_t kMaxEarly = 4096;

  MpiEngine(Config config, MpiLibrary library);

  /// False: its thread is still inside MPI, and needs the engine for ever.
  bool End();
  void Command(std::function<void()> command);
  void ThreadMain();
  base::Status StartMpi();
  void EndMpi();
  /// Goes on until nothing is in flight; false when the time is up before.
  bool AwaitQuiet(base::Duration at_most);
  /// True when something happened.
  bool Step();
  /// Between two steps, when those of the last `quiet` time found nothing to do.
  void Rest(base::Duration quiet);
  bool RunCommands();
  bool TestPending();
  void End(const Pending& over);
  bool TestControl();
  bool TestControlFrom(MpiCall& receive);
  base::Status StartCall(lockstep_mpi_comm* comm, MpiCall& call);
  void SendNow(int world_rank, const ControlMessage& message);
  void ReceiveControl(MpiCall& receive);
  void Died(int world_rank);
  /// Rank 0 of the world, or the first that lives: communicators are made in its order.
  int Orderer() const;
  void Handle(const ControlMessage& message);
  // mpi_engine_groups.cc
  void HandleReady(const ControlMessage& message);
  void HandleAnswer(const ControlMessage& message);
  void MakeComms();
  void MakeComm(const Opened& opened, const MpiGroupKey& key);
  bool TestMaking();
  void Made(Port& port, lockstep_mpi_comm* comm, lockstep_mpi_result result);
  void FreeCommsOfThoseOver();
  base::Result<const lockstep_mpi_reducer*> ReducerFor(Dtype dtype, Reduction reduction);

  const Config config_;
  const MpiLibrary library_;
  int world_rank_ = -1;  // these two are set before Start() returns
  int world_size_ = 0;
  bool outlives_ranks_ = false;

  std::mutex mutex_;
  std::condition_variable wake_;                // the thread's
  std::condition_variable changed_;             // phase_
  std::deque<std::function<void()>> commands_;  // guarded by mutex_
  Phase phase_ = Phase::kStarting;              // guarded by mutex_
  base::Status start_status_;                   // guarded by mutex_
  bool closing_ = false;                        // guarded by mutex_
  std::atomic<uint64_t> creation_steps_{0};     // into that call and out of it
  const std::shared_ptr<MpiEnding> ending_;

  // The thread's own:
  lockstep_mpi_comm* control_comm_ = nullptr;
  std::vector<Pending> pending_;
  // Receives that are always there: one from anybody; where MPI outlives its ranks one from each,
  // which fails when that one dies. (One from anybody fails when any does, and Open MPI 5.0.11 then
  // loses what others send.)
  std::vector<std::shared_ptr<MpiCall>> control_;
  std::deque<ControlMessage> to_itself_;
  std::set<int> dead_;         // ranks of the world
  std::vector<Pending> lost_;  // ended by a death of which this rank has not heard yet
  std::map<MpiGroupKey, Opened> opened_;
  std::deque<ControlMessage> early_;
  std::map<MpiGroupKey, Waiting> waiting_;  // on rank 0 of the world
  std::deque<MpiGroupKey> to_make_;         // as rank 0 of the world has said, in its order
  std::optional<Making> making_;            // the one before these
  int unanswered_ = 0;                      // of opened_, those that have asked
  bool look_for_over_ = false;              // a group may have become over
  std::array<std::array<lockstep_mpi_reducer*, kReductionLimit>, kDtypeLimit> reducers_{};
  std::array<std::array<ReduceKernel, kReductionLimit>, kDtypeLimit> kernels_{};

  std::thread thread_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_MPI_MPI_ENGINE_H_
