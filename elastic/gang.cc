// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/gang.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "runtime/base/check.h"

namespace lockstep::elastic {

namespace {

using base::Duration;
using base::Rank;
using Life = RankRecord::Life;

constexpr Duration kNoticeIntervalMax = std::chrono::minutes(10);
/// Up to a fifth of a backoff is taken off at random, so that jobs felled together do not return
/// together.
constexpr double kJitter = 0.2;

/// How much a failure says about its own rank. A rank whose peer vanished exits with a code, or
/// throws (SIGABRT), or writes into a closed socket (SIGPIPE); nothing a peer does brings it
/// another signal or takes its memory.
enum class Strength : uint8_t { kWeak, kSignal, kOutOfMemory };

Strength StrengthOf(const RankRecord& rank) {
  if (!rank.exit.has_value())
    return Strength::kSignal;  // SpawnFailed or RanksLost: no peer had a part in it
  if (rank.exit->out_of_memory) return Strength::kOutOfMemory;
  const int signal = rank.exit->signal;
  return signal == 0 || signal == SIGABRT || signal == SIGPIPE ? Strength::kWeak
                                                               : Strength::kSignal;
}

bool LaunchMayWorkLater(const base::Status& error) {
  return error.code() == base::Code::kResourceExhausted ||
         error.code() == base::Code::kUnavailable || error.code() == base::Code::kDeadlineExceeded;
}

/// One step in the making.
class Stepper {
 public:
  Stepper(GangState state, base::SteadyTime at) : state_(std::move(state)), at_(at) {}

  StepResult Finish() && { return {std::move(state_), std::move(actions_)}; }

  void On(const Start&) {
    if (state_.phase == Phase::kIdle) BeginRound();
  }

  void On(const RankSpawned& event) {
    RankRecord* rank = Find(event.process);
    if (rank == nullptr || rank->life != Life::kSpawning) return;
    rank->life = Life::kAlive;
    rank->pid = event.pid;
    if (state_.phase == Phase::kTerminating) SignalToEnd({rank->process});
    if (state_.phase == Phase::kKilling)
      Do(KillTrees{{rank->process}, state_.config.kill_deadline});
    if (state_.suspended && !state_.signalled) Do(SignalTrees{SIGSTOP, {rank->process}});
    if (state_.phase == Phase::kStarting && !Any(Life::kSpawning)) state_.phase = Phase::kRunning;
  }

  void On(const SpawnFailed& event) {
    RankRecord* rank = Find(event.process);
    if (rank == nullptr || rank->life != Life::kSpawning) return;
    rank->life = Life::kNeverLived;
    rank->error = event.error;
    NoteEnd(*rank);
  }

  void On(const RankExited& event) {
    RankRecord* rank = Find(event.process);
    if (rank == nullptr || rank->exit.has_value() || rank->lost || rank->life == Life::kNeverLived)
      return;
    rank->exit = event.exit;
    if (rank->life == Life::kAlive) rank->life = rank->tree_gone ? Life::kGone : Life::kExited;
    NoteEnd(*rank, event.when);
  }

  void On(const RankGone& event) {
    RankRecord* rank = Find(event.process);
    if (rank == nullptr || state_.phase != Phase::kKilling) return;
    rank->tree_gone = true;
    if (rank->life == Life::kExited) rank->life = Life::kGone;
    EndRoundWhenGone();
  }

  void On(const KillFailed& event) {
    RankRecord* rank = Find(event.process);
    if (rank == nullptr || state_.phase != Phase::kKilling) return;
    rank->life = Life::kUnkillable;
    rank->error = event.error;
    Do(Notice{
        .kind = Notice::Kind::kUnkillable, .ranks = {rank->process.rank}, .error = event.error});
    EndRoundWhenGone();
  }

  void On(const RanksLost& event) {
    if (state_.phase == Phase::kDone) return;
    if (!state_.lost_node.has_value()) state_.lost_node = NodeLoss{event.node, event.why};
    if (state_.phase == Phase::kIdle || state_.phase == Phase::kBackingOff) {
      Disarm(Timer::kBackoff);
      return EndJob(Decision::kNodeLost);
    }
    const std::vector<RankProcess> lost = MarkLost(event.ranks);
    if (lost.empty()) return;  // all of them had ended before
    ActOnEnd(RankOf(lost.front().rank));
  }

