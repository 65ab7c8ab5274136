// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/lost_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <utility>
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
constexpr int kLockPauseMilliseconds = 10;

/// The kernel's lock on the list of unfinished jobs: two commands that sweep at once would write
/// the same state file. Ends with the descriptor. Invalid when another command holds it.
base::Result<base::UniqueFd> TryLock(const VerbContext& context) {
  const std::string path = UnfinishedFolder(context.jobs_root);
  (void)context.files.MakeDirectory(path);  // it may exist
  base::UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return base::ErrnoStatus(errno, "open folder " + path);
  if (::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) return folder;
  if (errno == EWOULDBLOCK || errno == EINTR) return base::UniqueFd();
  // A file system without locks (some network ones): two that sweep at once then say so twice.
  return folder;
}

base::Result<base::UniqueFd> Lock(const VerbContext& context) {
  const base::SteadyTime deadline = context.clock.Now() + kKillLimit;
  while (true) {
    ASSIGN_OR_RETURN(base::UniqueFd lock, TryLock(context));
    if (lock.valid()) return lock;
    if (context.clock.Now() >= deadline) {
      return base::DeadlineExceededError("lock folder " + UnfinishedFolder(context.jobs_root) +
                                         ": another `lockstep` has held it for " +
                                         base::FormatDuration(kKillLimit));
    }
    ::poll(nullptr, 0, kLockPauseMilliseconds);
  }
}

JobDirectory DirectoryOf(const VerbContext& context, const std::string& job_id) {
  return {context.jobs_root + "/" + job_id, job_id, context.here.host, context.files};
}

/// As this host wrote it.
base::Result<proto::JobState> ReadState(const VerbContext& context, const std::string& job_id) {
  return DirectoryOf(context, job_id).ReadState();
}

/// Of a job whose directory somebody has removed, nothing can be known any more.
void ForgetIfGone(const VerbContext& context, const std::string& job_id) {
  JobDirectory directory = DirectoryOf(context, job_id);
  if (context.files.ListDirectory(directory.path()).status().code() == base::Code::kNotFound) {
    (void)directory.Finish();
  }
}

bool IsLost(const VerbContext& context, const proto::JobState& state) {
  const auto dead = [&context](const proto::ProcessIdentity& process) {
    return CheckLiveness(context.here, process) == Liveness::kDead;
  };
  if (!state.has_front() && !state.has_agent()) return false;
  return (!state.has_front() || dead(state.front())) && (!state.has_agent() || dead(state.agent()));
}

base::Status MarkLost(const VerbContext& context, JobDirectory directory, proto::JobState state) {
  // An agent that was killed between its last word and its own end has said how the job ended.
  if (state.phase() == proto::JOB_PHASE_ENDED) return base::OkStatus();
  state.set_phase(proto::JOB_PHASE_LOST);
  state.clear_socket_path();
  *state.mutable_ended() = ToTimestamp(context.clock.WallNow());
  return directory.WriteState(std::move(state));
}

/// Where the agent bound its sockets: as it wrote down, for the folder hangs on each command's
/// environment.
std::string SocketFolderOf(const VerbContext& context, const proto::JobState& state) {
  const size_t slash = state.socket_path().rfind('/');
  return slash == std::string::npos ? context.socket_directory
                                    : state.socket_path().substr(0, slash);
}

/// An agent that the state does not name yet: the job has just been started.
bool AgentAnswers(const VerbContext& context, const proto::JobState& state) {
  const std::string folder = SocketFolderOf(context, state);
  return net::ConnectUnix(ControlSocketPath(folder, state.job_id())).ok();
}

/// Of a job that `lockstep run` has started; another launcher's ranks are not ours to end.
base::Result<int> KillWhatIsLeft(const proto::JobState& state) {
  if (!state.launcher().empty()) return 0;
  return process::KillMarked(JobMarkPrefix(state.job_id()), kKillLimit);
}

