// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// The state tables of docs/protocols.md are those of the code: random walks through each step
// function find every change of phase that there is, and the document lists these and no others. A
// table that is stale fails here with the rows that it should have.
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <chrono>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "elastic/gang.h"
#include "elastic/lease.h"
#include "elastic/membership.h"
#include "runtime/base/random.h"

namespace lockstep::elastic {
namespace {

using base::Duration;
using base::Random;
using base::SteadyTime;
using namespace std::chrono_literals;

constexpr int kWalks = 200'000;
constexpr int kStepsOfAWalk = 80;

/// "| state | event | next": a change of phase.
using Rows = std::set<std::string>;

template <class Names>
void Add(Rows& rows, const Names& names, size_t from, std::string_view event, size_t to) {
  if (from == to) return;
  rows.insert("| " + std::string(names.at(from)) + " | " + std::string(event) + " | " +
              std::string(names.at(to)));
}

/// The first three cells of each row of the table below the heading that names `machine`.
Rows TableOf(const std::string& machine) {
  std::ifstream file("docs/protocols.md");
  EXPECT_TRUE(file.is_open());
  Rows rows;
  std::string line;
  while (std::getline(file, line) && line != "### " + machine) continue;
  while (std::getline(file, line) && line.rfind("| state ", 0) != 0) continue;
  std::getline(file, line);  // the rule below the header
  while (std::getline(file, line) && line.rfind("| ", 0) == 0) {
    size_t end = 0;
    for (int cell = 0; cell < 3; ++cell) end = line.find(" |", end + 1);
    EXPECT_TRUE(rows.insert(line.substr(0, end)).second) << "twice: " << line;
  }
  EXPECT_FALSE(rows.empty()) << "docs/protocols.md has no table of " << machine;
  return rows;
}

void ExpectDocumented(const std::string& machine, const Rows& found) {
  const Rows documented = TableOf(machine);
  for (const std::string& row : found) {
    EXPECT_TRUE(documented.contains(row)) << "missing in docs/protocols.md, " << machine << ":\n"
                                          << row << " |";
  }
  for (const std::string& row : documented) {
    EXPECT_TRUE(found.contains(row)) << "not so in the code, " << machine << ":\n" << row << " |";
  }
}

Duration Upto(Random& random, Duration limit) {
  return Duration(static_cast<int64_t>(random.Below(static_cast<uint64_t>(limit.count()) + 1)));
}

// ------------------------------------------------------------------------------------- membership

constexpr std::array<std::string_view, 4> kMembershipPhases = {"kIdle", "kForming", "kFormed",
                                                               "kFinished"};
constexpr std::array<std::string_view, 6> kMembershipEvents = {
    "BeginForming",    "Joined",           "HeartbeatCame",
    "ConnectionEnded", "FinishMembership", "MembershipTimerFired"};
using MembershipWhat = decltype(MembershipEvent::what);
static_assert(std::variant_size_v<MembershipWhat> == kMembershipEvents.size());

MembershipWhat AnyMembershipEvent(Random& random, const MembershipState& state) {
  const Member member(random.Below(4));
  switch (random.Below(8)) {
    case 0: return BeginForming{};
    case 1:
    case 2: {
      NodeFacts facts{.host = "h" + member.ToString(), .slots = 1};
      if (random.Below(8) == 0) facts.slots = 0;  // refused
      return Joined{member, facts, random.Below(4) == 0};
    }
    case 3: return HeartbeatCame{member};
    case 4: return ConnectionEnded{member, base::OkStatus()};
    case 5:
      if (random.Below(4) == 0) return FinishMembership{};
      return HeartbeatCame{member};
    default: return MembershipTimerFired{state.timer_generation - random.Below(2)};
  }
}

TEST(ProtocolsDocumentTest, MembershipTable) {
  Random random(1);
  Rows found;
  for (int walk = 0; walk < kWalks; ++walk) {
    MembershipState state(
        {.node_count = 1 + static_cast<int>(random.Below(3)), .lease = 2s, .join_deadline = 3s});
    SteadyTime now(1s);
    for (int i = 0; i < kStepsOfAWalk; ++i) {
      now += Upto(random, 1s);
      const MembershipWhat what = AnyMembershipEvent(random, state);
      const auto from = static_cast<size_t>(state.phase);
      state = Step(std::move(state), {now, what}).state;
      Add(found, kMembershipPhases, from, kMembershipEvents[what.index()],
          static_cast<size_t>(state.phase));
    }
  }
  ExpectDocumented("Membership", found);
}

// ------------------------------------------------------------------------------------------ lease

constexpr std::array<std::string_view, 3> kLeasePhases = {"kUnleased", "kHeld", "kFenced"};
constexpr std::array<std::string_view, 4> kLeaseEvents = {"LeaseGranted", "HeartbeatAcked",
                                                          "CoordinatorGone", "LeaseTimerFired"};
using LeaseWhat = decltype(LeaseEvent::what);
static_assert(std::variant_size_v<LeaseWhat> == kLeaseEvents.size());

LeaseWhat AnyLeaseEvent(Random& random, const LeaseState& state, SteadyTime now) {
  switch (random.Below(6)) {
    case 0: return LeaseGranted{{}, now - Upto(random, 3s)};
    case 1:
    case 2: return HeartbeatAcked{random.Below(state.next_heartbeat + 1)};
    case 3:
      if (random.Below(8) == 0) return CoordinatorGone{};
      [[fallthrough]];
    default: return LeaseTimerFired{state.timer_generation - random.Below(2)};
  }
}

TEST(ProtocolsDocumentTest, LeaseTable) {
  Random random(2);
  Rows found;
  for (int walk = 0; walk < kWalks; ++walk) {
    LeaseState state;
    SteadyTime now(10s);
    for (int i = 0; i < kStepsOfAWalk; ++i) {
      now += Upto(random, 1s);
      const LeaseWhat what = AnyLeaseEvent(random, state, now);
      const auto from = static_cast<size_t>(state.phase);
      state = Step(std::move(state), {now, what}).state;
      Add(found, kLeasePhases, from, kLeaseEvents[what.index()], static_cast<size_t>(state.phase));
    }
  }
  ExpectDocumented("Lease", found);
}

// ------------------------------------------------------------------------------------------- gang

constexpr std::array<std::string_view, 8> kGangPhases = {"kIdle",       "kStarting",    "kRunning",
                                                         "kSettling",   "kTerminating", "kKilling",
                                                         "kBackingOff", "kDone"};
static_assert(static_cast<size_t>(Phase::kDone) == kGangPhases.size() - 1);
constexpr std::array<std::string_view, 14> kGangEvents = {
    "Start",         "RankSpawned",      "SpawnFailed",     "RankExited",  "RankGone",
    "KillFailed",    "RanksLost",        "RankAccused",     "RanksBlamed", "Progress",
    "StopRequested", "SuspendRequested", "ResumeRequested", "TimerFired"};
using GangWhat = decltype(Event::what);
static_assert(std::variant_size_v<GangWhat> == kGangEvents.size());

RankExit AnyExit(Random& random) {
  switch (random.Below(4)) {
    case 0: return {.exit_code = 7};
    case 1: return {.signal = SIGSEGV};
    default: return {};
  }
}

GangWhat AnyGangEvent(Random& random, const GangState& state) {
  const auto rank = static_cast<size_t>(random.Below(3));
  const RankProcess process =
      rank < state.ranks.size() ? state.ranks[rank].process : RankProcess{base::Rank(9), {}};
  const auto timer = static_cast<Timer>(random.Below(kTimerCount));
  switch (random.Below(17)) {
    case 0: return Start{};
    case 16:
      if (random.Below(3) != 0) return Progress{process, 1};
      if (rank == 0) return RanksBlamed{{base::Rank(0), base::Rank(1)}, "stopped"};
      return RankAccused{process, base::Rank(static_cast<int32_t>(random.Below(3))), "hangs"};
    case 1:
    case 2:
    case 3: return RankSpawned{process, 1};
    case 4:
      if (random.Below(3) != 0) return RankSpawned{process, 1};
      if (random.Below(2) == 0) return SpawnFailed{process, base::NotFoundError("no program")};
      return SpawnFailed{process, base::ResourceExhaustedError("too many processes")};
    case 5:
    case 6:
    case 7:
      // Only what has run ends.
      if (rank < state.ranks.size() && state.ranks[rank].life == RankRecord::Life::kSpawning)
        return RankSpawned{process, 1};
      return RankExited{process, AnyExit(random)};
    case 8:
    case 9: return RankGone{process};
    case 10:
      if (random.Below(3) != 0) return RankGone{process};
      return KillFailed{process, base::DeadlineExceededError("stuck")};
    case 11:
      if (random.Below(4) != 0) return Progress{process, static_cast<int64_t>(random.Below(9))};
      return RanksLost{base::NodeIndex(0), {process.rank}, base::UnavailableError("lost")};
    case 12:
      if (random.Below(4) != 0) return Progress{process, 1};
      return StopRequested{random.Below(2) == 0 ? SIGINT : SIGTERM, random.Below(3) == 0};
    case 13:
      if (random.Below(2) == 0) return SuspendRequested{};
      return ResumeRequested{};
    default: return TimerFired{timer, state.armed[static_cast<int>(timer)]};
  }
}

TEST(ProtocolsDocumentTest, GangTable) {
  Random random(3);
  Rows found;
  for (int walk = 0; walk < kWalks; ++walk) {
    GangState state({.rank_count = 1 + static_cast<int>(random.Below(3)),
                     .max_restarts = static_cast<int>(random.Below(4)),
                     .peer_failure_grace = random.Below(2) == 0 ? 0s : 2s,
                     .user_stop_grace = random.Below(4) == 0 ? 0s : 30s,
                     .tie_window = random.Below(2) == 0 ? 0ms : 20ms,
                     .keep_survivors = random.Below(2) == 0,
                     .min_ranks = 1 + static_cast<int>(random.Below(2))});
    SteadyTime now(1s);
    for (int i = 0; i < kStepsOfAWalk; ++i) {
      now += Upto(random, 1s);
      const GangWhat what = AnyGangEvent(random, state);
      const auto from = static_cast<size_t>(state.phase);
      state = Step(std::move(state), {now, what}).state;
      Add(found, kGangPhases, from, kGangEvents[what.index()], static_cast<size_t>(state.phase));
    }
  }
  ExpectDocumented("Gang", found);
}

}  // namespace
}  // namespace lockstep::elastic
