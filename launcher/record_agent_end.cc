// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/record_agent_end.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "launcher/verbs/lost_jobs.h"
#include "launcher/verbs/verb_text.h"
#include "launcher/verdict/root_cause.h"

namespace lockstep::launcher {
namespace {

/// A verdict on a job whose agent has left none.
proto::Verdict VerdictOn(const VerbContext& context, const JobDirectory& directory,
                         const proto::JobState& state, const std::string& log_directory,
                         const AgentEnd& end) {
  const bool started = state.phase() > proto::JOB_PHASE_STARTING;
  const proto::Verdict::Class verdict_class = end.how == AgentEnd::How::kKilled
                                                  ? proto::Verdict::NODE_LOST
                                              : started ? proto::Verdict::UNKNOWN
                                                        : proto::Verdict::LAUNCH_FAILED;
  proto::Verdict verdict = MakeVerdictWithoutRanks(
      verdict_class, base::Round(state.round()), end.exit_status, end.why,
      {.job_id = directory.job_id(),
       .host = context.here.host,
       .log_directory = log_directory.empty() ? directory.path() : log_directory,
       .stopped_by = "",
       .steady_now = context.clock.Now(),
       .wall_now = context.clock.WallNow(),
       .ranks = {}});
  verdict.set_world_size(state.rank_count());
  return verdict;
}

void SayIfFailed(const base::Status& written) {
  if (!written.ok()) std::fprintf(stderr, "lockstep: %s\n", written.ToString().c_str());
}

/// How the job ended, when the agent could not say so itself: no descriptor was left, it was
/// killed, there never was one.
void RecordEnd(const VerbContext& context, JobDirectory& directory, proto::JobState state,
               const std::string& log_directory, const AgentEnd& end) {
  // Written at the very end of a job, so what is there is true, even of an agent that was killed.
  const bool judged = ::access(directory.VerdictPath().c_str(), F_OK) == 0;
  if (!judged) {
    SayIfFailed(directory.WriteVerdict(
        VerdictJson(VerdictOn(context, directory, state, log_directory, end))));
  }
  state.set_phase(proto::JOB_PHASE_ENDED);
  state.set_exit_code(end.exit_status);
  *state.mutable_ended() = ToTimestamp(context.clock.WallNow());
  SayIfFailed(directory.WriteState(std::move(state)));
}

}  // namespace

void RecordAgentEnd(const VerbContext& context, JobDirectory& directory,
                    const std::string& log_directory, const AgentEnd& end) {
  // Of this host alone: where nodes share the folder, the others' agents live on. None when
  // somebody has removed the job's directory.
  const base::Result<proto::JobState> state = directory.ReadState();
  if (state.ok() && end.exit_status != 0 && state->phase() != proto::JOB_PHASE_ENDED) {
    RecordEnd(context, directory, *state, log_directory, end);
  }
  if (state.ok() && (end.how == AgentEnd::How::kKilled || state->simulates_hosts())) {
    RemoveWhatIsLeft(context, *state);
  }
  SayIfFailed(directory.Finish());
}

}  // namespace lockstep::launcher
