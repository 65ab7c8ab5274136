// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_ELASTIC_GANG_STATE_H_
#define LOCKSTEP_ELASTIC_GANG_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/random.h"
#include "runtime/base/status.h"

/// What is known of a gang: its rules, its ranks in the round that runs, how rounds end. Values
/// without a thread of their own. What changes them is gang.h.
namespace lockstep::elastic {

/// How often and how soon a failed gang starts again, and how long ranks are given to end.
struct GangConfig {
  int rank_count = 1;    // at least 1
  int max_restarts = 0;  // of the whole gang, for the whole job
  /// By this job before this agent (kept on disk: PersistRestarts); also the first round's number.
  int restarts_used = 0;
  /// Before the second restart in a row; doubles from there. The first one after progress comes at
  /// once.
  base::Duration backoff_first = std::chrono::seconds(1);
  base::Duration backoff_max = std::chrono::seconds(60);
  uint64_t seed = 0;  // of the backoff's jitter
  /// From TERM to KILL when a rank failed, and when the user stops the job; 0 = KILL at once.
  base::Duration peer_failure_grace = std::chrono::seconds(2);
  base::Duration user_stop_grace = std::chrono::seconds(30);
  /// From KILL to giving up on a process that does not die.
  base::Duration kill_deadline = std::chrono::seconds(10);
  /// From the first exit 0 to a notice that others run on; 0 = no notice.
  base::Duration early_exit_notice = std::chrono::seconds(10);
  base::Duration tie_window = std::chrono::milliseconds(20);
  bool stop_on_repeated_failure = true;  // only in jobs that have reported progress at least once
  /// When a rank fails, those that are left go on without it in a round of their own, as long as
  /// there are `min_ranks` of them; else the gang comes down.
  bool keep_survivors = false;
  int min_ranks = 1;
};

/// One process in the place of a rank: the pair names it within the job. A rank's incarnations
/// never repeat (all ranks of a round may well share one), so an event about a process of an old
/// round matches nothing and is ignored.
struct RankProcess {
  base::Rank rank;
  base::Incarnation incarnation;

  friend bool operator==(const RankProcess&, const RankProcess&) = default;
};

/// How a rank's leader ended.
struct RankExit {
  int exit_code = 0;  // when signal is 0
  int signal = 0;
  bool out_of_memory = false;
  /// What makes two failures the same failure ("ValueError: bad shape at train.py:10"); "" = cannot
  /// be told, and then it never counts as repeated.
  std::string fingerprint;

  bool ok() const { return signal == 0 && exit_code == 0; }
  friend bool operator==(const RankExit&, const RankExit&) = default;
};

/// A rank that is no member of a round.
struct GoneRank {
  base::Rank rank;
  std::string why;

  friend bool operator==(const GoneRank&, const GoneRank&) = default;
};

/// That a rank gives up another one, which may still live; or that whoever watches all of them
/// does.
struct Accusation {
  std::optional<base::Rank> by;
  std::string why;
};

// ---------------------------------------- outcomes

/// What is known of one rank in one round.
struct RankRecord {
  enum class Life : uint8_t {
    kSpawning,
    kAlive,       // the leader runs
    kExited,      // the leader has ended, or counts as ended; the rest of its tree may live
    kGone,        // nothing is left
    kNeverLived,  // SpawnFailed
    kUnkillable,  // KillFailed
  };

  RankProcess process;
  Life life = Life::kSpawning;
  int64_t pid = 0;               // 0 until spawned
  std::optional<RankExit> exit;  // the leader's, once known
  bool lost = false;             // it had not ended when its node was lost; `exit` stays unknown
  base::Status error;            // of SpawnFailed or KillFailed
  bool tree_gone = false;
  bool ended_before_signal = false;  // its end cannot be our doing
  base::SteadyTime ended_at{};       // of exit, SpawnFailed or RanksLost
  base::Duration ended_error{0};     // how far that may be off
  bool excluded = false;             // the others have gone on without it
  std::optional<Accusation> accusation;

