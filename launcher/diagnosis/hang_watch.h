// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_WATCH_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_WATCH_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/finding.h"
#include "launcher/diagnosis/far_looks.h"
#include "launcher/diagnosis/flight_watch.h"
#include "launcher/diagnosis/pace_looks.h"
#include "launcher/diagnosis/rank_looks.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"

namespace lockstep::launcher {

/// Whose ranks are watched, and who is told: the agent in life, a script in tests. Called on the
/// loop's thread, from the watch's timer.
class HangDelegate {
 public:
  virtual ~HangDelegate() = default;

  /// All of the job's, in their order; of those elsewhere what the gang knows. Empty: nobody is to
  /// be watched now (no round runs, it comes down, it is suspended).
  virtual std::vector<WatchedRank> RanksToWatch() = 0;
  /// Somebody waits for too long. Once for each culprit and op.
  virtual void OnHangNotice(const collectives::Finding& finding,
                            const collectives::Evidence& evidence) = 0;
  /// The job stands still for good, or long enough to act. Once for each thing that is found; where
  /// nothing is done about it, and the job goes on, there may be another one.
  virtual void OnHangVerdict(const collectives::Finding& finding,
                             const collectives::Evidence& evidence) = 0;
};

/// Watches the ranks of a job by their recorder rings: a cheap look at the rings' heads on this
/// machine every look_every, and at everything when somebody waits in an op and makes no progress,
/// or now and then to compare calls that ended well. Agents of other machines look at theirs and
/// say when somebody waits; everything is then fetched from all of them. What it means is
/// Diagnose's to say; when it is said, and when acted upon, is decided here:
///
///   provable               a verdict when two looks in a row say the same; of calls that differ
///                          at once
///   in a declared phase,   a notice after grace; a verdict at hard_deadline
///   or nobody is to blame
///   in the making of a     notices after grace; a verdict at init_deadline
///   group, or its first op
///   all else               a notice after grace; a verdict at action_after
///
/// Where ops of that kind usually take long in that group, the notice comes after usual_factor
/// times as long, but before half of action_after is over.
///
/// Where no rank on this machine has a ring that tells anything, torch may be asked (FlightWatch),
/// and its answers are judged in the same way.
///
/// Looks take at most a twentieth of a core: where one takes long, the next one waits.
///
/// One for each agent, owned by it. Confined to the loop's thread.
class HangWatch {
 public:
  struct Config {
    base::Duration look_every = std::chrono::milliseconds(250);
    base::Duration least_wait = std::chrono::milliseconds(500);
    base::Duration compare_every = std::chrono::seconds(1);
    base::Duration grace = std::chrono::seconds(2);
    int usual_factor = 8;
    base::Duration action_after = std::chrono::seconds(60);
    base::Duration init_deadline = std::chrono::seconds(120);  // or action_after, if that is longer
    base::Duration hard_deadline = std::chrono::seconds(300);
    /// Of the job, where RanksToWatch() does not have all of its ranks; 0: it has.
    int world_size = 0;
  };

  /// What the thread that asks has used of a processor so far; a script in tests.
  using ProcessorTime = std::function<base::Duration()>;

  /// Both outlive this.
  HangWatch(const Config& config, event::Loop& loop, HangDelegate& delegate,
            ProcessorTime processor_time = ProcessorTimeOfThread);
  HangWatch(const HangWatch&) = delete;
  HangWatch& operator=(const HangWatch&) = delete;