  void On(const Progress& event) {
    if (Find(event.process) == nullptr) return;
    state_.best_step = std::max(state_.best_step.value_or(event.step), event.step);
  }

  void On(const StopRequested& event) {
    if (state_.phase == Phase::kDone) return;
    const bool again = state_.stop_signal != 0;
    if (!again) state_.stop_signal = event.signal;
    switch (state_.phase) {
      case Phase::kIdle:
      case Phase::kBackingOff:
        Disarm(Timer::kBackoff);
        EndJob(Decision::kStoppedByUser);
        return;
      case Phase::kStarting:
      case Phase::kRunning:
        state_.stop_came_first = true;
        BeginTeardown(event.at_once ? Duration(0) : state_.config.user_stop_grace);
        return;
      case Phase::kSettling:
        BeginTeardown(event.at_once ? Duration(0) : state_.config.peer_failure_grace);
        return;
      case Phase::kTerminating:
        if (event.at_once || (again && (event.signal == SIGINT || event.signal == SIGQUIT)))
          KillAll();
        return;
      case Phase::kKilling:
      case Phase::kDone: return;
    }
  }

  void On(const SuspendRequested&) {
    if (state_.suspended || state_.phase == Phase::kDone) return;
    state_.suspended = true;
    // A gang that is coming down is left to it: a stopped rank could not obey its TERM.
    if (!state_.signalled) SignalTreesOf(SIGSTOP);
  }

  void On(const ResumeRequested&) {
    if (!state_.suspended) return;
    state_.suspended = false;
    if (!state_.signalled) SignalTreesOf(SIGCONT);
    if (state_.phase == Phase::kBackingOff && !Armed(Timer::kBackoff)) BeginRound();
  }

  void On(const TimerFired& event) {
    uint64_t& armed = state_.armed[static_cast<int>(event.timer)];
    if (event.generation != armed || armed == 0) return;
    armed = 0;
    switch (event.timer) {
      case Timer::kSettle: return BeginTeardown(state_.config.peer_failure_grace);
      case Timer::kGrace: return KillAll();
      case Timer::kBackoff:
        if (!state_.suspended) BeginRound();
        return;
      case Timer::kEarlyExit: return NoticeRanksThatRunOn();
    }
  }

 private:
  template <class T>
  void Do(T action) {
    actions_.push_back(std::move(action));
  }

  // -- ranks

  RankRecord* Find(RankProcess process) {
    const auto index = static_cast<size_t>(process.rank.value());
    if (process.rank.value() < 0 || index >= state_.ranks.size()) return nullptr;
    RankRecord& rank = state_.ranks[index];
    return rank.process == process ? &rank : nullptr;
  }

  RankRecord& RankOf(Rank rank) { return state_.ranks[static_cast<size_t>(rank.value())]; }

  template <class Predicate>
  std::vector<RankProcess> Processes(Predicate predicate) const {
    std::vector<RankProcess> found;
    for (const RankRecord& rank : state_.ranks) {
      if (predicate(rank)) found.push_back(rank.process);
    }
    return found;
  }

  std::vector<RankProcess> Alive() const {
    return Processes([](const RankRecord& rank) { return rank.life == Life::kAlive; });
  }

  bool Any(Life life) const {
    return std::any_of(state_.ranks.begin(), state_.ranks.end(),
                       [life](const RankRecord& rank) { return rank.life == life; });
  }
  bool AnyLeaderLeft() const { return Any(Life::kSpawning) || Any(Life::kAlive); }

  // -- timers

  bool Armed(Timer timer) const { return state_.armed[static_cast<int>(timer)] != 0; }

  void Arm(Timer timer, Duration delay) {
    const uint64_t generation = state_.next_generation++;
    state_.armed[static_cast<int>(timer)] = generation;
    Do(SetTimer{timer, generation, at_ + delay});
  }

  void Disarm(Timer timer) {
    if (!Armed(timer)) return;
    state_.armed[static_cast<int>(timer)] = 0;
    Do(ClearTimer{timer});
  }

  // -- a round's life

