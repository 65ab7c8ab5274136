// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/pace.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "collectives/diagnosis/pace_links.h"
#include "collectives/diagnosis/robust.h"

namespace lockstep::collectives {
namespace {

/// Of what a group did; more would tell no more, and each has to hold a step.
constexpr size_t kTurnsMax = 24;
/// So many times the scatter, of the other ranks and of its own turns.
constexpr double kScatters = 3;
/// With few turns their scatter is itself uncertain: by that many more for each.
constexpr double kScattersOfFew = 15;
/// Of each rank's turns that share is left out, the ones in which it was latest: a rank that paused
/// once is not slow.
constexpr size_t kTurnsForOneLeftOut = 8;

using GroupKey = std::pair<base::GroupId, base::Round>;

/// What the members of a group did in one turn: seconds, by member.
struct Turn {
  std::vector<double> waited;
  double span = 0;  // from the end of the turn before to its own
  double ops = 0;
  uint64_t last_op = 0;
};

struct Member {
  const PaceWindow* window = nullptr;
  const PaceGroup* group = nullptr;
};

/// Beats of one member, in rows of 1 << shift ops.
std::map<uint64_t, PaceBeat> Coarsened(const PaceGroup& group, int shift) {
  std::map<uint64_t, PaceBeat> beats;
  const int by = std::clamp(shift - group.shift, 0, 63);
  for (const PaceBeat& beat : group.beats) {
    PaceBeat& row = beats[beat.block >> by];
    row.block = beat.block >> by;
    row.ops += beat.ops;
    row.step = std::max(row.step, beat.step);
    row.waited += beat.waited;
    row.ended = std::max(row.ended, beat.ended);
    row.in_ops = std::max(row.in_ops, beat.in_ops);
  }
  return beats;
}

/// A row of ops of which all members say the same number.
struct Row {
  uint64_t last_op = 0;
  int64_t step = -1;
  std::vector<double> waited;
  std::vector<base::Duration> ended, in_ops;  // by member
  double ops = 0;
};

std::vector<Row> RowsOf(const std::vector<Member>& members) {
  int shift = 0;
  for (const Member& member : members) shift = std::clamp(member.group->shift, shift, 63);
  std::map<uint64_t, Row> rows;
  for (size_t i = 0; i < members.size(); ++i) {
    for (const auto& [block, beat] : Coarsened(*members[i].group, shift)) {
      if (beat.ops == 0 || beat.waited.count() < 0) continue;
      Row& row = rows[block];
      if (row.waited.size() != i || (i > 0 && row.ops != beat.ops)) continue;  // not all know it
      row.last_op = ((block + 1) << shift) - 1;
      row.step = std::max(row.step, beat.step);
      row.ops = beat.ops;
      row.waited.push_back(Seconds(beat.waited));
      row.ended.push_back(beat.ended);
      row.in_ops.push_back(beat.in_ops);
    }
  }
  std::vector<Row> known;
  for (auto& [block, row] : rows) {
    if (row.waited.size() == members.size()) known.push_back(std::move(row));
  }
  return known;
}

/// The time between the ends of two rows, by the median of the members' own clocks.
double SpanOf(const Row& before, const Row& row) {
  std::vector<double> spans;
  for (size_t i = 0; i < row.ended.size(); ++i)
    spans.push_back(Seconds(row.ended[i] - before.ended[i]));
  return Median(std::move(spans));
}

/// Of the time from the first row to the last one, by member.
std::vector<double> InOpsShares(const std::vector<Row>& rows) {
  std::vector<double> shares;
  for (size_t i = 0; i < rows.front().ended.size(); ++i) {
    const double time = Seconds(rows.back().ended[i] - rows.front().ended[i]);
    const double in_ops = Seconds(rows.back().in_ops[i] - rows.front().in_ops[i]);
    shares.push_back(time > 0 ? std::clamp(in_ops / time, 0.0, 1.0) : 0);
  }
  return shares;
}

/// Rows put together: by step where steps are reported, else into some of equal length.
struct Turns {
  std::vector<Turn> turns;
  bool are_steps = false;
  double steps_each = 1;
};

Turns TurnsOf(const std::vector<Row>& rows, int least_turns) {
  Turns all;
  if (rows.size() < 2) return all;
  const auto is_known = [](const Row& row) { return row.step >= 0; };
  const int64_t steps = rows.back().step - rows.front().step + 1;
  all.are_steps = std::all_of(rows.begin(), rows.end(), is_known) && steps > least_turns;
  // A part of the first row's step is not here, and of the last one's.
  const size_t rows_each = (rows.size() - 1 + kTurnsMax - 1) / kTurnsMax;
  const int64_t steps_each =
      std::max<int64_t>((steps + int64_t{kTurnsMax} - 1) / int64_t{kTurnsMax}, 1);
  all.steps_each = static_cast<double>(steps_each);
  std::optional<int64_t> current;
  for (size_t i = 1; i < rows.size(); ++i) {
    const int64_t turn = all.are_steps ? (rows[i].step - rows[0].step) / steps_each
                                       : static_cast<int64_t>((i - 1) / rows_each);
    const double span = SpanOf(rows[i - 1], rows[i]);
    if (span <= 0) continue;
    if (current != turn) {
      current = turn;
      all.turns.push_back({.waited = std::vector<double>(rows[i].waited.size())});
    }
    Turn& into = all.turns.back();
    for (size_t member = 0; member < rows[i].waited.size(); ++member)
      into.waited[member] += rows[i].waited[member];
    into.span += span;
    into.ops += rows[i].ops;
    into.last_op = rows[i].last_op;
  }
  if (all.are_steps && all.turns.size() > 2) {
    all.turns.erase(all.turns.begin());
    all.turns.pop_back();
  }
  return all;
}

/// How much less each member waited than the others did by the median, turn by turn.
std::vector<std::vector<double>> LatenessOf(const std::vector<Turn>& turns, size_t members) {
  std::vector<std::vector<double>> late(members);
  for (const Turn& turn : turns) {
    const MedianOfOthers others(turn.waited);
    for (size_t i = 0; i < members; ++i) late[i].push_back(others.Without(i) - turn.waited[i]);
  }
  return late;
}

struct Lateness {
  double mean = 0;                   // seconds in each turn, without the latest turns
  double error = 0;                  // of that mean
  double span = 0;                   // of those turns, each
  double ops = 0;                    // likewise
  std::vector<uint64_t> turns_late;  // in which it was late by a part that counts: their last ops
};

Lateness Judge(const std::vector<double>& late, const std::vector<Turn>& turns, double share) {
  std::vector<size_t> order(late.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return late[a] < late[b]; });
  order.resize(order.size() - order.size() / kTurnsForOneLeftOut);
  std::vector<double> kept;
  Lateness judged;
  for (const size_t turn : order) {
    kept.push_back(late[turn]);
    judged.span += turns[turn].span;
    judged.ops += turns[turn].ops;
  }
  const auto count = static_cast<double>(kept.size());
  judged.span /= count;
  judged.ops /= count;
  judged.mean = Mean(kept);
  judged.error = Deviation(kept, judged.mean) / std::sqrt(count);
  for (size_t turn = 0; turn < late.size(); ++turn) {
    if (late[turn] > share / 2 * turns[turn].span) judged.turns_late.push_back(turns[turn].last_op);
  }
  return judged;
}

/// Of what a turn would take without; 0 of one that is not late.
double ShareOf(const Lateness& lateness) {
  const double rest = lateness.span - std::max(lateness.mean, 0.0);
  return rest > 0 ? lateness.mean / rest : 0;
}

base::Duration AsDuration(double seconds) {
  return base::Duration(std::llround(std::clamp(seconds, -1e9, 1e9) * 1e9));
}

/// One group, of which at least more than half of the members are known.
class GroupPace {
 public:
  GroupPace(const PaceOptions& options, GroupKey key, std::vector<Member> members)
      : options_(options), key_(key), members_(std::move(members)) {
    const std::vector<Row> rows = RowsOf(members_);
    turns_ = TurnsOf(rows, options_.least_turns);
    if (!is_known()) return;
    in_ops_shares_ = InOpsShares(rows);
    const auto late = LatenessOf(turns_.turns, members_.size());
    for (const auto& member : late)
      judged_.push_back(Judge(member, turns_.turns, options_.least_share));
    for (const Lateness& member : judged_) means_.push_back(member.mean);
  }

