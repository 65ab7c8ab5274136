// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Random lives of a gang against what must hold in every one of them. A schedule is its seed:
// LOCKSTEP_SEED=n runs that one alone; LOCKSTEP_SOAK runs 100,000.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "elastic/gang.h"
#include "runtime/base/random.h"

namespace lockstep::elastic {
namespace {

using base::Duration;
using base::Random;
using base::Rank;
using base::SteadyTime;
using namespace std::chrono_literals;

constexpr Duration kSlack = 100ms;  // spawns and reports that are under way
constexpr Duration kLease = 2s;     // a lost node is fenced by then
constexpr int kRanksPerNode = 2;
constexpr SteadyTime kPatience{3600s};

/// A process with its tree, in truth: what the gang is told comes later.
struct SimProcess {
  RankProcess id;
  bool leader_alive = true;
  bool tree_alive = true;
  bool stopped = false;
  bool unkillable = false;
  bool ignores_term = false;
  bool ended_by_itself = false;
  bool unheard = false;  // its node is lost: the gang hears no more of it
  RankExit exit;
  SteadyTime ended_at{};
  std::vector<std::function<void()>> when_continued;
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed) : random_(seed), state_(RandomConfig()) {}

  void Run() {
    At(now_, [this] { Tell(Start{}); });
    PlanUser();
    PlanLosses();
    PlanAccusations();
    At(kPatience, [this] { Tell(StopRequested{SIGTERM}); });
    while (!schedule_.empty() && !::testing::Test::HasFailure()) {
      auto next = schedule_.extract(schedule_.begin());
      now_ = next.key().first;
      next.mapped()();
    }
    EXPECT_EQ(jobs_ended_, 1);
    EXPECT_EQ(state_.phase, Phase::kDone);
  }

  int rounds() const { return rounds_; }
  int times_survived() const { return times_survived_; }
  bool lost_a_node() const { return state_.lost_node.has_value(); }

 private:
  bool Chance(int percent) { return random_.Below(100) < static_cast<uint64_t>(percent); }
  Duration Upto(Duration limit) {
    return Duration(static_cast<int64_t>(random_.Below(static_cast<uint64_t>(limit.count()) + 1)));
  }

  GangConfig RandomConfig() {
    GangConfig config{.rank_count = 1 + static_cast<int>(random_.Below(6)),
                      .max_restarts = static_cast<int>(random_.Below(4)),
                      .seed = random_.Next()};
    if (Chance(20)) config.restarts_used = static_cast<int>(random_.Below(3));
    if (Chance(20)) config.peer_failure_grace = 0s;
    if (Chance(20)) config.user_stop_grace = 0s;
    if (Chance(20)) config.tie_window = 0s;
    if (Chance(50)) {
      config.keep_survivors = true;
      config.min_ranks = 1 + static_cast<int>(random_.Below(3));
    }
    return config;
  }

  // -- time

  static int NodeOf(RankProcess id) { return id.rank.value() / kRanksPerNode; }
  bool Lost(RankProcess id) const { return fenced_at_.contains(NodeOf(id)); }

  void At(SteadyTime due, std::function<void()> what) {
    schedule_.emplace(std::make_pair(due, next_++), std::move(what));
  }
  void After(Duration delay, std::function<void()> what) { At(now_ + delay, std::move(what)); }

  // -- the gang

  template <class What>
  void Tell(What what) {
    StepResult result = Step(std::move(state_), {now_, std::move(what)});
    state_ = std::move(result.state);
    EXPECT_TRUE(jobs_ended_ == 0 || result.actions.empty()) << "an action after the job's end";
    for (const Action& action : result.actions) {
      std::visit([this](const auto& one) { this->Do(one); }, action);
    }
  }

  void Do(const SpawnRanks& action) {
    for (const SimProcess& process : processes_) {
      EXPECT_FALSE(process.tree_alive) << "two rounds alive at once";
    }
    EXPECT_LE(action.restart_count,
              std::max(state_.config.max_restarts, state_.config.restarts_used));
    ++rounds_;
    round_first_ = processes_.size();
    first_signal_.reset();
    teardown_began_.reset();
    asked_.clear();
    gone_.clear();
    EXPECT_GT(action.round.value(), last_round_) << "a round's number comes twice";
    last_round_ = action.round.value();
    EXPECT_TRUE(fenced_at_.empty()) << "a round after a node was lost";
    bool failed = false;
    Duration delay{0};
    for (const RankProcess& id : action.processes) {
      delay += Upto(1ms);
      if (failed || Chance(1)) {
        const base::Status error = failed       ? base::CancelledError("not begun")
                                   : Chance(50) ? base::NotFoundError("no program")
                                                : base::ResourceExhaustedError("no process");
        failed = true;
        round_disturbed_ = true;
        After(delay, [this, id, error] {
          if (!Lost(id)) Tell(SpawnFailed{id, error});
        });
      } else {
        After(delay, [this, id] { Spawn(id); });
      }
    }
  }

