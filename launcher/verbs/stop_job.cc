// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/stop_job.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "launcher/verbs/ask_agent.h"
#include "launcher/verbs/lost_jobs.h"
#include "launcher/verbs/verb_text.h"
#include "runtime/process/proc_scan.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kAnswerLimit = 5s;
// A job that is starting listens within milliseconds.
constexpr base::Duration kListenLimit = 2s;
constexpr int kPauseMilliseconds = 10;
constexpr base::Duration kUsualGrace = 30s;  // spec.grace.userStop, unless the job says otherwise

base::Status ElsewhereError(const VerbContext& context, const JobEntry& job) {
  return base::FailedPreconditionError("stop job " + job.id + ": it runs " +
                                       PlaceOf(job, context.here) + "; run `lockstep stop " +
                                       job.id + "` there");
}

base::Status EndLost(const VerbContext& context, const JobEntry& job) {
  ASSIGN_OR_RETURN(const int killed, EndLostJob(context, job.id));
  if (!job.state.launcher().empty()) {
    std::fprintf(context.out, "job %s was lost; its ranks belong to %s and were left alone\n",
                 job.id.c_str(), Printable(job.state.launcher()).c_str());
    return base::OkStatus();
  }
  std::fprintf(context.out, "job %s was lost; %d processes that it left were ended\n",
               job.id.c_str(), killed);
  return base::OkStatus();
}

/// Nothing is left to stop; OK, or why nobody can know.
base::Status ReportEnd(const VerbContext& context, const JobEntry& job) {
  switch (job.condition) {
    case JobCondition::kLive: return base::InternalError("job " + job.id + " has not ended");
    case JobCondition::kLost: return EndLost(context, job);
    case JobCondition::kElsewhere: return ElsewhereError(context, job);
    case JobCondition::kEnded: break;
  }
  if (!job.state.has_exit_code()) {
    std::fprintf(context.out, "job %s has ended\n", job.id.c_str());
    return base::OkStatus();
  }
  std::fprintf(context.out, "job %s has ended with exit status %d\n", job.id.c_str(),
               job.state.exit_code());
  return base::OkStatus();
}

proto::ControlRequest RequestOf(const StopJobOptions& options) {
  proto::ControlRequest request;
  proto::StopRequest& stop = *request.mutable_stop();
  stop.set_signal(options.signal);
  stop.set_at_once(options.at_once);
  stop.set_reason("lockstep stop, pid " + std::to_string(::getpid()));
  return request;
}

/// For an agent whose socket is gone: its process can still be told, as by `kill`.
base::Result<proto::StopReply> SignalAgent(const VerbContext& context,
                                           const StopJobOptions& options, const JobEntry& job,
                                           const base::Status& unreachable) {
  const proto::ProcessIdentity& agent = job.state.agent();
  const std::optional<process::ProcStat> found =
      process::ReadProcStat(static_cast<pid_t>(agent.pid()));
  const int asked = options.signal == 0 ? SIGTERM : options.signal;
  const int signal = options.at_once ? SIGKILL : asked;
  const bool same = found && found->start_ticks == agent.start_ticks();
  if (!same || !process::SignalExactly(*found, signal)) {
    return unreachable.WithFrame("stop job " + job.id);
  }
  std::fprintf(context.err,
               "lockstep: job %s cannot be reached at its socket (was the folder removed?); its "
               "agent (pid %lld) was sent SIG%s\n",
               job.id.c_str(), static_cast<long long>(agent.pid()), ::sigabbrev_np(signal));
  proto::StopReply reply;
  // Its own grace it cannot tell.
  if (!options.at_once) reply.set_grace_ns(base::Duration(kUsualGrace).count());
  return reply;
}

