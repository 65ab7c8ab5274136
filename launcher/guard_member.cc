// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/guard_member.h"

#include <cstdio>
#include <string>
#include <utility>

#include "launcher/agent/rank_setup.h"
#include "launcher/front/shared_text.h"
#include "launcher/jobs/job_directory.h"
#include "launcher/jobs/process_identity.h"
#include "launcher/record_agent_end.h"
#include "runtime/base/clock.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {

base::Result<int> GuardMember(MemberAgentConfig config, FrontOptions front) {
  const base::RealClock clock;
  storage::RealFileSystem files;
  // Which job it is the agent learns from the coordinator.
  ASSIGN_OR_RETURN(SharedText job_id, SharedText::Create());
  config.files = &files;
  config.job_id = &job_id;
  const VerbContext context{.jobs_root = config.jobs_root,
                            .socket_directory = config.socket_directory,
                            .here = config.here,
                            .clock = clock,
                            .files = files,
                            .out = stdout,
                            .err = stderr};
  // Before the agent has them.
  const proto::Logs logs = config.own_line ? config.own_line->spec.logs() : proto::Logs();
  const std::string folder = config.own_line ? config.own_line->folder : "";
  front.started_message = [&job_id] { return "job " + job_id.Get() + " started\n"; };
  front.on_agent_end = [&context, &job_id, &logs, &folder](const AgentEnd& end) {
    const std::string id = job_id.Get();
    if (id.empty()) return;  // it was never let in
    JobDirectory directory(context.jobs_root + "/" + id, id, context.here.host, context.files);
    RecordAgentEnd(context, directory, LogFolderOf(logs, folder, id), end);
  };
  return RunFront(front, [&config](base::UniqueFd link, pid_t guard) {
    if (config.own_line) {
      // Not this process, when that one is in the background.
      if (auto identity = IdentifyProcess(config.here, guard); identity.ok()) {
        *config.own_line->state.mutable_front() = *std::move(identity);
      }
    }
    return RunMemberAgent(std::move(config), std::move(link));
  });
}

}  // namespace lockstep::launcher