  void BeginRound() {
    // One agent, one membership: every restart is a new round in which every rank is a new process.
    // So both numbers are the count of restarts, and stay unique when an agent takes up a job that
    // it did not start.
    state_.round = base::Round(static_cast<uint32_t>(state_.restarts_used));
    const base::Incarnation incarnation(static_cast<uint32_t>(state_.restarts_used));
    state_.ranks.clear();
    for (int rank = 0; rank < state_.config.rank_count; ++rank) {
      state_.ranks.push_back({.process = {Rank(rank), incarnation}});
    }
    state_.phase = Phase::kStarting;
    state_.round_started_at = at_;
    state_.culprit.reset();
    state_.signalled = false;
    state_.signalled_at = {};
    state_.stop_came_first = false;
    state_.best_step_before = state_.best_step;
    state_.first_exit_at.reset();
    Do(SpawnRanks{state_.round, state_.restarts_used,
                  Processes([](const RankRecord&) { return true; })});
  }

  /// A leader ended, or never began.
  void NoteEnd(RankRecord& rank, const std::optional<EventTime>& when = std::nullopt) {
    MarkEnd(rank, when);
    ActOnEnd(rank);
  }

  void MarkEnd(RankRecord& rank, const std::optional<EventTime>& when = std::nullopt) const {
    rank.ended_at = at_;
    rank.ended_before_signal = !state_.signalled;
    if (!when) return;
    // Neither after we heard of it nor before it began, whatever a foreign clock says.
    rank.ended_at = std::clamp(when->at, state_.round_started_at, at_);
    rank.ended_error = std::clamp(when->error, Duration(0), at_ - state_.round_started_at);
    rank.ended_before_signal |= rank.ended_at + rank.ended_error < state_.signalled_at;
  }

  static bool CertainlyBefore(const RankRecord& one, const RankRecord& other) {
    return one.ended_at + one.ended_error < other.ended_at - other.ended_error;
  }

  /// Whether its failure says more than the culprit's so far.
  bool IsRatherTheCulprit(const RankRecord& rank) const {
    if (!state_.culprit.has_value()) return true;
    const RankRecord& culprit = state_.ranks[static_cast<size_t>(state_.culprit->value())];
    if (StrengthOf(rank) != StrengthOf(culprit)) return StrengthOf(rank) > StrengthOf(culprit);
    return CertainlyBefore(rank, culprit);  // of equals the first stays
  }

  /// News that was late: a teardown that goes on changes nothing but who is to blame for it.
  void NoteLateFailure(const RankRecord& rank) {
    if (!rank.failed() || !state_.culprit.has_value()) return;
    if (CertainlyBefore(rank, RankOf(*state_.culprit)) && IsRatherTheCulprit(rank))
      state_.culprit = rank.process.rank;
  }

  /// Those of them that had not ended, in order.
  std::vector<RankProcess> MarkLost(const std::vector<Rank>& places) {
    std::vector<RankProcess> lost;
    for (RankRecord& rank : state_.ranks) {
      if (rank.life != Life::kSpawning && rank.life != Life::kAlive) continue;
      if (std::find(places.begin(), places.end(), rank.process.rank) == places.end()) continue;
      if (state_.phase == Phase::kKilling && rank.life == Life::kSpawning)
        Do(KillTrees{{rank.process}, state_.config.kill_deadline});  // there may be a process
      rank.life = rank.tree_gone ? Life::kGone : Life::kExited;
      rank.lost = true;
      MarkEnd(rank);
      lost.push_back(rank.process);
    }
    return lost;
  }

  void ActOnEnd(const RankRecord& rank) {
    switch (state_.phase) {
      case Phase::kStarting:
      case Phase::kRunning:
      case Phase::kSettling: return rank.failed() ? NoteFailure(rank) : NoteSuccess();
      case Phase::kTerminating:
        NoteLateFailure(rank);
        if (!AnyLeaderLeft()) KillAll();
        return;
      case Phase::kKilling: NoteLateFailure(rank); return EndRoundWhenGone();
      case Phase::kIdle:
      case Phase::kBackingOff:
      case Phase::kDone: return;
    }
  }

  void NoteFailure(const RankRecord& rank) {
    if (IsRatherTheCulprit(rank)) state_.culprit = rank.process.rank;
    if (StrengthOf(rank) != Strength::kWeak || !AnyLeaderLeft() ||
        state_.config.tie_window <= Duration(0)) {
      BeginTeardown(state_.config.peer_failure_grace);
    } else if (state_.phase != Phase::kSettling) {
      state_.phase = Phase::kSettling;
      Arm(Timer::kSettle, state_.config.tie_window);
    }
  }

