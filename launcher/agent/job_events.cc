// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/job_events.h"

#include <string>

#include "runtime/proto/field_value.h"

namespace lockstep::launcher {
namespace {

std::string CapText(const proto::Logs& logs) {
  const auto& field = *proto::Logs::descriptor()->FindFieldByName("max_total_bytes");
  return "spec.logs.maxTotalBytes (--log-max-total) is " +
         proto::FormatFieldValue(field, logs.max_total_bytes());
}

}  // namespace

proto::Event RoundStartedEvent(const elastic::SpawnRanks& round) {
  proto::Event event;
  proto::RoundStarted& started = *event.mutable_round_started();
  started.set_restart_count(static_cast<uint32_t>(round.restart_count));
  started.set_rank_count(static_cast<int32_t>(round.processes.size()));
  return event;
}

proto::Event RankSpawnedEvent(const elastic::RankProcess& process, pid_t pid) {
  proto::Event event;
  proto::RankSpawned& spawned = *event.mutable_rank_spawned();
  spawned.set_rank(process.rank.value());
  spawned.set_incarnation(process.incarnation.value());
  spawned.set_pid(pid);
  return event;
}

proto::Event RankSpawnFailedEvent(const elastic::RankProcess& process, const base::Status& error) {
  proto::Event event;
  proto::RankSpawnFailed& failed = *event.mutable_rank_spawn_failed();
  failed.set_rank(process.rank.value());
  failed.set_incarnation(process.incarnation.value());
  failed.set_error(error.ToString());
  return event;
}

proto::Event RankExitedEvent(const elastic::RankProcess& process, pid_t pid,
                             const process::Exit& exit) {
  proto::Event event;
  proto::RankExited& exited = *event.mutable_rank_exited();
  exited.set_rank(process.rank.value());
  exited.set_incarnation(process.incarnation.value());
  exited.set_pid(pid);
  exited.set_exit_code(exit.code);
  exited.set_signal(exit.signal);
  exited.set_core_dumped(exit.core_dumped);
  exited.set_out_of_memory(exit.out_of_memory);
  return event;
}

proto::Event SignalSentEvent(int signal, bool whole_tree,
                             const std::vector<elastic::RankProcess>& processes) {
  proto::Event event;
  proto::SignalSent& sent = *event.mutable_signal_sent();
  sent.set_signal(signal);
  sent.set_whole_tree(whole_tree);
  for (const elastic::RankProcess& process : processes) sent.add_ranks(process.rank.value());
  return event;
}

proto::Event StopRequestedEvent(int signal, bool at_once, std::string_view source,
                                std::string_view reason) {
  proto::Event event;
  proto::StopRequested& stop = *event.mutable_stop_requested();
  stop.set_signal(signal);
  stop.set_at_once(at_once);
  stop.set_source(std::string(source));
  stop.set_reason(std::string(reason));
  return event;
}

proto::Event OutputTroubleEvent(std::string_view sink, const base::Status& why) {
  proto::Event event;
  event.mutable_output_trouble()->set_sink(std::string(sink));
  event.mutable_output_trouble()->set_error(why.ToString());
  return event;
}

proto::Event ClockComparedEvent(base::Duration offset, base::Duration error) {
  proto::Event event;
  event.mutable_clock_compared()->set_offset_ns(offset.count());
  event.mutable_clock_compared()->set_error_ns(error.count());
  return event;
}

std::string FileNoticeText(const process::FileNotice& notice, const proto::Logs& logs) {
  switch (notice.kind) {
    case process::FileNotice::Kind::kNotRotated:
      return "a log file cannot be rotated and grows on: " + notice.why.message();
    case process::FileNotice::Kind::kFolderRemoved:
      return "the ranks' log files in " + notice.path +
             " were removed to make room: " + CapText(logs);
    case process::FileNotice::Kind::kFull:
      return "the ranks' log files are full, the job goes on and its output is on the console "
             "alone: " +
             CapText(logs);
  }
  return "";
}

std::string UnwrittenText(uint64_t bytes, const proto::Logs& logs) {
  return std::to_string(bytes) + " bytes of ranks' output are in no log file: " + CapText(logs);
}

std::string DroppedText(const DroppedLines& lines) {
  const std::string text = std::to_string(lines.count) + " lines of node " + lines.node.ToString() +
                           " are not shown, since the console" +
                           (lines.is_here ? "" : " or the network on the way to it") +
                           " is too slow; ";
  if (!lines.files_lack_some) return text + "that node's files have them";
  return text +
         "that node's files were full (spec.logs.maxTotalBytes, maxFileBytes) or could not be "
         "written, and lines that they lack are lost";
}

std::string LeftEarlyText(base::NodeIndex node, std::string_view host,
                          std::string_view log_folder) {
  return "node " + node.ToString() + " (host " + std::string(host) +
         ") ended before all of its output came, as far as is known here; what is missing is in "
         "its "
         "log files, in " +
         std::string(log_folder);
}

std::string NoticeText(const elastic::Notice& notice, int rank_count, std::string_view job_id) {
  std::string ranks;
  for (const base::Rank rank : notice.ranks) ranks += (ranks.empty() ? "" : ", ") + rank.ToString();
  switch (notice.kind) {
    case elastic::Notice::Kind::kRanksRunOn:
      return std::to_string(notice.others.size()) + " of " + std::to_string(rank_count) +
             " ranks exited 0 " + base::FormatDuration(notice.since) +
             " ago; still running: " + ranks + " (see where: lockstep status " +
             std::string(job_id) + ")";
    case elastic::Notice::Kind::kUnkillable:
      return "rank " + ranks + " does not die: " + notice.error.ToString();
  }
  return "";
}

proto::Event NoticeEvent(const elastic::Notice& notice, std::string_view text) {
  proto::Event event;
  event.mutable_notice()->set_text(std::string(text));
  for (const base::Rank rank : notice.ranks) event.mutable_notice()->add_ranks(rank.value());
  return event;
}

proto::Event SurvivorsGoOnEvent(const elastic::RoundOutcome& outcome,
                                const std::vector<elastic::GoneRank>& gone) {
  proto::Event event;
  proto::SurvivorsGoOn& go_on = *event.mutable_survivors_go_on();
  go_on.set_next_round(outcome.next_round.value());
  go_on.set_rank_count(outcome.ranks_left);
  for (const elastic::GoneRank& rank : gone) {
    proto::RankLeftBehind& without = *go_on.add_without();
    without.set_rank(rank.rank.value());
    without.set_why(rank.why);
  }
  return event;
}

proto::Event RoundEndedEvent(const elastic::RoundOutcome& outcome, const proto::Verdict* verdict) {
  proto::Event event;
  proto::RoundEnded& ended = *event.mutable_round_ended();
  ended.set_decision(std::string(elastic::DecisionName(outcome.decision)));
  if (outcome.culprit) ended.set_culprit(outcome.culprit->value());
  if (outcome.best_step) ended.set_best_step(*outcome.best_step);
  if (verdict != nullptr) ended.set_verdict_class(proto::Verdict::Class_Name(verdict->class_()));
  return event;
}

proto::Event RestartScheduledEvent(const elastic::RoundOutcome& outcome) {
  proto::Event event;
  proto::RestartScheduled& scheduled = *event.mutable_restart_scheduled();
  scheduled.set_restart(static_cast<uint32_t>(outcome.restart));
  scheduled.set_max_restarts(static_cast<uint32_t>(outcome.max_restarts));
  scheduled.set_delay_ns(outcome.delay.count());
  return event;
}

proto::Event JobEndedEvent(const elastic::JobOutcome& outcome, int exit_status) {
  proto::Event event;
  proto::JobEnded& ended = *event.mutable_job_ended();
  ended.set_decision(std::string(elastic::DecisionName(outcome.decision)));
  ended.set_exit_code(exit_status);
  ended.set_restarts_used(static_cast<uint32_t>(outcome.restarts_used));
  return event;
}

}  // namespace lockstep::launcher
