// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_WATCH_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_WATCH_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/finding.h"
#include "launcher/diagnosis/mapped_ring.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"

namespace lockstep::launcher {

/// One rank of the round that runs.
struct WatchedRank {
  base::Rank rank;
  base::Incarnation incarnation;
  int64_t pid = 0;     // 0 = it has no process yet
  int ring_fd = -1;    // -1: it has not attached
  bool ended = false;  // and how, below
  int exit_code = 0;
  int signal = 0;
  base::SteadyTime ended_at{};
};

/// Whose ranks are watched, and who is told: the agent in life, a script in tests. Called on the
/// loop's thread, from the watch's timer.
class HangDelegate {
 public:
  virtual ~HangDelegate() = default;

  /// Empty: nobody is to be watched now (no round runs, it comes down, it is suspended).
  virtual std::vector<WatchedRank> RanksToWatch() = 0;
  /// Somebody waits for too long. Once for each culprit and op.
  virtual void OnHangNotice(const collectives::Finding& finding,
                            const collectives::Evidence& evidence) = 0;
  /// The job stands still for good, or long enough to act. Once, until BeginRound().
  virtual void OnHangVerdict(const collectives::Finding& finding,
                             const collectives::Evidence& evidence) = 0;
};

/// Watches the ranks of this machine by their recorder rings: a cheap look at the rings' heads
/// every look_every, and at everything when somebody waits in an op and makes no progress, or now
/// and then to compare calls that ended well. What it means is Diagnose's to say; when it is said,
/// and when acted upon, is decided here:
///
///   provable               a verdict when two looks in a row say the same; of calls that differ
///                          at once
///   in a declared phase    a notice after grace; a verdict at hard_deadline
///   in the making of a     notices after grace; a verdict at init_deadline
///   group, or its first op
///   all else               a notice after grace; a verdict at action_after
///
/// One for each agent, owned by it. Confined to the loop's thread.
class HangWatch {
 public:
  struct Config {
    base::Duration look_every = std::chrono::milliseconds(250);
    base::Duration least_wait = std::chrono::milliseconds(500);
    base::Duration compare_every = std::chrono::seconds(1);
    base::Duration grace = std::chrono::seconds(2);
    base::Duration action_after = std::chrono::seconds(60);
    base::Duration init_deadline = std::chrono::seconds(120);
    base::Duration hard_deadline = std::chrono::seconds(300);
  };

  /// Both outlive this.
  HangWatch(const Config& config, event::Loop& loop, HangDelegate& delegate)
      : config_(config), loop_(loop), delegate_(delegate) {}
  HangWatch(const HangWatch&) = delete;
  HangWatch& operator=(const HangWatch&) = delete;

  /// Watches from now on; forgets what was seen of an earlier round. May be called by the delegate.
  void BeginRound();
  /// Those that ranks of the round have, as they are at any time; for as long as it is watched.
  std::map<base::Rank, std::span<const std::byte>> rings() const;

 private:
  struct Watched {
    base::Incarnation incarnation;
    std::unique_ptr<MappedRing> ring;
    uint64_t record_count = 0;  // as last seen, since when
    base::SteadyTime since{};
    bool waits = false;
    std::optional<uint64_t> cpu_ticks;  // at the last look at its process, and when
    base::SteadyTime looked_at{};
  };
  /// What makes two findings the same one.
  using Key = std::tuple<collectives::Finding::Class, std::vector<base::Rank>, uint64_t, uint64_t>;

  void ScheduleLook();
  void Look();
  /// Whether something has changed, and whether somebody waits without any progress.
  struct Heads {
    bool changed = false;
    bool suspicious = false;
  };
  Heads LookAtHeads(const std::vector<WatchedRank>& ranks, base::SteadyTime now);
  collectives::Evidence Gather(const std::vector<WatchedRank>& ranks, base::SteadyTime now,
                               bool all);
  collectives::SeenProcess LookAt(const WatchedRank& rank, Watched& watched, base::SteadyTime now);
  void Judge(const collectives::Finding& finding, const collectives::Evidence& evidence);
  base::Duration ActionAfter(const collectives::Finding& finding) const;

  const Config config_;
  event::Loop& loop_;
  HangDelegate& delegate_;
  event::Registration timer_;
  std::map<base::Rank, Watched> watched_;
  base::SteadyTime compared_at_{};
  bool compares_again_ = false;  // calls have been made since they were last compared
  std::optional<Key> found_;     // at the last look
  bool noticed_ = false;         // that one
  bool decided_ = false;         // a verdict was given in this round
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_WATCH_H_