/// With the lock held.
base::Result<int> EndLocked(const VerbContext& context, const std::string& job_id) {
  // Read under the lock: another command may have swept it since.
  const base::Result<proto::JobState> state = ReadState(context, job_id);
  if (!state.ok() || !IsLost(context, *state) || AgentAnswers(context, *state)) {
    return base::FailedPreconditionError("end lost job " + job_id +
                                         ": it is not known to be lost: its `lockstep run` or its "
                                         "agent may live, or its state cannot be read");
  }
  ASSIGN_OR_RETURN(const int killed, KillWhatIsLeft(*state));
  if (state->phase() != proto::JOB_PHASE_LOST) {
    RETURN_IF_ERROR(MarkLost(context, DirectoryOf(context, job_id), *state));
  }
  RemoveWhatIsLeft(context, *state);
  RETURN_IF_ERROR(DirectoryOf(context, job_id).Finish());
  return killed;
}

/// Unfinished jobs whose processes are dead.
std::vector<proto::JobState> FindLost(const VerbContext& context) {
  std::vector<proto::JobState> lost;
  for (const std::string& job_id : OpenStore(context).Unfinished()) {
    base::Result<proto::JobState> state = ReadState(context, job_id);
    if (!state.ok()) ForgetIfGone(context, job_id);
    if (state.ok() && IsLost(context, *state)) lost.push_back(*std::move(state));
  }
  return lost;
}

void SayLost(const VerbContext& context, const proto::JobState& state,
             const base::Result<int>& killed) {
  const bool ours = state.launcher().empty();
  const std::string who = ours ? "its `lockstep run` and its agent" : "its agent";
  const std::string what =
      !killed.ok() ? killed.status().ToString()
      : ours       ? std::to_string(*killed) + " processes that it left were ended"
                   : "its ranks belong to " + Printable(state.launcher()) + " and were left alone";
  std::fprintf(context.err, "lockstep: job %s was lost: %s died without a word; %s\n",
               state.job_id().c_str(), who.c_str(), what.c_str());
}

void RemoveSockets(const VerbContext& context, const proto::JobState& state) {
  const std::string folder = SocketFolderOf(context, state);
  const base::Result<std::vector<std::string>> names = context.files.ListDirectory(folder);
  if (!names.ok()) return;
  const std::string simulated = SimulatedSocketPrefix(state.job_id());
  for (const std::string& name : *names) {
    const std::string path = folder + "/" + name;
    // Gone already is as good.
    if (name.starts_with(state.job_id() + ".")) (void)context.files.RemoveFile(path);
    if (state.simulates_hosts() && name.starts_with(simulated)) {
      (void)context.files.RemoveTree(path);
    }
  }
}

/// Nobody of that name will ever look after it.
void EndSimulatedHost(const VerbContext& context, const std::string& job_id,
                      const std::string& host) {
  JobDirectory directory(context.jobs_root + "/" + job_id, job_id, host, context.files);
  base::Result<proto::JobState> state = directory.ReadState();
  if (state.ok()) (void)MarkLost(context, directory, *std::move(state));
  (void)directory.Finish();
}

}  // namespace

void RemoveWhatIsLeft(const VerbContext& context, const proto::JobState& state) {
  RemoveSockets(context, state);
  (void)context.files.RemoveTree(MpiFolder(::getuid(), state.job_id()));  // mostly there is none
  if (!state.simulates_hosts()) return;
  const std::string own = FileSafeHost(context.here.host);
  for (const std::string& host : OpenStore(context).UnfinishedHosts(state.job_id())) {
    if (host != own) EndSimulatedHost(context, state.job_id(), host);
  }
}

void SweepLostJobs(const VerbContext& context) {
  const std::vector<proto::JobState> lost = FindLost(context);
  if (lost.empty()) return;
  const base::Result<base::UniqueFd> lock = TryLock(context);
  if (!lock.ok() || !lock->valid()) return;  // another command is at it
  for (const proto::JobState& state : lost) {
    const std::string& job_id = state.job_id();
    const base::Result<int> killed = EndLocked(context, job_id);
    // One that has said how it ended has only left its front no time to tidy up.
    const bool said = state.phase() == proto::JOB_PHASE_ENDED && killed.ok() && *killed == 0;
    if (said || killed.status().code() == base::Code::kFailedPrecondition) continue;
    SayLost(context, state, killed);
  }
}

base::Result<int> EndLostJob(const VerbContext& context, const std::string& job_id) {
  ASSIGN_OR_RETURN(const base::UniqueFd lock, Lock(context));
  return EndLocked(context, job_id);
}

}  // namespace lockstep::launcher