  void Do(const SignalLeaders& action) {
    NoteSignal();
    for (const RankProcess& id : action.processes) {
      EXPECT_FALSE(Lost(id)) << "a signal to a lost node";
      SimProcess& process = Find(id);
      if (action.signal == SIGCONT) Continue(process);
      if (action.signal == SIGTERM && process.leader_alive && !process.ignores_term) {
        const RankExit exit = Chance(50) ? RankExit{} : RandomFailure();
        EndLater(id, Upto(3s), exit, false);
      }
    }
  }

  void Do(const SignalTrees& action) {
    for (const RankProcess& id : action.processes) {
      if (Lost(id)) continue;  // what a finished rank left there
      SimProcess& process = Find(id);
      EXPECT_TRUE(process.tree_alive);
      if (action.signal == SIGSTOP) process.stopped = true;
      if (action.signal == SIGCONT) Continue(process);
    }
  }

  void Do(const GoOn& action) {
    ++times_survived_;
    const RoundOutcome& outcome = action.outcome;
    EXPECT_TRUE(state_.config.keep_survivors);
    EXPECT_FALSE(first_signal_.has_value());
    EXPECT_EQ(outcome.next_round.value(), last_round_ + 1);
    last_round_ = outcome.next_round.value();
    EXPECT_GE(outcome.ranks_left, state_.config.min_ranks);
    ASSERT_TRUE(outcome.culprit.has_value());
    EXPECT_EQ(std::count(action.gone.begin(), action.gone.end(), *outcome.culprit), 1);
    for (const Rank rank : action.gone) {
      EXPECT_TRUE(gone_.insert(rank).second) << "a rank goes twice";
      const RankRecord& record = outcome.ranks[static_cast<size_t>(rank.value())];
      EXPECT_TRUE(record.lost || record.exit.has_value() || record.accusation.has_value());
    }
  }

  void Do(const KillTrees& action) {
    if (state_.signalled) NoteSignal();  // else of those that the others go on without
    for (const RankProcess& id : action.processes) {
      if (Lost(id)) {
        AnswerForLost(id);
        continue;
      }
      // Answered once, by the kill that is under way.
      if (std::find(asked_.begin(), asked_.end(), id) != asked_.end()) continue;
      if (Find(id).unkillable) {
        After(action.deadline, [this, id] {
          if (!Lost(id)) Tell(KillFailed{id, base::DeadlineExceededError("D")});
        });
        asked_.push_back(id);
        continue;
      }
      asked_.push_back(id);
      After(Upto(5ms), [this, id] {
        if (Lost(id)) return;
        SimProcess& process = Find(id);
        process.tree_alive = false;
        if (process.leader_alive) End(id, {.signal = SIGKILL}, false);
        After(Upto(2ms), [this, id] {
          if (!Lost(id)) Tell(RankGone{id});
        });
      });
    }
  }

  /// The driver's part: when the node is fenced its ranks are gone, and nobody asks it.
  void AnswerForLost(RankProcess id) {
    At(std::max(now_, fenced_at_.at(NodeOf(id))), [this, id] {
      if (id.incarnation.value() == incarnation()) Tell(RankGone{id});
    });
  }

  void Do(const SetTimer& action) {
    EXPECT_GE(action.due, now_);
    At(action.due, [this, action] { Tell(TimerFired{action.timer, action.generation}); });
  }
  void Do(const ClearTimer&) {
  }  // as in life, a fired timer may be under way: it comes all the same

  void Do(const PersistRestarts& action) {
    EXPECT_LE(action.used, state_.config.max_restarts);
    persisted_ = action.used;
  }

