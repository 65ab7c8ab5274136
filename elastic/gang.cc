// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "elastic/gang.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "elastic/blame.h"
#include "elastic/restart_policy.h"

namespace lockstep::elastic {

namespace {

using base::Duration;
using base::Rank;
using Life = RankRecord::Life;

constexpr Duration kNoticeIntervalMax = std::chrono::minutes(10);
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
    if (state_.phase == Phase::kKilling || rank->excluded)
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
    if (rank == nullptr || (state_.phase != Phase::kKilling && !rank->excluded)) return;
    rank->tree_gone = true;
    if (rank->life == Life::kExited) rank->life = Life::kGone;
    if (state_.phase == Phase::kKilling) EndRoundWhenGone();
  }

  void On(const KillFailed& event) {
    RankRecord* rank = Find(event.process);
    if (rank == nullptr || state_.phase == Phase::kDone || rank->life == Life::kUnkillable) return;
    if (state_.phase != Phase::kKilling && !rank->excluded) return;
    rank->life = Life::kUnkillable;
    rank->error = event.error;
    Do(Notice{
        .kind = Notice::Kind::kUnkillable, .ranks = {rank->process.rank}, .error = event.error});
    if (state_.phase == Phase::kKilling) return EndRoundWhenGone();
    EndWhenNobodyIsLeft();
  }

  void On(const RanksLost& event) {
    if (state_.phase == Phase::kDone) return;
    const bool is_survived = state_.config.keep_survivors && !state_.culprit.has_value();
    if (!state_.lost_node.has_value() || is_survived)  // the one before
      state_.lost_node = NodeLoss{event.node, event.why};
    if (state_.phase == Phase::kIdle || state_.phase == Phase::kBackingOff) {
      Disarm(Timer::kBackoff);
      return EndJob(Decision::kNodeLost);
    }
    const std::vector<RankProcess> lost = MarkLost(event.ranks);
    if (lost.empty()) return;  // all of them had ended before
    const auto member = std::find_if(lost.begin(), lost.end(), [this](const RankProcess& process) {
      return !RankOf(process.rank).excluded;
    });
    ActOnEnd(RankOf(member == lost.end() ? lost.front().rank : member->rank));
  }

  void On(const RankAccused& event) {
    const RankRecord* by = Find(event.by);
    const auto index = static_cast<size_t>(event.accused.value());
    if (!state_.config.keep_survivors || !IsUp() || by == nullptr || by->life != Life::kAlive ||
        by->excluded || event.accused.value() < 0 || index >= state_.ranks.size() ||
        event.accused == event.by.rank) {
      return;
    }
    RankRecord& accused = state_.ranks[index];
    if (accused.excluded || accused.accusation) return;
    accused.accusation = Accusation{event.by.rank, event.why};
    if (accused.life == Life::kSpawning || accused.life == Life::kAlive) MarkEnd(accused);
    if (!state_.culprit) state_.culprit = event.accused;
    ActOnFailure();
  }

  void On(const RanksBlamed& event) {
    if (!IsUp()) return;
    if (event.ranks.empty()) return EndStandstill(event);
    std::optional<Rank> first;
    for (const Rank blamed : event.ranks) {
      const auto index = static_cast<size_t>(blamed.value());
      if (blamed.value() < 0 || index >= state_.ranks.size()) continue;
      RankRecord& rank = state_.ranks[index];
      if (rank.excluded || rank.failed() || rank.accusation) continue;
      rank.accusation = Accusation{std::nullopt, event.why};
      if (rank.life == Life::kSpawning || rank.life == Life::kAlive) MarkEnd(rank);
      if (!first) first = blamed;
    }
    if (!first) return;
    state_.culprit = first;
    if (event.then == RanksBlamed::Then::kAsAnyFailure) return ActOnFailure();
    EndFor(event.then);
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
      case Timer::kSettle: return ActOnFailure();
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
    // Every restart is a new round in which every rank is a new process. So both numbers are the
    // count of restarts, and stay unique when an agent takes up a job that it did not start; the
    // round's is greater where survivors of earlier ones have had rounds of their own.
    const auto restarts = static_cast<uint32_t>(state_.restarts_used);
    state_.round = base::Round(
        state_.ranks.empty() ? restarts : std::max(restarts, state_.membership_round.value() + 1));
    state_.membership_round = state_.round;
    const base::Incarnation incarnation(static_cast<uint32_t>(state_.restarts_used));
    state_.ranks.clear();
    for (int rank = 0; rank < state_.config.rank_count; ++rank) {
      state_.ranks.push_back({.process = {Rank(rank), incarnation}});
    }
    state_.phase = Phase::kStarting;
    state_.round_started_at = at_;
    state_.culprit.reset();
    state_.standstill.reset();
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

  /// News that was late: a teardown that goes on changes nothing but who is to blame for it.
  void NoteLateFailure(const RankRecord& rank) {
    if (rank.excluded || !rank.failed() || !state_.culprit.has_value()) return;
    const RankRecord& culprit = RankOf(*state_.culprit);
    if (CertainlyBefore(rank, culprit) && IsRatherTheCulprit(rank, culprit))
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
      case Phase::kSettling:
        if (rank.excluded) return EndWhenNobodyIsLeft();
        return rank.failed() ? NoteFailure(rank) : NoteSuccess();
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
    if (!state_.culprit.has_value() || IsRatherTheCulprit(rank, RankOf(*state_.culprit)))
      state_.culprit = rank.process.rank;
    if (!IsWeak(rank) || !AnyLeaderLeft() || state_.config.tie_window <= Duration(0)) {
      ActOnFailure();
    } else if (state_.phase != Phase::kSettling) {
      state_.phase = Phase::kSettling;
      Arm(Timer::kSettle, state_.config.tie_window);
    }
  }

  void NoteSuccess() {
    if (!AnyLeaderLeft()) {
      // After the tie window's failure its peers may all have finished; else everybody exited 0.
      return state_.culprit.has_value() ? ActOnFailure() : KillAll();
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
        const bool ended = rank.life == Life::kExited;
        if (rank.excluded && !(ended && rank.exit && rank.exit->ok())) continue;
        (ended ? notice.others : notice.ranks).push_back(rank.process.rank);
      }
      // Those that are left may all have ended, and only one that is gone still dies.
      if (!notice.ranks.empty()) Do(std::move(notice));
    }
    state_.next_notice =
        std::min(2 * state_.next_notice, std::max(kNoticeIntervalMax, state_.next_notice));
    Arm(Timer::kEarlyExit, state_.next_notice);
  }

