// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_PACE_LOOKS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_PACE_LOOKS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "collectives/diagnosis/pace.h"
#include "collectives/recorder/record.h"
#include "collectives/types.h"
#include "launcher/diagnosis/duration_history.h"
#include "launcher/diagnosis/rank_looks.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace lockstep::launcher {

/// What an agent knows of how fast the ranks on its machine go: reads the records that their rings
/// got since the last look, and keeps sums, some 10 KiB a rank. A look reads kRecordsEachLook
/// records at most, 0.1 us each, so that four looks a second take a fraction of a per cent of a
/// core; of ranks that make more calls than that the latest ones are read, and of their groups
/// nothing is known but what came after the last gap.
///
/// One for each agent, owned by whoever watches. Confined to the loop's thread.
class PaceLooks {
 public:
  PaceLooks() = default;
  PaceLooks(const PaceLooks&) = delete;
  PaceLooks& operator=(const PaceLooks&) = delete;

  /// Forgets what was seen of an earlier round.
  void Clear();
  void Look(const std::vector<RankLooks::Ring>& rings, base::SteadyTime now);
  /// What each rank did since this was last called, or since it was first seen. Of ops in which all
  /// wait for all those before, too, where there are few.
  std::vector<collectives::PaceWindow> Take(base::SteadyTime now);
  /// How long, at most but for one in a hundred and a single one, ops of this kind took in that
  /// group, without its first op, by the ranks on this machine. nullopt: too few are known.
  std::optional<base::Duration> UsualAtMost(base::GroupId group, base::Round epoch,
                                            collectives::OpKind kind) const;

 private:
  using GroupKey = std::pair<base::GroupId, base::Round>;
  using OpKey = std::tuple<base::GroupId, base::Round, collectives::OpKind>;
  struct Beats {
    collectives::PaceGroup group;  // without its beats
    std::deque<collectives::PaceBeat> beats;
    size_t told = 0;            // of them, the first ones, by an earlier window
    base::Duration longest{0};  // wait of the window
    uint64_t last_ended_ns = 0;
    int idle_windows = 0;
  };
  using LaneKey = std::tuple<base::GroupId, base::Round, int32_t, bool>;
  struct Lane {
    collectives::PaceLane lane;
    uint64_t last_ended_ns = 0;
    bool last_is_kept = false;  // the last of its transfers is the last that there was
  };
  struct InProgress {
    LaneKey lane;
    uint64_t until_ns = 0;
  };
  struct History {
    DurationHistory durations;
    base::SteadyTime used{};
  };
  struct Seen {
    base::Incarnation incarnation;
    uint64_t next = 0;           // record to read
    std::vector<uint64_t> open;  // earlier ones that had not ended
    base::SteadyTime since{};    // of the window
    uint64_t ops = 0, bytes = 0;
    int64_t step = -1, first_step = -1;
    uint64_t in_ops_ns = 0, in_ops_told_ns = 0;  // in all, and of that in earlier windows
    uint64_t in_ops_until_ns = 0;                // the end of the last op that is counted
    bool has_gap = false;                        // before the next record
    uint64_t gaps_ns = 0;                        // of the window
    uint64_t phase_ns = 0;  // when a declared phase was last seen to be in force
    std::map<GroupKey, Beats> groups;
    std::map<LaneKey, Lane> lanes;
    InProgress sends, receives;  // the last ones, of whatever lane
    std::map<GroupKey, lockstep_seat> seats;
  };

  void Read(Seen& seen, const RankLooks::Ring& ring, size_t records_max);
  /// Where records were overwritten, or left unread, rows of ops do not stand for the same ones on
  /// all members.
  static void BeginAfterGap(Seen& seen);
  void AddToHistory(const OpKey& key, base::Duration took);
  void Count(Seen& seen, const RankLooks::Ring& ring, const lockstep_record& record);
  void CountBeat(Seen& seen, const lockstep_seat& seat, const lockstep_record& record);
  static void CountTransfer(Seen& seen, const lockstep_seat& seat, const lockstep_record& record,
                            uint64_t bytes);
  static const lockstep_seat* SeatOf(Seen& seen, const RankLooks::Ring& ring,
                                     const lockstep_record& record);
  static collectives::PaceWindow TakeOf(base::Rank rank, Seen& seen, base::SteadyTime now);
  /// The group as the window has it; nullopt: it has made no call.
  static std::optional<collectives::PaceGroup> TakeBeats(Beats& beats);

  std::map<base::Rank, Seen> seen_;
  std::map<OpKey, History> histories_;
  base::SteadyTime now_{};       // of the look
  bool histories_full_ = false;  // with those that are in use, at this look
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_PACE_LOOKS_H_