  void NoteSuccess() {
    if (!AnyLeaderLeft()) {
      // After the tie window's failure its peers may all have finished; else everybody exited 0.
      return state_.culprit.has_value() ? BeginTeardown(state_.config.peer_failure_grace)
                                        : KillAll();
    }
    if (state_.first_exit_at.has_value()) return;
    state_.first_exit_at = at_;
    state_.next_notice = state_.config.early_exit_notice;
    if (state_.next_notice > Duration(0)) Arm(Timer::kEarlyExit, state_.next_notice);
  }

  void NoticeRanksThatRunOn() {
    if (!state_.suspended) {
      Notice notice{.kind = Notice::Kind::kRanksRunOn, .since = at_ - *state_.first_exit_at};
      for (const RankRecord& rank : state_.ranks) {
        (rank.life == Life::kExited ? notice.others : notice.ranks).push_back(rank.process.rank);
      }
      Do(std::move(notice));
    }
    state_.next_notice =
        std::min(2 * state_.next_notice, std::max(kNoticeIntervalMax, state_.next_notice));
    Arm(Timer::kEarlyExit, state_.next_notice);
  }

  // -- teardown

  void BeginTeardown(Duration grace) {
    Disarm(Timer::kSettle);
    Disarm(Timer::kEarlyExit);
    if (grace <= Duration(0) || !AnyLeaderLeft()) return KillAll();
    state_.phase = Phase::kTerminating;
    SignalToEnd(Alive());
    MarkSignalled();
    Arm(Timer::kGrace, grace);
  }

  void MarkSignalled() {
    if (!std::exchange(state_.signalled, true)) state_.signalled_at = at_;
  }

  /// CONT behind the TERM: a stopped process does not see its TERM. What we stopped ourselves were
  /// whole trees.
  void SignalToEnd(std::vector<RankProcess> processes) {
    if (processes.empty()) return;
    Do(SignalLeaders{SIGTERM, processes});
    if (state_.suspended) return Do(SignalTrees{SIGCONT, std::move(processes)});
    Do(SignalLeaders{SIGCONT, std::move(processes)});
  }

  /// Also the trees of ranks that exited long ago, and only now: a helper that a finished rank left
  /// behind may serve its siblings to the end of the round.
  void KillAll() {
    Disarm(Timer::kSettle);
    Disarm(Timer::kEarlyExit);
    Disarm(Timer::kGrace);
    state_.phase = Phase::kKilling;
    MarkSignalled();
    auto trees = Processes([](const RankRecord& rank) {
      return rank.life == Life::kAlive || rank.life == Life::kExited;
    });
    if (!trees.empty()) Do(KillTrees{std::move(trees), state_.config.kill_deadline});
    EndRoundWhenGone();
  }

  void SignalTreesOf(int signal) {
    auto trees = Processes([](const RankRecord& rank) {
      return rank.life == Life::kAlive || rank.life == Life::kExited;
    });
    if (!trees.empty()) Do(SignalTrees{signal, std::move(trees)});
  }

  void EndRoundWhenGone() {
    if (AnyLeaderLeft() || Any(Life::kExited)) return;
    RoundOutcome outcome = Outcome();
    outcome.decision = Decide(outcome);
    if (outcome.decision != Decision::kRestart) {
      Do(RoundEnded{outcome});
      return EndJob(outcome.decision);
    }
    NoteRestart();
    outcome.restart = state_.restarts_used;
    outcome.delay = BackoffDelay();
    const Duration delay = outcome.delay;
    Do(RoundEnded{std::move(outcome)});
    Do(PersistRestarts{state_.restarts_used});
    state_.phase = Phase::kBackingOff;
    if (delay > Duration(0)) return Arm(Timer::kBackoff, delay);
    if (!state_.suspended) BeginRound();
  }

  RoundOutcome Outcome() {
    RoundOutcome outcome{.round = state_.round,
                         .lost_node = state_.lost_node,
                         .ranks = state_.ranks,
                         .started_at = state_.round_started_at,
                         .ended_at = at_,
                         .best_step = state_.best_step,
                         .stop_signal = state_.stop_signal,
                         .max_restarts = state_.config.max_restarts};
    if (state_.culprit.has_value()) {
      const RankRecord& culprit = RankOf(*state_.culprit);
      outcome.end = culprit.lost               ? RoundEnd::kNodeLost
                    : culprit.exit.has_value() ? RoundEnd::kRankFailed
                                               : RoundEnd::kLaunchFailed;
      outcome.culprit = state_.culprit;
      outcome.failed_at = culprit.ended_at;
    } else if (state_.stop_came_first) {
      outcome.end = RoundEnd::kStoppedByUser;
    }
    return outcome;
  }