  // -- going on

  /// Nothing has been signalled, and ranks run or are about to.
  bool IsUp() const {
    return state_.phase == Phase::kStarting || state_.phase == Phase::kRunning ||
           state_.phase == Phase::kSettling;
  }

  /// Without whom the others would go on.
  static bool IsOut(const RankRecord& rank) {
    return rank.failed() || rank.accusation.has_value() || rank.life == Life::kUnkillable;
  }
  static bool HasEndedWell(const RankRecord& rank) {
    return rank.exit.has_value() && rank.exit->ok() && !rank.lost && !rank.accusation;
  }

  int RanksLeft() const {
    return static_cast<int>(
        std::count_if(state_.ranks.begin(), state_.ranks.end(), [](const RankRecord& rank) {
          return HasEndedWell(rank) || (!rank.excluded && !IsOut(rank));
        }));
  }

  bool CanGoOn() const {
    return state_.config.keep_survivors && !Any(Life::kNeverLived) &&
           RanksLeft() >= std::max(state_.config.min_ranks, 1);
  }

  void ActOnFailure() {
    if (!CanGoOn()) return BeginTeardown(state_.config.peer_failure_grace);
    Disarm(Timer::kSettle);
    state_.phase = Any(Life::kSpawning) ? Phase::kStarting : Phase::kRunning;
    state_.membership_round = base::Round(state_.membership_round.value() + 1);
    GoOn action;
    std::vector<RankProcess> killed;
    for (RankRecord& rank : state_.ranks) {
      if (rank.excluded || (!IsOut(rank) && !HasEndedWell(rank))) continue;
      rank.excluded = true;
      action.gone.push_back(rank.process.rank);
      // What a rank that ended well left behind may serve the others to the end; one that is being
      // started is killed when it runs.
      if (IsOut(rank) && rank.life != Life::kSpawning) killed.push_back(rank.process);
    }
    action.outcome = Outcome();
    action.outcome.decision = Decision::kGoOn;
    action.outcome.next_round = state_.membership_round;
    action.outcome.ranks_left = RanksLeft();
    Do(std::move(action));
    if (!killed.empty()) Do(KillTrees{std::move(killed), state_.config.kill_deadline});
    state_.culprit.reset();
    EndWhenNobodyIsLeft();
  }

  /// All that are left have ended well.
  void EndWhenNobodyIsLeft() {
    if (IsUp() && !AnyLeaderLeft()) KillAll();
  }

  /// Nobody would be left out, so that survivors would stand as before.
  void EndStandstill(const RanksBlamed& event) {
    if (state_.culprit.has_value()) return;  // that failure says more
    state_.standstill = Standstill{event.why, at_};
    if (event.then == RanksBlamed::Then::kAsAnyFailure)
      return BeginTeardown(state_.config.peer_failure_grace);
    EndFor(event.then);
  }

  // -- teardown

  /// Whoever blamed ranks wants no other round.
  void EndFor(RanksBlamed::Then then) {
    state_.told_to_end = true;
    BeginTeardown(then == RanksBlamed::Then::kJobEnds ? state_.config.peer_failure_grace
                                                      : Duration(0));
  }

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
      const bool is_killed = rank.excluded && IsOut(rank);
      return !is_killed && (rank.life == Life::kAlive || rank.life == Life::kExited);
    });
    if (!trees.empty()) Do(SignalTrees{signal, std::move(trees)});
  }

  void EndRoundWhenGone() {
    if (AnyLeaderLeft() || Any(Life::kExited)) return;
    RoundOutcome outcome = Outcome();
    outcome.decision = DecideAfter(outcome, state_);
    if (outcome.decision != Decision::kRestart) {
      Do(RoundEnded{outcome});
      return EndJob(outcome.decision);
    }
    const Duration delay = TakeRestart(state_);
    outcome.restart = state_.restarts_used;
    outcome.delay = delay;
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
      outcome.end = culprit.lost                     ? RoundEnd::kNodeLost
                    : culprit.accusation.has_value() ? RoundEnd::kRankAccused
                    : culprit.exit.has_value()       ? RoundEnd::kRankFailed
                                                     : RoundEnd::kLaunchFailed;
      outcome.culprit = state_.culprit;
      outcome.failed_at = culprit.ended_at;
    } else if (state_.standstill.has_value()) {
      outcome.end = RoundEnd::kStoodStill;
      outcome.stood_still = state_.standstill->why;
      outcome.failed_at = state_.standstill->at;
    } else if (state_.stop_came_first) {
      outcome.end = RoundEnd::kStoppedByUser;
    }
    return outcome;
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

StepResult Step(GangState state, const Event& event) {
  Stepper stepper(std::move(state), event.at);
  std::visit([&stepper](const auto& what) { stepper.On(what); }, event.what);
  return std::move(stepper).Finish();
}

}  // namespace lockstep::elastic
