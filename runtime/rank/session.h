// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_SESSION_H_
#define LOCKSTEP_RUNTIME_RANK_SESSION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/group.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::rank {

/// What the groups of a session go over.
enum class Backend : uint8_t {
  kHost,  // main memory: shared within a machine, TCP between machines
  kMpi,   // the MPI whose mpirun (or srun) started the ranks; loaded at run time
  kNccl,  // GPUs, one a rank; NCCL and CUDA are loaded at run time
};
/// "host", "mpi", "nccl".
std::string_view BackendName(Backend backend);

struct SessionOptions {
  /// Unset: what `lockstep run --backend` or `lockstep exec --backend` says (LOCKSTEP_JOB_BACKEND
  /// in the rank's environment), else kHost.
  std::optional<Backend> backend;
  /// Of kMpi and kNccl: members compare their calls before each op, which is one small exchange
  /// more. Unset: what `--check` says (LOCKSTEP_JOB_CHECK=strict), else false.
  std::optional<bool> check_calls;
};

/// What the program says that it does.
struct PhaseMark {
  std::string name;          // the first 31 bytes are kept; "" = nothing in particular
  base::SteadyTime until{};  // until then it may take long; in the past: it claims no time

  /// From now on.
  static PhaseMark For(const std::string& name, base::Duration at_most);
};

/// A rank's place in its job, as the agent (or, without one, torchrun's environment) told it.
struct World {
  std::string job;  // job id; "" without an agent
  base::Rank rank;
  base::LocalRank local_rank;
  int world_size = 1;
  int local_world_size = 1;
  base::Round round;
  base::Incarnation incarnation;
  int restart_count = 0;             // gang restarts before this one
  std::string checkpoint_directory;  // "" when the job names none
  /// Ranks outlive others (`lockstep run --on-rank-failure keep`): an op that fails because a
  /// member is gone is followed by Group::ShrinkToSurvivors, in this process.
  bool keeps_survivors = false;
};

/// A rank of the world that is a member of the job no more.
struct LostRank {
  base::Rank rank;
  std::string why;  // "killed by signal 9 (SIGKILL)"
};

/// A rank's tie to its agent: its world, its groups, and what the agent wants of it. One per
/// process, made first thing in main and kept to its end; not inherited across fork (a forked
/// child's calls do nothing).
///
/// Without any agent: RANK and WORLD_SIZE unset or WORLD_SIZE=1 give a world of one, whose
/// collectives are copies; WORLD_SIZE > 1 without an agent is FailedPrecondition, which says to
/// start the program with `lockstep run`. So is one of several processes of mpirun or srun, unless
/// RANK=0 and WORLD_SIZE=1 say that it is meant to be alone; but with kMpi, ranks of mpirun need no
/// agent: their place is what mpirun says.
///
/// Threads: Create and WorldGroup on one thread; the rest from any. Never blocks a training step:
/// reports are dropped (and counted) when the agent does not keep up. Has a thread of its own only
/// where World::keeps_survivors: it sleeps until a rank is lost. With kNccl the destructor waits
/// until NCCL's calls have ended, at most 12 s, so that main() may return then.
///
///   ASSIGN_OR_RETURN(auto session, rank::Session::Create());
///   ASSIGN_OR_RETURN(auto group, session->WorldGroup());
///   for (int64_t step = first; step < last && !session->stop_requested(); ++step) {
///     ...
///     session->ReportProgress(step);
///   }
class Session {
 public:
  /// Errors: FailedPrecondition - the environment is incomplete or says that there are several,
  /// without an agent; with kMpi, no MPI's launcher has started this process; InvalidArgument -
  /// LOCKSTEP_JOB_BACKEND names no backend; Unavailable - the agent does not answer within 10 s;
  /// Unauthenticated - wrong cookie; InvalidArgument - another protocol version.
  static base::Result<std::unique_ptr<Session>> Create(const SessionOptions& options = {});

  virtual ~Session() = default;

