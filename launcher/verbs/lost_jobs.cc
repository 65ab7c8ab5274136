// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/lost_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

#include <chrono>
#include <optional>
#include <vector>

#include "launcher/jobs/job_addresses.h"
#include "launcher/jobs/job_directory.h"
#include "launcher/verbs/verb_text.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/unix_socket.h"
#include "runtime/process/descendants.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kKillLimit = 10s;
constexpr size_t kStateBytesMax = size_t{64} << 10;
constexpr int kLockPauseMilliseconds = 10;

/// The kernel's lock on the socket directory: two commands that sweep at once would write the same
/// state file. Ends with the descriptor. Invalid when another command holds it.
base::Result<base::UniqueFd> TryLock(const std::string& socket_directory) {
  base::UniqueFd folder(::open(socket_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return base::ErrnoStatus(errno, "open folder " + socket_directory);
  if (::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) return folder;
  if (errno == EWOULDBLOCK || errno == EINTR) return base::UniqueFd();
  return base::ErrnoStatus(errno, "lock folder " + socket_directory);
}

base::Result<base::UniqueFd> Lock(const VerbContext& context) {
  const base::SteadyTime deadline = context.clock.Now() + kKillLimit;
  while (true) {
    ASSIGN_OR_RETURN(base::UniqueFd lock, TryLock(context.socket_directory));
    if (lock.valid()) return lock;
    if (context.clock.Now() >= deadline) {
      return base::DeadlineExceededError("lock folder " + context.socket_directory +
                                         ": another `lockstep` has held it for " +
                                         base::FormatDuration(kKillLimit));
    }
    ::poll(nullptr, 0, kLockPauseMilliseconds);
  }
}

JobDirectory DirectoryOf(const VerbContext& context, const std::string& job_id) {
  return {context.jobs_root + "/" + job_id, job_id, context.here.host, context.files};
}

/// As this host wrote it; nullopt when it cannot be read.
std::optional<proto::JobState> ReadState(const VerbContext& context, const std::string& job_id) {
  const std::string path = DirectoryOf(context, job_id).StatePath();
  const base::Result<std::string> bytes = storage::ReadText(context.files, path, kStateBytesMax);
  proto::JobState state;
  if (!bytes.ok() || !state.ParseFromString(*bytes) || state.job_id() != job_id)
    return std::nullopt;
  return state;
}

bool IsLost(const VerbContext& context, const proto::JobState& state) {
  const auto dead = [&context](const proto::ProcessIdentity& process) {
    return CheckLiveness(context.here, process) == Liveness::kDead;
  };
  if (!state.has_front() && !state.has_agent()) return false;
  return (!state.has_front() || dead(state.front())) && (!state.has_agent() || dead(state.agent()));
}

base::Status MarkLost(const VerbContext& context, proto::JobState state) {
  // An agent that was killed between its last word and its own end has said how the job ended.
  if (state.phase() == proto::JOB_PHASE_ENDED) return base::OkStatus();
  state.set_phase(proto::JOB_PHASE_LOST);
  state.clear_socket_path();
  *state.mutable_ended() = ToTimestamp(context.clock.WallNow());
  return DirectoryOf(context, state.job_id()).WriteState(state);
}

/// With the lock held.
base::Result<int> EndLocked(const VerbContext& context, const std::string& job_id) {
  // Read under the lock: another command may have swept it since.
  const std::optional<proto::JobState> state = ReadState(context, job_id);
  if (!state || !IsLost(context, *state)) {
    return base::FailedPreconditionError("end lost job " + job_id +
                                         ": it is not known to be lost: its `lockstep run` or its "
                                         "agent may live, or its state cannot be read");
  }
  ASSIGN_OR_RETURN(const int killed, process::KillMarked(JobMarkPrefix(job_id), kKillLimit));
  if (state->phase() != proto::JOB_PHASE_LOST) RETURN_IF_ERROR(MarkLost(context, *state));
  RemoveJobSockets(context, job_id);
  return killed;
}

/// Jobs whose control socket nobody answers and whose processes are dead.
std::vector<std::string> FindLost(const VerbContext& context) {
  std::vector<std::string> lost;
  const base::Result<std::vector<std::string>> names =
      context.files.ListDirectory(context.socket_directory);
  if (!names.ok()) return lost;  // no folder, no jobs
  for (const std::string& name : *names) {
    const std::optional<std::string> job_id = JobOfControlSocket(name);
    if (!job_id) continue;
    const auto answer = net::ConnectUnix(context.socket_directory + "/" + name);
    if (answer.status().code() != base::Code::kUnavailable) continue;
    const std::optional<proto::JobState> state = ReadState(context, *job_id);
    if (state && IsLost(context, *state)) lost.push_back(*job_id);
  }
  return lost;
}

}  // namespace

/// The control socket last: while it is there, the next command takes up what this one left undone.
void RemoveJobSockets(const VerbContext& context, const std::string& job_id) {
  const std::string control = ControlSocketPath(context.socket_directory, job_id);
  const base::Result<std::vector<std::string>> names =
      context.files.ListDirectory(context.socket_directory);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string path = context.socket_directory + "/" + name;
    // Gone already is as good.
    if (name.starts_with(job_id + ".") && path != control) (void)context.files.RemoveFile(path);
  }
  (void)context.files.RemoveFile(control);
}

void SweepLostJobs(const VerbContext& context) {
  const std::vector<std::string> lost = FindLost(context);
  if (lost.empty()) return;
  const base::Result<base::UniqueFd> lock = TryLock(context.socket_directory);
  if (!lock.ok() || !lock->valid()) return;  // another command is at it
  for (const std::string& job_id : lost) {
    const base::Result<int> killed = EndLocked(context, job_id);
    if (killed.ok()) {
      std::fprintf(context.err,
                   "lockstep: job %s was lost: its `lockstep run` and its agent were killed; "
                   "%d processes that they left were ended\n",
                   job_id.c_str(), *killed);
    } else if (killed.status().code() != base::Code::kFailedPrecondition) {
      std::fprintf(context.err, "lockstep: job %s was lost: %s\n", job_id.c_str(),
                   killed.status().ToString().c_str());
    }
  }
}

base::Result<int> EndLostJob(const VerbContext& context, const std::string& job_id) {
  ASSIGN_OR_RETURN(const base::UniqueFd lock, Lock(context));
  return EndLocked(context, job_id);
}

void EndListedLostJobs(const VerbContext& context) {
  const base::Result<std::vector<JobEntry>> jobs = OpenStore(context).List();
  if (!jobs.ok()) return;  // the verb itself says so
  for (const JobEntry& job : *jobs) {
    const bool never_swept = job.condition == JobCondition::kLost &&
                             job.state.phase() != proto::JOB_PHASE_LOST &&
                             IsLost(context, job.state);
    if (!never_swept) continue;
    const base::Result<int> killed = EndLostJob(context, job.id);
    if (killed.ok()) {
      std::fprintf(context.err, "lockstep: job %s was lost; %d processes that it left were ended\n",
                   job.id.c_str(), *killed);
    } else {
      std::fprintf(context.err, "lockstep: job %s was lost: %s\n", job.id.c_str(),
                   killed.status().ToString().c_str());
    }
  }
}

}  // namespace lockstep::launcher
