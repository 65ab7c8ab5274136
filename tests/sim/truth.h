// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_SIM_TRUTH_H_
#define LOCKSTEP_TESTS_SIM_TRUTH_H_

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "elastic/gang.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/random.h"
#include "runtime/process/processes.h"
#include "runtime/process/sim_processes.h"

namespace lockstep::sim {

/// What really happened in one simulated job, whoever heard of it: against this the verdicts are
/// held, and what may never happen fails the test here. One per simulation. Confined to its thread.
class Truth {
 public:
  using Key = std::pair<base::Rank, base::Incarnation>;

  struct Life {
    base::NodeIndex node;
    process::SimProgram program;
    std::optional<process::Exit> exit;
    base::SteadyTime ended_at{};  // of the simulation, when its agent learned of it

    /// It ended as its program says, and that was a failure: nobody made it.
    bool FailedByItself() const;
  };

  /// Programs are drawn from `seed` alone, whatever order they start in.
  explicit Truth(uint64_t seed) : seed_(seed) {}

  static Key KeyOf(const elastic::RankProcess& process) {
    return {process.rank, process.incarnation};
  }

  /// The gang wants this round; it has no other one.
  void OnRoundBegins(const elastic::SpawnRanks& round);
  void OnRoundEnds() { ordered_.clear(); }
  bool IsOrdered(const elastic::RankProcess& process) const {
    return ordered_.contains(KeyOf(process));
  }
  base::Round round() const { return round_; }

  /// A node is about to start it; what its program does.
  process::SimProgram OnStart(base::NodeIndex node, const elastic::RankProcess& process);
  void OnExited(const elastic::RankProcess& process, const process::Exit& exit,
                base::SteadyTime now);

  const Life* Find(const elastic::RankProcess& process) const;
  /// Failures of that round's processes that nobody else made, the first of them first.
  std::map<base::SteadyTime, const Life*> FailuresOf(base::Incarnation incarnation) const;

  /// Goes into the trace: two runs of one seed must have the same.
  void Note(base::SteadyTime now, std::initializer_list<int64_t> what);
  uint64_t trace() const { return trace_; }

 private:
  process::SimProgram ProgramOf(const elastic::RankProcess& process) const;
  void FailTogether(const elastic::RankProcess& process, base::Random& random,
                    process::SimProgram& program) const;

  const uint64_t seed_;
  base::Round round_;
  bool any_round_ = false;
  std::set<Key> ordered_;  // of the round
  std::map<Key, Life> lives_;
  uint64_t trace_ = 0xcbf29ce484222325u;
};

}  // namespace lockstep::sim

#endif  // LOCKSTEP_TESTS_SIM_TRUTH_H_
