// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/gang_status.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "runtime/process/processes.h"

namespace lockstep::launcher {
namespace {

std::string_view LifeName(elastic::RankRecord::Life life) {
  using Life = elastic::RankRecord::Life;
  switch (life) {
    case Life::kSpawning: return "spawning";
    case Life::kAlive: return "alive";
    case Life::kExited: return "exited";
    case Life::kGone: return "gone";
    case Life::kNeverLived: return "never lived";
    case Life::kUnkillable: return "unkillable";
  }
  return "?";
}

std::string ExitText(const elastic::RankExit& exit) {
  process::Exit plain;
  plain.code = exit.exit_code;
  plain.signal = exit.signal;
  plain.out_of_memory = exit.out_of_memory;
  return plain.ToString();
}

constexpr size_t kFrameOfRow = 5;  // a tag, and a length of four bytes
/// Of the rows of one reply; what one agent passes on to another is to delay nothing else.
constexpr size_t kRowBytesMax = size_t{256} << 10;

/// Keeps of `rows` those from `first` on for which there is `room`; returns how many that are.
template <class Rows>
int KeepRows(int first, size_t* room, Rows* rows) {
  first = std::min(first, rows->size());
  rows->DeleteSubrange(0, first);
  int kept = 0;
  for (; kept < rows->size(); ++kept) {
    const size_t bytes = rows->Get(kept).ByteSizeLong() + kFrameOfRow;
    if (bytes > *room) break;
    *room -= bytes;
  }
  if (kept < rows->size()) *room = 0;
  rows->DeleteSubrange(kept, rows->size() - kept);
  return kept;
}

}  // namespace

proto::StatusReply StatusOf(const elastic::GangState& gang,
                            const std::map<base::Rank, int64_t>& steps, base::SteadyTime now) {
  proto::StatusReply status;
  status.set_phase(std::string(elastic::PhaseName(gang.phase)));
  status.set_round(gang.round.value());
  status.set_restarts_used(static_cast<uint32_t>(gang.restarts_used));
  status.set_restarts_max(static_cast<uint32_t>(gang.config.max_restarts));
  status.set_suspended(gang.suspended);
  status.set_rank_count(gang.config.rank_count);
  status.set_round_age_ns((now - gang.round_started_at).count());
  status.set_membership_round(gang.membership_round.value());
  status.set_member_count(static_cast<int32_t>(
      std::count_if(gang.ranks.begin(), gang.ranks.end(),
                    [](const elastic::RankRecord& rank) { return !rank.excluded; })));
  if (gang.best_step) status.set_best_step(*gang.best_step);
  for (const elastic::RankRecord& record : gang.ranks) {
    proto::RankStatus& rank = *status.add_ranks();
    rank.set_rank(record.process.rank.value());
    rank.set_pid(record.pid);
    rank.set_life(std::string(LifeName(record.life)));
    if (record.exit) rank.set_exit(ExitText(*record.exit));
    if (const auto step = steps.find(record.process.rank); step != steps.end()) {
      rank.set_step(step->second);
    }
  }
  return status;
}

proto::StatusReply StatusPage(proto::StatusReply whole, int first_row) {
  const int first = std::max(first_row, 0);
  const int nodes = whole.nodes_size();
  const int all = nodes + whole.ranks_size();
  size_t room = kRowBytesMax;
  if (first > 0) {  // they are in the first reply
    whole.clear_groups();
    whole.clear_verdicts();
    whole.clear_pace();
  }
  int next = std::min(first, all);
  next += KeepRows(first, &room, whole.mutable_nodes());
  next += KeepRows(std::max(first - nodes, 0), &room, whole.mutable_ranks());
  // A row that alone is too long for one reply would be asked for for ever.
  if (next < all && next > first) whole.set_next_row(next);
  return whole;
}

}  // namespace lockstep::launcher
