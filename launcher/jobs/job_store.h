// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_JOBS_JOB_STORE_H_
#define LOCKSTEP_LAUNCHER_JOBS_JOB_STORE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launcher/jobs/process_identity.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/proto/job_state.pb.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {

/// Of a state's file: it names every node of the job.
inline constexpr size_t kJobStateBytesMax = size_t{1} << 20;

/// Host names may hold anything; file names may not.
std::string FileSafeHost(std::string host);

/// `root`/.unfinished: an empty file "<job id>.<host>" for each job whose writer on that host has
/// not said yet that all of it is over. So what is lost is found without reading every job's state,
/// and wherever its sockets are.
std::string UnfinishedFolder(const std::string& root);

enum class JobCondition : uint8_t {
  kLive,   // its front or agent lives on this host
  kEnded,  // it said so
  /// It never said so, and nothing of it lives: killed with its machine, or its state cannot be
  /// read.
  kLost,
  kElsewhere,  // another host or container that shares this folder runs it, or did
};
/// "running", "ended", "lost", "elsewhere".
std::string_view ConditionName(JobCondition condition);

struct JobEntry {
  std::string id;
  std::string path;       // of its directory
  std::string host;       // that wrote the state; "" when there is none
  proto::JobState state;  // empty but for the id when it cannot be read
  JobCondition condition = JobCondition::kLost;
};

/// Of a job that is kElsewhere: "on node-b", or "in another container" of this host.
std::string PlaceOf(const JobEntry& job, const HostIdentity& here);

/// The job directories below one root, as verbs see them. Borrows `files`. Stateless: every call
/// looks again, and other processes may change things meanwhile.
class JobStore {
 public:
  JobStore(std::string root, HostIdentity here, storage::FileSystem& files);

  /// Live jobs first, then by start, newest first. A root that does not exist holds none.
  base::Result<std::vector<JobEntry>> List() const;

  /// A live job of this name on this host. Looks into the directories of that name alone.
  base::Result<std::optional<JobEntry>> FindLive(std::string_view name) const;

  /// The job with this id; else the one live job, else the newest, of this name; else the one whose
  /// id begins with it. Errors: NotFound - with those that there are; InvalidArgument - several ids
  /// begin with it (they are listed).
  base::Result<JobEntry> Find(std::string_view id_or_name) const;

  /// The job with exactly this id. Errors: NotFound - there is none.
  base::Result<JobEntry> Get(const std::string& id) const;

  /// Ids of the jobs that are unfinished on this host: those that run, and those that are lost.
  std::vector<std::string> Unfinished() const;
  /// The hosts, as files name them, on which that job is unfinished.
  std::vector<std::string> UnfinishedHosts(std::string_view job_id) const;

  /// Errors: NotFound - it is gone; FailedPrecondition - the job is live (stop it first), or runs
  /// elsewhere; else errno's code.
  base::Status Remove(const JobEntry& job);

  /// Removes jobs that are ended or lost and whose end (else start) lies before `before`. Returns
  /// their ids. A job that cannot be removed does not stop the others; the first error comes back
  /// when none could be removed.
  base::Result<std::vector<std::string>> Prune(base::WallTime before);

 private:
  /// Each (job id, host) in UnfinishedFolder().
  std::vector<std::pair<std::string, std::string>> ListUnfinished() const;
  /// nullopt when the folder is no job's.
  std::optional<JobEntry> Read(const std::string& id) const;

  const std::string root_;
  const HostIdentity here_;
  storage::FileSystem& files_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_JOBS_JOB_STORE_H_