  void Do(const RoundEnded& action) {
    const RoundOutcome& outcome = action.outcome;
    for (size_t i = round_first_; i < processes_.size(); ++i) {
      EXPECT_TRUE(!processes_[i].tree_alive || processes_[i].unkillable)
          << "a tree outlives its round";
    }
    if (teardown_began_.has_value()) {
      const Duration grace =
          std::max(state_.config.peer_failure_grace, state_.config.user_stop_grace);
      EXPECT_LE(now_ - *teardown_began_, grace + state_.config.kill_deadline + kLease + kSlack);
    }
    EXPECT_EQ(outcome.lost_node.has_value(), !fenced_at_.empty());
    if (outcome.end == RoundEnd::kNodeLost) {
      EXPECT_EQ(outcome.decision, Decision::kNodeLost);
      // The loss of another one may have been survived.
      EXPECT_TRUE(state_.config.keep_survivors || outcome.lost_node->node.value() == first_lost_);
      ASSERT_TRUE(outcome.culprit.has_value());
      EXPECT_TRUE(outcome.ranks[static_cast<size_t>(outcome.culprit->value())].lost);
      EXPECT_TRUE(!first_signal_.has_value() || lost_at_ <= *first_signal_);
    }
    for (const RankRecord& rank : outcome.ranks) {
      EXPECT_TRUE(!rank.lost || (Lost(rank.process) && !rank.exit.has_value()));
      EXPECT_TRUE(!rank.lost || now_ >= fenced_at_.at(NodeOf(rank.process)))
          << "the round ends before the node is fenced";
    }
    if (outcome.culprit.has_value()) {
      const RankRecord& culprit = outcome.ranks[static_cast<size_t>(outcome.culprit->value())];
      EXPECT_FALSE(culprit.excluded) << "the others have outlived it";
      if (culprit.exit.has_value() && !culprit.accusation.has_value()) {
        const SimProcess& process = Find(culprit.process);
        EXPECT_TRUE(process.ended_by_itself);
        EXPECT_FALSE(process.exit.ok());
        EXPECT_TRUE(!first_signal_.has_value() || process.ended_at <= *first_signal_)
            << "the culprit died after our signal";
      }
    }
    if (outcome.end == RoundEnd::kSucceeded) {
      for (const RankRecord& rank : outcome.ranks)
        EXPECT_TRUE(rank.excluded || (rank.exit.has_value() && rank.exit->ok()));
      EXPECT_FALSE(outcome.culprit.has_value());
    }
    EXPECT_TRUE(outcome.end != RoundEnd::kStoppedByUser || outcome.stop_signal != 0);
    EXPECT_TRUE(round_disturbed_ || outcome.end == RoundEnd::kNodeLost ||
                outcome.stop_signal != 0 || outcome.end == RoundEnd::kSucceeded);
    round_disturbed_ = false;
  }

  void Do(const Notice& action) { EXPECT_FALSE(action.ranks.empty()); }

  void Do(const JobEnded& action) {
    ++jobs_ended_;
    for (const SimProcess& process : processes_)
      EXPECT_TRUE(!process.tree_alive || process.unkillable);
    EXPECT_EQ(action.outcome.restarts_used, std::max(persisted_, state_.config.restarts_used));
  }

  void NoteSignal() {
    if (!teardown_began_.has_value()) teardown_began_ = now_;
    if (!first_signal_.has_value()) first_signal_ = now_;
  }

  // -- ranks

  SimProcess& Find(RankProcess id) {
    for (size_t i = round_first_; i < processes_.size(); ++i) {
      if (processes_[i].id == id) return processes_[i];
    }
    ADD_FAILURE() << "an action about a process that is not of this round: rank " << id.rank;
    return processes_.front();
  }

  uint32_t incarnation() const {
    return state_.ranks.empty() ? 0 : state_.ranks[0].process.incarnation.value();
  }

  RankExit RandomFailure() {
    const std::string said = Chance(50) ? "same" : "";
    switch (random_.Below(5)) {
      case 0: return {.signal = SIGKILL, .out_of_memory = true};
      case 1: return {.signal = SIGKILL};
      case 2: return {.signal = SIGSEGV, .fingerprint = said};
      case 3: return {.signal = SIGABRT, .fingerprint = said};
      default: return {.exit_code = 1, .fingerprint = said};
    }
  }

  void Spawn(RankProcess id) {
    if (Lost(id)) return;
    processes_.push_back({.id = id, .unkillable = Chance(1), .ignores_term = Chance(20)});
    Tell(RankSpawned{id, static_cast<int64_t>(1000 + processes_.size())});
    if (Chance(30)) {
      const auto step = static_cast<int64_t>(random_.Below(10));
      After(Upto(1s), [this, id, step] {
        if (!Lost(id)) Tell(Progress{id, step});
      });
    }
    if (Chance(3)) return;  // runs until it is killed
    const RankExit exit = Chance(85) ? RankExit{} : RandomFailure();
    EndLater(id, Upto(Chance(50) ? 40s : 50ms), exit, true);
  }