  bool is_known() const {
    return std::ssize(turns_.turns) >= options_.least_turns && members_.size() >= 2;
  }

  void Tell(std::map<base::Rank, RankPace>& ranks, std::map<base::Rank, Straggler>& found) const {
    for (size_t i = 0; i < judged_.size(); ++i) {
      RankPace& rank = ranks[members_[i].window->rank];
      const double share = ShareOf(judged_[i]);
      if (std::abs(share) > std::abs(rank.lateness_share)) {
        rank.lateness_share = share;
        rank.lateness = AsDuration(judged_[i].mean / Each(judged_[i]));
      }
      if (!IsSlow(i)) continue;
      Straggler slow = Told(i);
      const auto before = found.find(slow.rank);
      if (before == found.end() || before->second.share < slow.share)
        found[slow.rank] = std::move(slow);
    }
  }

 private:
  bool IsSlow(size_t member) const {
    const Lateness& late = judged_[member];
    if (ShareOf(late) <= options_.least_share || std::ssize(late.turns_late) < options_.least_turns)
      return false;
    const auto turns = static_cast<double>(turns_.turns.size());
    if (late.mean <= (kScatters + kScattersOfFew / turns) * late.error) return false;
    std::vector<double> others = means_;
    others.erase(others.begin() + static_cast<ptrdiff_t>(member));
    const double middle = Median(others);
    if (late.mean - middle <= kScatters * Scatter(others, middle)) return false;
    // Who comes late because it waited elsewhere waits as long as the others.
    return OthersInOps(member) - in_ops_shares_[member] >= late.mean / late.span / 2;
  }