  virtual const World& world() const = 0;
  virtual bool has_agent() const = 0;

  /// The group of all ranks (where survivors are kept: of those that are left), made on the first
  /// call (collective: every rank must call it). Of kHost: over shared memory within a machine and
  /// TCP between machines, with addresses and a key that the agents exchange. Of kMpi: MPI is
  /// started, on a thread that then makes all calls to it. Of kNccl: on the GPU of this rank's
  /// local rank, or on the only one that the process sees; members on several machines meet as
  /// those of kHost do.
  /// Blocks: until all members have come, at most `timeout`, and on several machines 600 ms more to
  /// learn who is missing. May be tried again: the n-th tries of all ranks meet. Errors:
  /// - DeadlineExceeded: names the ranks that never came.
  /// - AlreadyExists: another process of this rank makes groups, or claims its place.
  /// - FailedPrecondition: on several machines, with an agent that knows no other; the round is
  ///   over; ranks are of another job, round or release, or disagree about their number.
  /// - InvalidArgument: more than 1,024 ranks on several machines; the address that the agent gives
  ///   is none of this machine; another protocol version.
  /// - ResourceExhausted: no port of --port-range is free; too many groups, files or bytes.
  /// - Unavailable: the agent is gone or does not answer in time, or a rank cannot be reached.
  /// - DataLoss: what the agent brings of the others cannot be.
  /// - Of kMpi and kNccl besides: NotFound, FailedPrecondition - the library cannot be loaded, is
  ///   too old, or of another MPI than the one that started the ranks; there is no GPU for this
  ///   rank; the program is linked statically.
  virtual base::Result<std::shared_ptr<collectives::Group>> WorldGroup(
      base::Duration timeout = std::chrono::seconds(120)) = 0;

  /// Without whom the job goes on, those included that have ended well by then; in a job that keeps
  /// its survivors, and else empty. Only ever grows.
  virtual std::vector<LostRank> lost_ranks() const = 0;

  /// Says that `step` is complete. Cheap enough for every step (about one 32-byte message;
  /// coalesced to 10 a second).
  virtual void ReportProgress(int64_t step) = 0;
  /// Says that this rank has processed `samples` more of its training data, in whatever unit the
  /// program counts: `lockstep status` and `top` tell how many it is in a second. About 50 ns.
  virtual void ReportSamples(uint64_t samples) { (void)samples; }

  /// The program is in this phase from now on, as `lockstep status`, `top` and verdicts say.
  /// Returns the phase before. See Phase.
  virtual PhaseMark SetPhase(const PhaseMark& mark) {
    (void)mark;
    return {};
  }

  /// True once the agent has asked this rank to end (user stop, preemption): finish the step, save,
  /// return from main.
  virtual bool stop_requested() const = 0;
  /// True when somebody asked for a checkpoint since the last call; cleared by the call.
  virtual bool TakeCheckpointRequest() = 0;
};

/// A scope in which the program is in a phase of its own: "checkpoint", "evaluation". They nest.
/// On the stack of one thread; other threads' phases are this process's, too.
///
///   {
///     const rank::Phase phase(*session, "checkpoint", std::chrono::minutes(10));
///     ...
///   }
class Phase {
 public:
  /// For `at_most` this rank may come late without being taken for one that hangs; ops of our own
  /// groups still have their deadlines, which collectives::LongPhase extends. `session` outlives
  /// this.
  Phase(Session& session, const std::string& name, base::Duration at_most = base::Duration(0))
      : session_(session), before_(session.SetPhase(PhaseMark::For(name, at_most))) {
    // Time that was claimed around it goes on.
    const PhaseMark mark = PhaseMark::For(name, at_most);
    if (before_.until > mark.until) session.SetPhase({.name = name, .until = before_.until});
  }
  ~Phase() { session_.SetPhase(before_); }
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;

 private:
  Session& session_;
  const PhaseMark before_;
};

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_SESSION_H_