  /// Failed by itself: a candidate for the culprit.
  bool failed() const;
};

enum class RoundEnd : uint8_t {
  kSucceeded,
  kRankFailed,
  kLaunchFailed,
  kNodeLost,
  kRankAccused,
  kStoodStill,  // and nobody is to blame
  kStoppedByUser
};

/// Which node was lost first, and why.
struct NodeLoss {
  base::NodeIndex node;
  base::Status why;
};

/// That all stand still and nobody is to blame: why, in words, and when that was found.
struct Standstill {
  std::string why;
  base::SteadyTime at{};
};

/// Why the job ended, or that it goes on.
enum class Decision : uint8_t {
  kRestart,
  kSucceeded,
  kStoppedByUser,
  kOutOfRestarts,    // also when none were allowed
  kRepeatedFailure,  // the same failure twice without a step of progress
  kCannotLaunch,     // the launch failed for a reason that a restart does not cure
  kUnkillable,       // processes of the round do not die; a round beside them would be unsafe
  kNodeLost,         // whatever the budget: there is no node to take its place
  kToldToEnd,        // whatever the budget: whoever blamed the ranks wanted no other round
  kGoOn,  // the round's survivors do, in one of their own; never of a round that has ended
};

/// One round from first spawn to last process gone; or, for kGoOn, to the failure that its
/// survivors live on after.
struct RoundOutcome {
  base::Round round;
  RoundEnd end = RoundEnd::kSucceeded;
  /// For kRankFailed, kRankAccused and kLaunchFailed; for kNodeLost the first rank of the node that
  /// had not ended.
  std::optional<base::Rank> culprit;
  /// For kNodeLost the cause; otherwise a node that was lost as well, if one was.
  std::optional<NodeLoss> lost_node;
  std::string stood_still;        // for kStoodStill: why, in words
  std::vector<RankRecord> ranks;  // indexed by rank
  base::SteadyTime started_at{};
  base::SteadyTime failed_at{};  // of the culprit's end; for kStoodStill when that was found
  base::SteadyTime ended_at{};
  std::optional<int64_t> best_step;  // the job's highest step so far
  int stop_signal = 0;               // 0 = the user did not ask
  Decision decision = Decision::kSucceeded;
  int restart = 0;          // for kRestart: this is restart k ...
  int max_restarts = 0;     // ... of n ...
  base::Duration delay{0};  // ... after this long
  base::Round next_round;   // for kGoOn: that of the survivors,
  int ranks_left = 0;       // of whom there are so many, with those that have ended well
};

// ---------------------------------------- state

enum class Timer : uint8_t { kSettle, kGrace, kBackoff, kEarlyExit };
inline constexpr int kTimerCount = 4;
enum class Phase : uint8_t {
  kIdle,
  kStarting,  // some ranks are still being spawned
  kRunning,
  kSettling,     // a weak failure was seen; a stronger one may follow within the tie window
  kTerminating,  // TERM was sent to the leaders
  kKilling,      // KILL was sent to the trees of all ranks, also of those that exited long ago
  kBackingOff,
  kDone,
};

std::string_view PhaseName(Phase phase);
std::string_view DecisionName(Decision decision);

/// Everything the next step depends on. Read it for a status display; change it only through
/// Step().
struct GangState {
  /// `config` must hold at least one rank.
  explicit GangState(const GangConfig& config);

  GangConfig config;
  base::Random jitter;
  Phase phase = Phase::kIdle;
  base::Round round;  // in which the processes were started
  /// In force: `round`, or a later one once survivors have gone on.
  base::Round membership_round;
  int restarts_used = 0;
  std::vector<RankRecord> ranks;  // of the round, indexed by rank; empty before the first
  base::SteadyTime round_started_at{};
  std::optional<base::Rank> culprit;     // the best candidate so far
  std::optional<Standstill> standstill;  // for which the round comes down; `culprit` is empty then
  std::optional<NodeLoss> lost_node;
  bool signalled = false;           // we have sent the round its first signal
  base::SteadyTime signalled_at{};  // when
  bool suspended = false;
  int stop_signal = 0;                      // 0 = the user has not asked
  bool stop_came_first = false;             // before any failure of this round
  bool told_to_end = false;                 // by whoever blamed ranks: no round follows
  std::optional<int64_t> best_step;         // over all rounds
  std::optional<int64_t> best_step_before;  // when this round began
  std::optional<RankExit> last_failure;     // the culprit's of the round before
  int fruitless_restarts = 0;               // in a row, without a step of progress between them
  std::optional<base::SteadyTime> first_exit_at;  // first exit 0 of this round
  base::Duration next_notice{0};
  uint64_t next_generation = 1;
  uint64_t armed[kTimerCount] = {};  // generation each timer waits for; 0 = none
};

}  // namespace lockstep::elastic

#endif  // LOCKSTEP_ELASTIC_GANG_STATE_H_