  /// Steps, or ops, of a turn.
  double Each(const Lateness& late) const {
    return turns_.are_steps ? turns_.steps_each : late.ops;
  }

  double OthersInOps(size_t member) const {
    std::vector<double> shares = in_ops_shares_;
    shares.erase(shares.begin() + static_cast<ptrdiff_t>(member));
    return Median(std::move(shares));
  }

  Straggler Told(size_t member) const {
    const Lateness& late = judged_[member];
    // The op that they wait in is known to those who do.
    const size_t other =
        static_cast<size_t>(std::min_element(means_.begin(), means_.end()) - means_.begin());
    const double each = Each(late);
    const double count = static_cast<double>(turns_.turns.size()) * each;
    Straggler slow{.rank = members_[member].window->rank,
                   .group = key_.first,
                   .epoch = key_.second,
                   .group_name = members_[member].group->name,
                   .kind = members_[other].group->kind,
                   .counts_steps = turns_.are_steps,
                   .count = static_cast<int>(std::lround(count)),
                   .lateness = AsDuration(late.mean / each),
                   .turn_time = AsDuration(late.span / each),
                   .share = late.mean / late.span,
                   .in_ops_share = in_ops_shares_[member],
                   .others_in_ops_share = OthersInOps(member),
                   .victims = {},
                   .late_turns = late.turns_late,
                   .last_op = turns_.turns.back().last_op};
    for (size_t i = 0; i < members_.size(); ++i) {
      if (i != member && judged_[i].mean < late.mean / 2)
        slow.victims.push_back(members_[i].window->rank);
    }
    return slow;
  }

  const PaceOptions options_;
  const GroupKey key_;
  const std::vector<Member> members_;
  Turns turns_;
  std::vector<Lateness> judged_;  // by member
  std::vector<double> means_, in_ops_shares_;
};

double Rate(double amount, base::Duration length) {
  return length.count() > 0 ? amount / Seconds(length) : 0;
}

std::string Percent(double share) { return std::to_string(std::lround(share * 100)) + " %"; }

}  // namespace

Pace JudgePace(const std::vector<PaceWindow>& windows, const PaceOptions& options) {
  std::map<base::Rank, RankPace> ranks;
  std::map<GroupKey, std::vector<Member>> groups;
  for (const PaceWindow& window : windows) {
    const bool is_first = ranks.try_emplace(window.rank).second;
    if (!is_first) continue;
    ranks[window.rank] = {
        .rank = window.rank,
        .step = window.step,
        .steps_per_second = Rate(static_cast<double>(window.steps), window.length),
        .ops_per_second = Rate(static_cast<double>(window.ops), window.length),
        .in_ops_share = std::clamp(Rate(Seconds(window.in_ops), window.length), 0.0, 1.0),
        .bytes_per_second = Rate(static_cast<double>(window.bytes), window.length)};
    for (const PaceGroup& group : window.groups) {
      std::vector<Member>& members = groups[{group.id, group.epoch}];
      if (members.empty() || members.back().window != &window) members.push_back({&window, &group});
    }
  }
  std::map<base::Rank, Straggler> found;
  for (auto& [key, members] : groups) {
    const auto size = static_cast<size_t>(std::max(members.front().group->size, 0));
    if (members.size() * 2 <= size) continue;
    const GroupPace group(options, key, std::move(members));
    if (group.is_known()) group.Tell(ranks, found);
  }
  Pace pace;
  for (auto& [rank, told] : ranks) pace.ranks.push_back(told);
  for (auto& [rank, slow] : found) pace.stragglers.push_back(std::move(slow));
  pace.is_cut = std::any_of(windows.begin(), windows.end(),
                            [](const PaceWindow& window) { return window.is_cut; });
  JudgeLinks(windows, options, pace);
  return pace;
}

std::string WhatItDoes(const Straggler& slow) {
  std::string text = "is slow: it comes " + base::FormatDuration(slow.lateness) + " late to ";
  text += slow.counts_steps
              ? "the ops of group " + slow.group_name + " in each step"
              : "each " + std::string(OpKindName(slow.kind)) + " of group " + slow.group_name;
  text += ", " + Percent(slow.share) + " of " + base::FormatDuration(slow.turn_time) + ", for " +
          std::to_string(slow.count) + (slow.counts_steps ? " steps" : " ops");
  return text + "; it is in ops for " + Percent(slow.in_ops_share) +
         " of its time, the others for " + Percent(slow.others_in_ops_share);
}

}  // namespace lockstep::collectives
