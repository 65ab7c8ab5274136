// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_WATCH_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_WATCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/finding.h"
#include "collectives/diagnosis/imports/flight_evidence.h"
#include "launcher/diagnosis/evidence_folder.h"
#include "launcher/diagnosis/flight_source.h"
#include "launcher/diagnosis/rank_looks.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/event/loop.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// When the ranks of this machine that have no ring of ours are asked for what torch has recorded,
/// and what they said. Each question costs them: torch writes a line on standard error, and holds
/// Python's lock for some 70 ms, 0.4 s the first time. So a gang is asked for the first time only
/// after all of its ranks have been quiet for long:
///
///   quiet ----------> asked, first ----------> asked again, grace later: answers to judge
///     ^ nobody is in an op |                        |  nobody waits        | somebody waits
///     +-- wait for twice --+------------------------+                      v
///         as long a quiet                                 asked again when it would be acted upon
///
/// Further questions come whatever is written meanwhile: torch's own lines are. What was open in
/// one set of answers alone is no wait, since ranks do not answer in one instant.
///
/// One for each agent of `lockstep run`, owned by it. Confined to the loop's thread.
class FlightWatch {
 public:
  /// Of a rank here; empty: it cannot be asked.
  using FilesOf = std::function<topology::FlightFiles(base::Rank)>;
  /// By the ranks here on standard output and error, in all.
  using BytesWritten = std::function<uint64_t()>;
  struct Deps {
    event::Loop& loop;
    FlightSource& source;
    FilesOf files_of;
    BytesWritten bytes_written;
    /// Told that nobody can be asked, since whoever asks hangs: once, until somebody can be.
    std::function<void(const base::Status& why)> on_trouble = [](const base::Status&) {};
  };
  struct Times {
    base::Duration least_wait;  // shorter ones are none
    base::Duration grace;
    base::Duration quiet;      // that it takes to be asked
    base::Duration quiet_max;  // when nothing was found again and again
  };

  /// What `deps` has outlives this.
  explicit FlightWatch(Deps deps) : deps_(std::move(deps)) {}
  FlightWatch(const FlightWatch&) = delete;
  FlightWatch& operator=(const FlightWatch&) = delete;

  /// Before each round: forgets what was said in an earlier one.
  void Clear();
  /// Asks if it is time to; a few times a second. `on_answers` is called later, when there is
  /// something to judge.
  void Look(const std::vector<WatchedRank>& here, const Times& times,
            std::function<void()> on_answers);
  /// Asks at once, whatever the time, after answers that were judged. `on_answers` is told later
  /// whether there is something to judge again; not if Clear() is called before. False: nobody can
  /// be asked now, and it is not called.
  bool AskAgain(const std::vector<WatchedRank>& here, base::Duration least_wait,
                std::function<void(bool)> on_answers);
  /// Adds what was answered, and who has not, to evidence of the ranks' processes: AddFlightDumps.
  collectives::Finding::Confidence AddTo(collectives::Evidence& evidence) const;
  /// What was made of that: somebody waits, and in so long it would be acted upon; nullopt: nobody.
  void OnJudged(std::optional<base::Duration> acts_in, const Times& times);
  /// For the evidence, which has it then: of 16 MiB a rank there is one copy. Empty where there was
  /// nothing to judge.
  AskedFlights TakeAsked() { return std::exchange(asked_, {}); }

 private:
  /// False: nobody can be asked, and `then` is not called.
  bool Ask(const std::vector<WatchedRank>& here, std::function<void()> then);
  void Keep(FlightAnswers answers);
  void OnAnswers(const Times& times, const std::function<void()>& on_answers);
  bool SomebodyMayWait(base::Duration least_wait) const;
  void WaitForQuiet();

  const Deps deps_;
  uint64_t round_ = 0;
  bool asking_ = false;
  uint64_t written_ = 0;
  base::SteadyTime quiet_since_{};
  uint32_t in_vain_ = 0;                    // questions in a row, in which nobody waited
  std::optional<base::SteadyTime> ask_at_;  // nullopt: when it is quiet
  std::map<base::Rank, collectives::FlightDump> dumps_;
  collectives::FlightQuestion question_;  // whose answer they are
  bool asks_again_ = false;               // it was not the first one
  std::vector<base::Rank> held_;          // who was not asked
  std::vector<std::string> silent_;       // who has not answered, and why
  bool is_trouble_told_ = false;
  AskedFlights asked_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_WATCH_H_
