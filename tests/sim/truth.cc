// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/sim/truth.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

namespace lockstep::sim {
namespace {

using namespace std::chrono_literals;

std::string NameOf(const elastic::RankProcess& process) {
  return "rank " + process.rank.ToString() + "#" + process.incarnation.ToString();
}

}  // namespace

bool Truth::Life::FailedByItself() const {
  if (!exit || !program.runs_for) return false;
  return (program.ends_with.code != 0 || program.ends_with.signal != 0) &&
         exit->code == program.ends_with.code && exit->signal == program.ends_with.signal;
}

void Truth::OnRoundBegins(const elastic::SpawnRanks& round) {
  EXPECT_TRUE(ordered_.empty()) << "a round begins within another";
  EXPECT_TRUE(!any_round_ || round.round > round_) << "rounds go up";
  any_round_ = true;
  round_ = round.round;
  for (const elastic::RankProcess& process : round.processes) ordered_.insert(KeyOf(process));
}

process::SimProgram Truth::OnStart(base::NodeIndex node, const elastic::RankProcess& process) {
  EXPECT_TRUE(IsOrdered(process)) << NameOf(process)
                                  << " starts, and the gang has not asked for it";
  const auto [found, is_new] =
      lives_.emplace(KeyOf(process), Life{.node = node, .program = ProgramOf(process)});
  EXPECT_TRUE(is_new) << NameOf(process) << " starts a second time, on node " << node;
  return found->second.program;
}

void Truth::OnExited(const elastic::RankProcess& process, const process::Exit& exit,
                     base::SteadyTime now) {
  Life& life = lives_.at(KeyOf(process));
  EXPECT_FALSE(life.exit.has_value()) << NameOf(process) << " ends twice";
  life.exit = exit;
  life.ended_at = now;
}

const Truth::Life* Truth::Find(const elastic::RankProcess& process) const {
  const auto found = lives_.find(KeyOf(process));
  return found == lives_.end() ? nullptr : &found->second;
}

std::map<base::SteadyTime, const Truth::Life*> Truth::FailuresOf(
    base::Incarnation incarnation) const {
  std::map<base::SteadyTime, const Life*> failures;
  for (const auto& [key, life] : lives_) {
    if (key.second == incarnation && life.FailedByItself()) failures.emplace(life.ended_at, &life);
  }
  return failures;
}

process::SimProgram Truth::ProgramOf(const elastic::RankProcess& process) const {
  base::Random random(seed_ ^ (static_cast<uint64_t>(process.rank.value()) << 32) ^
                      process.incarnation.value());
  const auto chance = [&random](int percent) {
    return random.Below(100) < static_cast<uint64_t>(percent);
  };
  process::SimProgram program;
  if (chance(80)) program.runs_for = std::chrono::milliseconds(random.Below(8000));
  if (chance(15)) program.ends_with.code = 1 + static_cast<int>(random.Below(3));
  if (chance(6)) program.ends_with = {.signal = chance(50) ? SIGSEGV : SIGKILL};
  program.ignores_term = chance(20);
  program.term_takes = std::chrono::milliseconds(random.Below(3000));
  if (chance(10)) program.term_exit_code = 0;
  program.leaves_descendants = chance(20);
  program.stuck = chance(1);
  if (chance(2)) program.spawn = base::ResourceExhaustedError("the process limit");
  FailTogether(process, random, program);
  return program;
}

/// In some rounds many ranks crash at about the same time: who was first?
void Truth::FailTogether(const elastic::RankProcess& process, base::Random& random,
                         process::SimProgram& program) const {
  base::Random round(seed_ + process.incarnation.value());
  if (round.Below(4) != 0 || random.Below(3) == 0) return;
  const auto when = std::chrono::milliseconds(3000 + round.Below(3000));
  program.runs_for = when + std::chrono::milliseconds(random.Below(60));
  program.ends_with = {.signal = SIGSEGV};
}

void Truth::Note(base::SteadyTime now, std::initializer_list<int64_t> what) {
  const auto add = [this](int64_t word) {
    trace_ = (trace_ ^ static_cast<uint64_t>(word)) * 0x100000001b3u;
  };
  add(now.time_since_epoch().count());
  for (const int64_t word : what) add(word);
}

}  // namespace lockstep::sim