  void EndLater(RankProcess id, Duration delay, const RankExit& exit, bool by_itself) {
    After(delay, [this, id, exit, by_itself] { End(id, exit, by_itself); });
  }

  void End(RankProcess id, const RankExit& exit, bool by_itself) {
    const auto found = std::find_if(processes_.begin(), processes_.end(),
                                    [id](const SimProcess& process) { return process.id == id; });
    SimProcess& process = *found;
    if (!process.leader_alive || (process.unkillable && !by_itself) || process.unheard) return;
    if (process.stopped && process.tree_alive) {  // a stopped process ends when it is continued
      process.when_continued.push_back([this, id, exit, by_itself] { End(id, exit, by_itself); });
      return;
    }
    process.leader_alive = false;
    process.ended_by_itself = by_itself;
    process.exit = exit;
    process.ended_at = now_;
    After(Upto(1ms), [this, id, exit] {
      if (!Lost(id)) Tell(RankExited{id, exit});
    });
    if (by_itself && !exit.ok()) {
      round_disturbed_ = true;
      BreakPeers(id);
    }
    // Nobody asked, so it must change nothing. Once somebody has asked it would be a lie, which no
    // driver tells.
    const bool is_asked = std::find(asked_.begin(), asked_.end(), id) != asked_.end();
    if (Chance(5) && state_.phase != Phase::kKilling && !is_asked) Tell(RankGone{id});
  }

  /// Peers whose connection broke end with an error of their own, some of them before we hear of
  /// its cause.
  void BreakPeers(RankProcess id) {
    for (const SimProcess& process : processes_) {
      if (process.id.incarnation == id.incarnation && process.leader_alive && Chance(50)) {
        EndLater(process.id, Upto(30ms), {.exit_code = 1}, true);
      }
    }
  }

  void Continue(SimProcess& process) {
    process.stopped = false;
    for (auto& what : std::exchange(process.when_continued, {})) After(0ms, std::move(what));
  }

  // -- the user, and messages from the past

  void PlanUser() {
    while (Chance(25)) {
      const int signal = Chance(50) ? SIGINT : SIGTERM;
      const bool at_once = Chance(10);
      After(Upto(60s), [this, signal, at_once] { Tell(StopRequested{signal, at_once}); });
    }
    while (Chance(25)) {
      const Duration when = Upto(40s);
      After(when, [this] { Tell(SuspendRequested{}); });
      After(when + Upto(40s), [this] { Tell(ResumeRequested{}); });
    }
    while (Chance(50)) {
      const RankProcess id{Rank(static_cast<int32_t>(random_.Below(8)) - 1),
                           base::Incarnation(static_cast<uint32_t>(random_.Below(2)))};
      After(Upto(60s), [this, id] {
        if (id.incarnation.value() < incarnation()) {
          Tell(RankExited{id, {.exit_code = 9}});
          Tell(KillFailed{id, base::InternalError("stale")});
          Tell(RankGone{id});
        }
        Tell(TimerFired{Timer::kGrace, state_.next_generation});
      });
    }
  }

  // -- nodes

  void PlanLosses() {
    while (Chance(15)) {
      const int node = static_cast<int>(random_.Below(3));
      After(Upto(Chance(50) ? 60s : 1s), [this, node] { LoseNode(node); });
    }
  }

  /// Ranks that give each other up, also those that are not there.
  void PlanAccusations() {
    while (Chance(30)) {
      const Rank accused(static_cast<int32_t>(random_.Below(8)) - 1);
      const Rank by(static_cast<int32_t>(random_.Below(6)));
      After(Upto(Chance(50) ? 40s : 50ms), [this, by, accused] {
        const RankProcess id{by, base::Incarnation(incarnation())};
        if (Lost(id)) return;
        round_disturbed_ = true;
        Tell(RankAccused{id, accused, "it hangs"});
      });
    }
  }