  /// How long ranks may wait, from now on: also those that wait already.
  struct Times {
    base::Duration grace, action_after, init_deadline, hard_deadline;
  };
  Times times() const {
    return {config_.grace, config_.action_after, config_.init_deadline, config_.hard_deadline};
  }
  void SetTimes(const Times& times);
  /// Of a job on several machines, before its first round; outlives this.
  void SetFar(FarLooks& far, RankLooks::CountSegments count_segments = process::ReadTcpCounters) {
    far_ = &far;
    looks_.SeeSockets(std::move(count_segments));
  }
  /// Before the first round; outlives this.
  void SetFlights(FlightWatch& flights) { flights_ = &flights; }
  /// Watches from now on; forgets what was seen of an earlier round. May be called by the delegate.
  void BeginRound();
  /// The round comes down because of a failure: what its ranks do now, and have done, is kept, here
  /// at once and of other machines when their agents answer. Nobody is watched any more.
  void TakeLastLook(const std::vector<WatchedRank>& ranks);
  struct LastLook {
    collectives::Evidence evidence;
    collectives::Finding finding;
  };
  /// Why the round failed, by that look and by how these ranks, all of the job's, have ended since.
  /// Of errors that programs were told. nullopt: no such look was taken.
  std::optional<LastLook> JudgeLastLook(const std::vector<WatchedRank>& ranks);
  /// Whether a rank on this machine has made a call since the last verdict: what was found then,
  /// and is no difference of calls, may be over.
  bool HasMoved();
  /// Whether the last verdict rests on what torch has recorded: HasMoved() tells nothing of it.
  bool RestsOnFlights() const {
    return verdict_.has_value() && verdict_source_ == Source::kFlights;
  }
  /// Then torch is asked once more. `done` is called later: whether the same is found again, by
  /// answers of their own; not if a round begins or has failed before. False: nobody can be asked
  /// now, and `done` is not called.
  bool FindAgain(std::function<void(bool)> done);
  /// Those that ranks of the round have, as they are at any time, or were when they were fetched;
  /// for as long as it is watched.
  std::map<base::Rank, std::span<const std::byte>> rings() const;
  /// What torch has answered that a verdict rests on; empty where none does, and the next time.
  AskedFlights TakeFlights() {
    return flights_ != nullptr ? flights_->TakeAsked() : AskedFlights();
  }
  /// What the looks tell of how fast the ranks on this machine go.
  PaceLooks& paces() { return paces_; }

 private:
  /// What makes two findings the same one.
  using Key = std::tuple<collectives::Finding::Class, std::vector<base::Rank>, uint64_t, uint64_t>;

  /// What was looked at. Rings are all read in one look, and each dump is of a moment of its own.
  enum class Source : uint8_t { kRings, kFlights };

  static base::Duration ProcessorTimeOfThread();
  static Key KeyOf(const collectives::Finding& finding);
  void ScheduleLook(base::Duration after);
  /// Has the next look wait for as long as this one makes necessary.
  void Paced(const std::function<void()>& look);
  void Look();
  void LookEverywhere(const std::vector<WatchedRank>& ranks, base::SteadyTime now);
  /// Of ranks elsewhere what `far` has of them, and else what the gang knows.
  collectives::Evidence Merge(std::vector<collectives::SeenRank> here,
                              const std::vector<WatchedRank>& ranks, const FarRanks& far,
                              base::SteadyTime now) const;
  collectives::SeenRank SeenFar(const WatchedRank& rank, const FarRanks& far,
                                base::SteadyTime now) const;
  bool RingsTell() const;
  void LookAtFlights(const std::vector<WatchedRank>& ranks);
  LastLook FindInFlights(const std::vector<WatchedRank>& ranks);
  void JudgeFlights();
  FlightWatch::Times FlightTimes() const;
  collectives::Finding Find(const collectives::Evidence& evidence) const;
  void Judge(const collectives::Finding& finding, const collectives::Evidence& evidence,
             Source source);
  base::Duration ActionAfter(const collectives::Finding& finding) const;
  base::Duration NoticeAfter(const collectives::Finding& finding) const;

  Config config_;
  event::Loop& loop_;
  HangDelegate& delegate_;
  const ProcessorTime processor_time_;
  event::Registration timer_;
  base::Duration look_took_{0};     // of a processor: the last one
  FarLooks* far_ = nullptr;         // null: all ranks are on this machine
  FlightWatch* flights_ = nullptr;  // null: torch is not asked
  uint64_t round_ = 0;              // counted by BeginRound()
  bool looks_far_ = false;          // asked, and not answered yet
  FarRanks far_ranks_;              // of the last look that fetched them: for the evidence
  base::SteadyTime began_{};        // the round
  RankLooks looks_;
  PaceLooks paces_;
  std::optional<std::vector<collectives::SeenRank>> last_look_;  // of ranks on this machine
  base::SteadyTime last_look_at_{};
  base::SteadyTime compared_at_{};
  bool compares_again_ = false;  // calls have been made since they were last compared
  std::optional<Key> found_;     // at the last look
  base::SteadyTime found_at_{};  // first, in a row
  bool noticed_ = false;         // that one
  /// Verdicts that were given, and nothing was done about; until nobody waits for anybody.
  std::set<Key> said_;
  std::optional<Key> verdict_;  // that was given last, in this round
  Source verdict_source_ = Source::kRings;
  bool decided_ = false;  // a verdict was given, and no call has been seen since
  bool moved_ = false;    // calls were made since the last verdict
  bool over_ = false;     // the last look has been taken
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_WATCH_H_
