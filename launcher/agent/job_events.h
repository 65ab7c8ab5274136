// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_JOB_EVENTS_H_
#define LOCKSTEP_LAUNCHER_AGENT_JOB_EVENTS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "elastic/gang.h"
#include "runtime/base/clock.h"
#include "runtime/process/file_limits.h"
#include "runtime/process/processes.h"
#include "runtime/proto/event.pb.h"
#include "runtime/proto/job.pb.h"
#include "runtime/proto/verdict.pb.h"

/// What happens to a gang, as events of the job's log (event.proto). Pure functions, for any
/// thread.
namespace lockstep::launcher {

proto::Event RoundStartedEvent(const elastic::SpawnRanks& round);
proto::Event RankSpawnedEvent(const elastic::RankProcess& process, pid_t pid);
proto::Event RankSpawnFailedEvent(const elastic::RankProcess& process, const base::Status& error);
proto::Event RankExitedEvent(const elastic::RankProcess& process, pid_t pid,
                             const process::Exit& exit);
proto::Event SignalSentEvent(int signal, bool whole_tree,
                             const std::vector<elastic::RankProcess>& processes);
/// `source` is who asked, in words; `reason` is what that one gave, or "".
proto::Event StopRequestedEvent(int signal, bool at_once, std::string_view source,
                                std::string_view reason);
/// `sink` is "files" or "console".
proto::Event OutputTroubleEvent(std::string_view sink, const base::Status& why);
/// Of this host's wall clock and the coordinator's.
proto::Event ClockComparedEvent(base::Duration offset, base::Duration error);
/// What people are told of files that met a limit of `logs`, in one line.
std::string FileNoticeText(const process::FileNotice& notice, const proto::Logs& logs);
/// The same of what is in no file because of that.
std::string UnwrittenText(uint64_t bytes, const proto::Logs& logs);
/// Lines of a node that were not shown.
struct DroppedLines {
  uint64_t count = 0;
  base::NodeIndex node;
  bool is_here = false;  // that node is the console's own
  bool files_lack_some = false;
};
/// What people are told of lines for which a console, or the way to it, was too slow.
std::string DroppedText(const DroppedLines& lines);
/// What people are told of a node that has not said that all of its output has come.
std::string LeftEarlyText(base::NodeIndex node, std::string_view host, std::string_view log_folder);
/// What people are told of a notice, in one line.
std::string NoticeText(const elastic::Notice& notice, int rank_count, std::string_view job_id);
proto::Event NoticeEvent(const elastic::Notice& notice, std::string_view text);
/// `outcome` decided that survivors go on without `gone`.
proto::Event SurvivorsGoOnEvent(const elastic::RoundOutcome& outcome,
                                const std::vector<elastic::GoneRank>& gone);
/// `verdict` is null when the round succeeded.
proto::Event RoundEndedEvent(const elastic::RoundOutcome& outcome, const proto::Verdict* verdict);
/// `outcome` decided for a restart.
proto::Event RestartScheduledEvent(const elastic::RoundOutcome& outcome);
proto::Event JobEndedEvent(const elastic::JobOutcome& outcome, int exit_status);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_JOB_EVENTS_H_
