// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_PACE_WATCH_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_PACE_WATCH_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "collectives/diagnosis/pace.h"
#include "launcher/diagnosis/pace_looks.h"
#include "launcher/diagnosis/rank_looks.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"

namespace lockstep::launcher {

/// The ranks on other machines, as their agents see them: by messages in life, a script in tests.
/// Confined to the loop's thread.
class FarPaces {
 public:
  virtual ~FarPaces() = default;

  /// Has each agent tell what its ranks did since it was last asked. `done` is called once, in a
  /// second or so, with what those say that have answered by then; not after destruction.
  virtual void TakePaces(std::function<void(std::vector<collectives::PaceWindow>)> done) = 0;
};

/// Whose ranks are watched, and who is told; on the loop's thread.
class PaceDelegate {
 public:
  virtual ~PaceDelegate() = default;

  /// As HangDelegate has it.
  virtual std::vector<WatchedRank> RanksToWatch() = 0;
  virtual void OnStraggler(const collectives::Straggler& slow, const collectives::Pace& pace) = 0;
  virtual void OnSlowLink(const collectives::SlowLink& slow, const collectives::Pace& pace) = 0;
};

/// Says which ranks keep others waiting, and which links are slow, of a gang that goes on: once in
/// a window it takes what the ranks did in it, of those elsewhere by a request to each agent, and
/// has JudgePace say what that means. What two windows in a row show is told, and not again for
/// say_again; of a rank, where the second has least_turns turns in which it was late that the first
/// did not have. Nothing is done about it.
///
/// One for each agent that watches a job, owned by it. Confined to the loop's thread.
class PaceWatch {
 public:
  struct Config {
    base::Duration window = std::chrono::seconds(10);
    base::Duration say_again = std::chrono::minutes(5);
    collectives::PaceOptions options;
  };

  /// All outlive this.
  PaceWatch(const Config& config, event::Loop& loop, PaceLooks& looks, PaceDelegate& delegate);
  PaceWatch(const PaceWatch&) = delete;
  PaceWatch& operator=(const PaceWatch&) = delete;

  /// Of a job on several machines, before its first round; outlives this.
  void SetFar(FarPaces& far) { far_ = &far; }
  /// Forgets what was seen of an earlier round; what was said is still known.
  void BeginRound();

  struct Last {
    collectives::Pace pace;
    base::Duration window{0};
    base::SteadyTime at{};
  };
  /// Of the last window in which ranks ran; nullopt: there was none in this round.
  const std::optional<Last>& last() const { return last_; }

 private:
  enum class What : uint8_t { kStraggler, kLink };
  using Key = std::tuple<What, base::Rank, base::Rank>;  // of a link, or of a rank and itself
  using GroupKey = std::pair<base::GroupId, base::Round>;
  using Found = std::map<GroupKey, uint64_t>;  // by group, the last op of the first finding

  void ScheduleWindow();
  void TakeWindow();
  void Judge(std::vector<collectives::PaceWindow> windows, const std::vector<WatchedRank>& ranks);
  /// Whether both this window and earlier ones show it, those with other ops than this one.
  bool IsFoundAgain(const collectives::Straggler& slow, std::map<base::Rank, Found>& found_before);
  static Key KeyOf(const collectives::SlowLink& slow);
  /// Whether it was not told of late; then it is taken as told.
  bool IsToBeTold(const Key& key);

  const Config config_;
  event::Loop& loop_;
  PaceLooks& looks_;
  PaceDelegate& delegate_;
  FarPaces* far_ = nullptr;
  event::Registration timer_;
  uint64_t round_ = 0;
  base::SteadyTime window_began_{};
  std::map<base::Rank, Found> slow_;      // of the last window
  std::set<Key> slow_links_;              // likewise
  std::map<Key, base::SteadyTime> told_;  // bounded by the ranks and links that are slow
  std::optional<Last> last_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_PACE_WATCH_H_
