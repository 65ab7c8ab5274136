// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_ELASTIC_GANG_H_
#define LOCKSTEP_ELASTIC_GANG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "elastic/gang_state.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"

/// The decisions about a gang of ranks, as one pure function: Step(state, event) -> (state,
/// actions). It knows no clock (each event brings its time), no process and no file; the agent
/// drives it in life, a simulation in tests.
///
///             all spawned               all exited 0
///   kIdle -> kStarting -> kRunning ----------------------------------+
///               ^  |          |  a failure or a stop                 |
///               |  +----------+--> kSettling --> kTerminating --> kKilling --> kDone
///               |                  (weak ones)   TERM, grace      KILL; then every tree is gone,
///               +---- kBackingOff <---- restart -----------------+   or known not to die
///
/// First failure wins (blame.h). The culprit is chosen among the failures before our own first
/// signal; what ends after it is a victim, whatever its exit code. News of two nodes may come in
/// another order than what it tells of: of two failures that say as much about their ranks, the one
/// that certainly came first is the culprit, be it heard of during the teardown. A weak failure (an
/// exit code, SIGABRT, SIGPIPE: what a rank also does when a peer's connection breaks) is held back
/// for GangConfig::tie_window before anything is signalled, so that the death behind it can still
/// be seen; a strong one (any other signal, out of memory, a failed launch, a lost node) acts at
/// once.
///
/// A lost node takes all of its ranks at once, which is one failure; since membership is fixed, no
/// round follows it.
///
/// With GangConfig::keep_survivors a failure does not bring the gang down while enough ranks are
/// left: they go on in a round of their own (GoOn), in the same processes, and what failed is
/// killed beside them. So is a rank that one of the others has given up (RankAccused), which may be
/// stopped and still live: the new round does not wait for its end, but has memory, keys and
/// connections that it never gets. A failed launch always brings the gang down, and so do ranks
/// that were blamed by somebody who wants the job to end (RanksBlamed::Then), and a gang that
/// stands still without anybody to blame.
///
/// Threads: none of its own; a value that its driver keeps on one thread.
///
///   auto [state, actions] = Step(std::move(state_), {clock.Now(), RankExited{process, exit}});
///   state_ = std::move(state);
///   for (const Action& action : actions) Do(action);  // in order
///
/// Events that arise while actions are carried out wait for the next Step.
namespace lockstep::elastic {

// ---------------------------------------- events

struct Start {};
/// Each process named in SpawnRanks is answered by one of these two, also when the gang is coming
/// down meanwhile; the driver may then answer Cancelled for those that it has not begun.
struct RankSpawned {
  RankProcess process;
  int64_t pid = 0;
};
struct SpawnFailed {
  RankProcess process;
  base::Status error;
};
/// When something happened, by the clock of Event::at, and how far that may be off.
struct EventTime {
  base::SteadyTime at{};
  base::Duration error{0};