  // -- restarts

  Decision Decide(const RoundOutcome& outcome) {
    if (outcome.end == RoundEnd::kSucceeded) return Decision::kSucceeded;
    if (outcome.end == RoundEnd::kStoppedByUser) return Decision::kStoppedByUser;
    if (outcome.end == RoundEnd::kNodeLost) return Decision::kNodeLost;
    const RankRecord& culprit = RankOf(*state_.culprit);
    if (!culprit.exit.has_value() && !LaunchMayWorkLater(culprit.error))
      return Decision::kCannotLaunch;
    if (Any(Life::kUnkillable)) return Decision::kUnkillable;
    if (IsRepeated(culprit)) return Decision::kRepeatedFailure;
    if (state_.restarts_used >= state_.config.max_restarts) return Decision::kOutOfRestarts;
    // Only here did the stop, or the node, end the job: otherwise the failure would have anyway.
    if (state_.stop_signal != 0) return Decision::kStoppedByUser;
    return state_.lost_node.has_value() ? Decision::kNodeLost : Decision::kRestart;
  }

  bool MadeProgress() const { return state_.best_step > state_.best_step_before; }

  bool IsRepeated(const RankRecord& culprit) const {
    return state_.config.stop_on_repeated_failure && state_.best_step.has_value() &&
           !MadeProgress() && culprit.exit.has_value() && !culprit.exit->fingerprint.empty() &&
           culprit.exit == state_.last_failure;
  }

  void NoteRestart() {
    state_.last_failure = RankOf(*state_.culprit).exit;
    state_.fruitless_restarts = MadeProgress() ? 1 : state_.fruitless_restarts + 1;
    ++state_.restarts_used;
  }

  /// The first restart after progress comes at once; each further one without progress waits twice
  /// as long.
  Duration BackoffDelay() {
    if (state_.fruitless_restarts <= 1) return Duration(0);
    Duration delay = state_.config.backoff_first;
    for (int i = 2; i < state_.fruitless_restarts && delay < state_.config.backoff_max; ++i)
      delay *= 2;
    delay = std::min(delay, state_.config.backoff_max);
    return delay - Duration(static_cast<int64_t>(static_cast<double>(delay.count()) * kJitter *
                                                 state_.jitter.Unit()));
  }

  void EndJob(Decision decision) {
    state_.phase = Phase::kDone;
    Do(JobEnded{{.decision = decision,
                 .last_round = state_.round,
                 .restarts_used = state_.restarts_used,
                 .stop_signal = state_.stop_signal,
                 .lost_node = state_.lost_node}});
  }

  GangState state_;
  base::SteadyTime at_;
  std::vector<Action> actions_;
};

}  // namespace

bool RankRecord::failed() const {
  if (!ended_before_signal) return false;
  return life == Life::kNeverLived || lost || (exit.has_value() && !exit->ok());
}

std::string_view PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kIdle: return "idle";
    case Phase::kStarting: return "starting";
    case Phase::kRunning: return "running";
    case Phase::kSettling: return "settling";
    case Phase::kTerminating: return "terminating";
    case Phase::kKilling: return "killing";
    case Phase::kBackingOff: return "backing off";
    case Phase::kDone: return "done";
  }
  return "?";
}

std::string_view DecisionName(Decision decision) {
  switch (decision) {
    case Decision::kRestart: return "restart";
    case Decision::kSucceeded: return "succeeded";
    case Decision::kStoppedByUser: return "stopped by user";
    case Decision::kOutOfRestarts: return "out of restarts";
    case Decision::kRepeatedFailure: return "repeated failure";
    case Decision::kCannotLaunch: return "cannot launch";
    case Decision::kUnkillable: return "unkillable processes";
    case Decision::kNodeLost: return "node lost";
  }
  return "?";
}

GangState::GangState(const GangConfig& gang_config)
    : config(gang_config), jitter(gang_config.seed), restarts_used(gang_config.restarts_used) {
  LOCKSTEP_CHECK(config.rank_count >= 1, "a gang has at least one rank");
}

StepResult Step(GangState state, const Event& event) {
  Stepper stepper(std::move(state), event.at);
  std::visit([&stepper](const auto& what) { stepper.On(what); }, event.what);
  return std::move(stepper).Finish();
}

}  // namespace lockstep::elastic
