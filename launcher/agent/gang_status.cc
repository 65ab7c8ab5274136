// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/gang_status.h"

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

}  // namespace lockstep::launcher