  friend bool operator==(const EventTime&, const EventTime&) = default;
};
/// The leader has ended. Comes exactly once for each RankSpawned, unless KillFailed came.
struct RankExited {
  RankProcess process;
  RankExit exit;
  std::optional<EventTime> when{};  // nullopt: as the event comes
};
/// Answers to KillTrees, one for each process in it and within its deadline: nothing of the tree is
/// left; or some of it does not die (`error` names the processes). For a process of a lost node the
/// driver itself answers RankGone: where a round may follow, not before the node is fenced
/// (membership.h, NodeLost), be that later than the deadline.
struct RankGone {
  RankProcess process;
};
struct KillFailed {
  RankProcess process;
  base::Status error;
};
/// A node is lost, with all that still runs on it: of these ranks nothing more will be heard. The
/// driver leaves undone what it was and will be asked to do for them, but answers KillTrees
/// (RankGone).
struct RanksLost {
  base::NodeIndex node;
  std::vector<base::Rank> ranks;  // all whose place is on it
  base::Status why;               // names the host
};
/// A rank of the round gives up another one. Means nothing without GangConfig::keep_survivors, or
/// from one that is itself no member any more: of two that accuse each other the first is believed.
struct RankAccused {
  RankProcess by;
  base::Rank accused;
  std::string why;
};
/// Whoever watches the gang finds that it stands still because of these ranks, which may live on:
/// they have failed, as if by themselves. `why` is in words, and about all of them. Without ranks
/// it stands still and nobody is to blame: then nobody is fit to go on either, and all come down.
/// Nothing follows where none of the ranks can be blamed, or a failure is being acted upon already.
struct RanksBlamed {
  enum class Then : uint8_t {
    kAsAnyFailure,   // another round, survivors that go on, or the end
    kJobEnds,        // the gang comes down, and no round follows
    kJobEndsAtOnce,  // likewise, and ranks have no time to end by themselves
  };
  std::vector<base::Rank> ranks;
  std::string why;
  Then then = Then::kAsAnyFailure;
};
/// The rank says that training step `step` is complete.
struct Progress {
  RankProcess process;
  int64_t step = 0;
};
/// The user wants the job to end. A second one with SIGINT or SIGQUIT (somebody at a keyboard)
/// means at once; a second SIGTERM or SIGHUP does not, since schedulers send those to several of
/// our processes.
struct StopRequested {
  int signal = 0;  // what the user sent; the exit status of a stopped job is 128 + signal
  bool at_once = false;
};
/// Job control (TSTP, CONT). While suspended no restart begins.
struct SuspendRequested {};
struct ResumeRequested {};

/// A timer whose generation is not the one last set is ignored: a fired timer may wait in a queue
/// while it is cleared.
struct TimerFired {
  Timer timer = Timer::kSettle;
  uint64_t generation = 0;
};

struct Event {
  base::SteadyTime at;  // never before the event handed in last
  std::variant<Start, RankSpawned, SpawnFailed, RankExited, RankGone, KillFailed, RanksLost,
               RankAccused, RanksBlamed, Progress, StopRequested, SuspendRequested, ResumeRequested,
               TimerFired>
      what;
};

// ---------------------------------------- the end

struct JobOutcome {
  Decision decision = Decision::kSucceeded;  // never kRestart
  base::Round last_round;
  int restarts_used = 0;
  int stop_signal = 0;
  std::optional<NodeLoss> lost_node;  // as in the last round's outcome, or lost between two rounds
};

// ---------------------------------------- actions

/// Start these processes, in this order.
struct SpawnRanks {
  base::Round round;
  int restart_count = 0;  // TORCHELASTIC_RESTART_COUNT
  std::vector<RankProcess> processes;
};
struct SignalLeaders {
  int signal = 0;
  std::vector<RankProcess> processes;
};
struct SignalTrees {
  int signal = 0;
  std::vector<RankProcess> processes;
};
/// SIGKILL everything these ranks ever made; answered for each by RankGone or KillFailed within
/// `deadline`.
struct KillTrees {
  std::vector<RankProcess> processes;
  base::Duration deadline{0};
};
/// Replaces the timer of that name.
struct SetTimer {
  Timer timer = Timer::kSettle;
  uint64_t generation = 0;
  base::SteadyTime due;
};
struct ClearTimer {
  Timer timer = Timer::kSettle;
};
/// Write it down before the round after it starts.
struct PersistRestarts {
  int used = 0;
};
struct RoundEnded {
  RoundOutcome outcome;
};
/// Tell the members of RoundOutcome::next_round that it has begun, without `gone`: those that
/// failed, and those that had ended well. Processes of `gone` are killed by a KillTrees of their
/// own.
struct GoOn {
  RoundOutcome outcome;
  std::vector<base::Rank> gone;  // that the round before still had
};
/// For people; no action follows from it.
struct Notice {
  enum class Kind : uint8_t {
    kRanksRunOn,  // `others` exited 0 a while ago, `ranks` still run
    kUnkillable,  // `ranks` have processes that do not die; `error` names them
  };
  Kind kind = Kind::kRanksRunOn;
  std::vector<base::Rank> ranks;
  std::vector<base::Rank> others;
  base::Duration since{0};  // kRanksRunOn: the first exit
  base::Status error;
};
/// The last action of a job. Nothing of it is left but what an unkillable notice named.
struct JobEnded {
  JobOutcome outcome;
};

using Action = std::variant<SpawnRanks, SignalLeaders, SignalTrees, KillTrees, SetTimer, ClearTimer,
                            PersistRestarts, RoundEnded, GoOn, Notice, JobEnded>;

// ---------------------------------------- step

struct StepResult {
  GangState state;
  std::vector<Action> actions;
};

/// One step. Every event is legal in every state: what does not concern the state, or is about a
/// process of an old round, changes nothing.
StepResult Step(GangState state, const Event& event);

}  // namespace lockstep::elastic

#endif  // LOCKSTEP_ELASTIC_GANG_H_
