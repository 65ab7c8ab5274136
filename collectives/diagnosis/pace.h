// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_PACE_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_PACE_H_

/// How fast the ranks of a job go that goes on, who keeps the others waiting, and over which link
/// bytes come slowly: from what their records say of some seconds. Only durations of each rank's
/// own clock are compared, so that the clocks of machines need not agree: members of an op in which
/// all wait for all end it together, and who comes last to it waits least in it.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectives/types.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// One op of a group in which all members wait for all, as one of them saw it; where there are many
/// a row of them: those whose number in the group is from block << shift on (PaceGroup::shift).
struct PaceBeat {
  uint64_t block = 0;
  uint32_t ops = 0;          // that are known and ended well
  int64_t step = -1;         // of the last of them, as reported; -1 = none is
  base::Duration waited{0};  // in all of them, from when the rank came to when they ended
  base::Duration ended{0};   // the last of them, on a clock of the rank's own
  base::Duration in_ops{
      0};  // by then, of whatever group: during which one at least was in progress
};

struct PaceGroup {
  base::GroupId id;
  base::Round epoch;
  std::string name;  // "world"
  int size = 0;
  int shift = 0;
  OpKind kind = OpKind::kNone;  // of the op in which this member waited longest
  std::vector<PaceBeat> beats;  // by block
};

/// Sends to another member, or receives from it, of at least kPaceTransferBytesMin.
struct PaceLane {
  base::GroupId group;
  base::Round epoch;
  base::GroupRank self;
  base::GroupRank peer;
  bool sends = false;
  struct Transfer {
    uint64_t seq = 0;  // of the pair and direction
    uint64_t bytes = 0;
    base::Duration took{0};
  };
  std::vector<Transfer> transfers;  // by seq; the latest where there were many
  uint64_t count = 0;               // of all that there were
};
/// Smaller ones tell more of when their callers come than of the link.
inline constexpr uint64_t kPaceTransferBytesMin = uint64_t{64} << 10;

/// What one rank did in some seconds.
struct PaceWindow {
  base::Rank rank;
  base::Incarnation incarnation;
  std::string host;  // transfers within one and between two are not compared
  base::Duration length{0};
  uint64_t ops = 0;
  uint64_t bytes = 0;
  base::Duration in_ops{0};  // during which one at least was in progress
  int64_t step = -1;         // last reported
  int64_t steps = 0;         // reported in it
  std::vector<PaceGroup> groups;
  std::vector<PaceLane> lanes;
  bool is_cut = false;  // a part of it did not fit into a message
};

struct PaceOptions {
  /// Who makes steps that much longer than they would be is slow.
  double least_share = 0.10;
  /// In so many steps at least; where none are reported, in so many ops or rows of them.
  int least_turns = 5;
  /// A link that takes so many times as long for a byte as the others is slow.
  double least_link_factor = 2.0;
};

struct RankPace {
  base::Rank rank;
  int64_t step = -1;
  double steps_per_second = 0;  // 0: none are reported
  double ops_per_second = 0;
  double in_ops_share = 0;  // of its time, 0 to 1
  double bytes_per_second = 0;
  /// Later than the others by the median, in each step; where none are reported, to each op.
  /// Negative: earlier.
  base::Duration lateness{0};
  double lateness_share = 0;  // of what that would take without
};

/// A rank that keeps others waiting.
struct Straggler {
  base::Rank rank;
  base::GroupId group;
  base::Round epoch;
  std::string group_name;
  OpKind kind = OpKind::kNone;
  bool counts_steps = false;       // that the program reports; else ops of the group
  int count = 0;                   // of them
  base::Duration lateness{0};      // in each
  base::Duration turn_time{0};     // with it, of each
  double share = 0;                // lateness of turn_time
  double in_ops_share = 0;         // its own, and the others' by the median
  double others_in_ops_share = 0;  //
  std::vector<base::Rank> victims;
  /// Of the turns in which it was late, the number of the last op of each: by them a finding is
  /// told from the one before.
  std::vector<uint64_t> late_turns;
  uint64_t last_op = 0;  // that the finding is about
};

struct LinkPace {
  base::Rank from;
  base::Rank to;
  int transfers = 0;
  double bytes_per_second = 0;  // while both ends were there
};
struct SlowLink {
  /// The link alone; all of its sender's, or receiver's; all that its sender, or receiver, sends
  /// and receives.
  enum class Side : uint8_t { kLink, kSender, kReceiver, kRankOfSender, kRankOfReceiver };
  LinkPace link;  // the slowest of them
  Side side = Side::kLink;
  double others_bytes_per_second = 0;  // by the median
  double share = 0;                    // of the time that goes by for its being slow
};

struct Pace {
  std::vector<RankPace> ranks;  // of which there are windows, by rank
  std::vector<Straggler> stragglers;
  std::vector<LinkPace> links;  // the slowest first, 16 at most
  std::vector<SlowLink> slow_links;
  /// There were not enough large sends and receives to tell links apart.
  bool links_unknown = true;
  bool is_cut = false;  // windows were: links, or early ops, are missing
};

/// A straggler comes to the ops of a group later than its members do by the median; by three times
/// the scatter of the others and of its own turns, by least_share and in least_turns; and is in ops
/// for less of its time than they are. Of a slow rank's partners in another group, which come late
/// because they wait for it there, the last does not hold. Where most are late nobody is.
///
/// Links are told by sends and receives alone, each matched with its other side: who came later
/// waited for the link and nothing else. Those of a size are compared, within a factor of four.
///
/// Pure: no clock, no I/O; any thread; any windows, whatever nonsense is in them.
Pace JudgePace(const std::vector<PaceWindow>& windows, const PaceOptions& options = {});

/// "is slow: it comes 31ms late to the ops of group world in each step, 24 % of 130ms, for 12
/// steps; ...", as it follows "rank 3 ".
std::string WhatItDoes(const Straggler& straggler);
/// "the link from rank 2 to rank 3 is slow: ...".
std::string Summary(const SlowLink& link);
/// Of the link, the ranks that the finding is about.
std::vector<base::Rank> RanksOf(const SlowLink& link);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_PACE_H_