/// Asks the agent until it listens or the job is no longer live. Then `job` is as it was found.
base::Result<proto::StopReply> RequestStop(const VerbContext& context,
                                           const StopJobOptions& options, JobEntry& job) {
  const base::SteadyTime listen_deadline = context.clock.Now() + kListenLimit;
  while (true) {
    base::Result<proto::ControlReply> reply =
        AskAgent(context, job, RequestOf(options), kAnswerLimit);
    if (reply.ok()) return reply->stop();
    ASSIGN_OR_RETURN(job, OpenStore(context).Get(job.id));
    if (job.condition != JobCondition::kLive) return proto::StopReply();
    const bool has_answered = reply.status().failure_class() != base::FailureClass::kNetwork;
    if (!has_answered && reply.status().code() == base::Code::kDeadlineExceeded) {
      return reply.status().WithFrame("stop job " + job.id +
                                      ": its agent is stopped or stuck; SIGKILL it, and what it "
                                      "leaves is ended");
    }
    if (!NobodyListens(reply.status())) return reply.status().WithFrame("stop job " + job.id);
    if (!job.state.launcher().empty()) {
      // Its agent is not what a signal would end the ranks by.
      return reply.status().WithFrame("stop job " + job.id + ": end it through " +
                                      job.state.launcher() + ", which has started it");
    }
    const bool starting = job.state.phase() <= proto::JOB_PHASE_STARTING;
    if (!starting || context.clock.Now() >= listen_deadline) {
      return SignalAgent(context, options, job, reply.status());
    }
    ::poll(nullptr, 0, kPauseMilliseconds);
  }
}

int CountLiving(const VerbContext& context, const JobEntry& job) {
  const base::Result<proto::StatusReply> reply = AskStatus(context, job, kAnswerLimit);
  int living = 0;
  if (!reply.ok()) return living;
  for (const proto::RankStatus& rank : reply->ranks()) living += rank.life() == "alive";
  return living;
}

void SayWaiting(const VerbContext& context, const JobEntry& job, base::SteadyTime killed_at) {
  const base::Duration left = killed_at - context.clock.Now();
  std::string text = "lockstep: waiting for job " + job.id + " to end";
  if (const int living = CountLiving(context, job); living > 0) {
    text += ": " + std::to_string(living) + " ranks still live";
  }
  if (left > 1s && job.state.launcher().empty()) {
    text += "; they are killed in " +
            base::FormatDuration(std::chrono::duration_cast<std::chrono::seconds>(left)) +
            ", or at once with `lockstep stop --now " + job.id + "`";
  }
  std::fprintf(context.err, "%s\n", text.c_str());
}

/// Of ranks that belong to another launcher, less is done than for others.
void SayWhatWasDone(const VerbContext& context, const JobEntry& job) {
  if (job.state.launcher().empty()) return;
  std::fprintf(context.err,
               "lockstep: job %s was started by %s: its ranks on this host were sent SIGTERM; none "
               "is killed\n",
               job.id.c_str(), Printable(job.state.launcher()).c_str());
}

/// Its time is up.
base::Status ReportLate(const VerbContext& context, const JobEntry& job, base::Duration waited) {
  if (job.condition == JobCondition::kLive) {
    return base::DeadlineExceededError(
        "stop job " + job.id + ": it still runs " + base::FormatDuration(waited) +
        " after it was told to end; see `lockstep status " + job.id + "`");
  }
  std::fprintf(context.err,
               "lockstep: the agent of job %s (pid %lld) waits for somebody to read its output\n",
               job.id.c_str(), static_cast<long long>(job.state.agent().pid()));
  return ReportEnd(context, job);
}

base::Status AwaitEnd(const VerbContext& context, const StopJobOptions& options, JobEntry job,
                      base::Duration grace) {
  const base::SteadyTime begun = context.clock.Now();
  const base::SteadyTime killed_at = begun + grace;
  base::SteadyTime say_at = begun + options.silence;
  while (!IsOver(context, job)) {
    const base::SteadyTime now = context.clock.Now();
    if (now >= killed_at + options.margin) return ReportLate(context, job, now - begun);
    if (now >= say_at) {
      SayWaiting(context, job, killed_at);
      say_at = now + options.reminder;
    }
    ::poll(nullptr, 0, kPauseMilliseconds);
    ASSIGN_OR_RETURN(job, OpenStore(context).Get(job.id));
  }
  return ReportEnd(context, job);
}

}  // namespace

base::Status StopJob(const VerbContext& context, const StopJobOptions& options) {
  ASSIGN_OR_RETURN(JobEntry job, OpenStore(context).Find(options.job));
  if (job.condition != JobCondition::kLive) return ReportEnd(context, job);
  ASSIGN_OR_RETURN(const proto::StopReply reply, RequestStop(context, options, job));
  SayWhatWasDone(context, job);
  if (!options.wait && job.condition == JobCondition::kLive) {
    std::fprintf(context.out, "job %s is ending\n", job.id.c_str());
    return base::OkStatus();
  }
  return AwaitEnd(context, options, job, base::Duration(reply.grace_ns()));
}

}  // namespace lockstep::launcher