  /// In truth its processes live on, unheard of, until its agent fences itself.
  void LoseNode(int node) {
    if (fenced_at_.contains(node) || jobs_ended_ > 0) return;
    if (node * kRanksPerNode >= state_.config.rank_count) return;
    if (fenced_at_.empty()) {
      first_lost_ = node;
      lost_at_ = now_;
    }
    fenced_at_[node] = now_ + Upto(kLease);
    At(fenced_at_[node], [this, node] {
      for (SimProcess& process : processes_) {
        if (NodeOf(process.id) == node) process.tree_alive = process.leader_alive = false;
      }
    });
    for (SimProcess& process : processes_) {
      if (NodeOf(process.id) == node) process.unheard = true;
    }
    for (const RankProcess& id : asked_) {
      if (NodeOf(id) == node) AnswerForLost(id);
    }
    RanksLost event{.node = base::NodeIndex(node), .why = base::UnavailableError("lost")};
    for (int i = 0; i < kRanksPerNode; ++i) event.ranks.push_back(Rank(node * kRanksPerNode + i));
    Tell(std::move(event));
  }

  Random random_;
  GangState state_;
  SteadyTime now_{1s};
  uint64_t next_ = 0;
  std::map<std::pair<SteadyTime, uint64_t>, std::function<void()>> schedule_;
  std::vector<SimProcess> processes_;    // of all rounds
  size_t round_first_ = 0;               // where those of the last round begin
  std::vector<RankProcess> asked_;       // to be killed, in this round
  std::map<int, SteadyTime> fenced_at_;  // of lost nodes
  int first_lost_ = -1;
  SteadyTime lost_at_{};
  std::optional<SteadyTime> first_signal_;
  std::optional<SteadyTime> teardown_began_;
  bool round_disturbed_ = false;  // something failed by itself
  int persisted_ = 0;
  int rounds_ = 0;
  int64_t last_round_ = -1;
  std::set<Rank> gone_;  // of this round's processes
  int times_survived_ = 0;
  int jobs_ended_ = 0;
};

TEST(GangSimulationTest, InvariantsHoldInEverySchedule) {
  uint64_t first = 1;
  uint64_t count = std::getenv("LOCKSTEP_SOAK") != nullptr ? 100'000 : 2'000;
  if (const char* seed = std::getenv("LOCKSTEP_SEED"); seed != nullptr) {
    first = std::strtoull(seed, nullptr, 10);
    count = 1;
  }
  uint64_t restarted = 0;
  uint64_t lost_a_node = 0;
  uint64_t survived = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("LOCKSTEP_SEED=" + std::to_string(seed));
    Simulation simulation(seed);
    simulation.Run();
    if (simulation.rounds() > 1) ++restarted;
    if (simulation.lost_a_node()) ++lost_a_node;
    if (simulation.times_survived() > 0) ++survived;
    if (HasFailure()) return;
  }
  EXPECT_TRUE(count == 1 || restarted > count / 20)
      << "schedules hardly ever restart: they prove little";
  EXPECT_TRUE(count == 1 || survived > count / 20)
      << "schedules hardly ever have survivors: they prove little";
  EXPECT_TRUE(count == 1 || lost_a_node > count / 50)
      << "schedules hardly ever lose a node: they prove little";
}

TEST(GangSimulationTest, SameEventsGiveTheSameActions) {
  // Step is pure: two copies of a state, one event, one answer, down to the jitter.
  GangState state({.rank_count = 1, .max_restarts = 5, .seed = 42});
  const RankProcess first{Rank(0), base::Incarnation(0)};
  const RankProcess second{Rank(0), base::Incarnation(1)};
  const std::vector<decltype(Event::what)> events = {
      Start{},         RankSpawned{first, 1},  RankExited{first, {.signal = SIGKILL}},
      RankGone{first}, RankSpawned{second, 2}, RankExited{second, {.signal = SIGKILL}},
      RankGone{second}};
  for (const auto& what : events) {
    const StepResult one = Step(state, {SteadyTime(1s), what});
    const StepResult two = Step(state, {SteadyTime(1s), what});
    ASSERT_EQ(one.actions.size(), two.actions.size());
    for (size_t i = 0; i < one.actions.size(); ++i) {
      ASSERT_EQ(one.actions[i].index(), two.actions[i].index());
      if (const auto* timer = std::get_if<SetTimer>(&one.actions[i])) {
        EXPECT_EQ(timer->due, std::get<SetTimer>(two.actions[i]).due);
      }
    }
    state = one.state;
  }
  EXPECT_EQ(state.phase, Phase::kBackingOff);
}

}  // namespace
}  // namespace lockstep::elastic
