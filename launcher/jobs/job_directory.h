// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_JOBS_JOB_DIRECTORY_H_
#define LOCKSTEP_LAUNCHER_JOBS_JOB_DIRECTORY_H_

#include <string>
#include <string_view>

#include "launcher/jobs/process_identity.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/proto/job_state.pb.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {

/// What a job leaves on disk. A value: paths, and writes through `files`, which must outlive it.
/// One writer per host; any number of readers (job_store.h).
///
///   <root>/.unfinished/          UnfinishedFolder()
///   <root>/<job id>/             0700; the id is the job's name, a dash, and six random characters
///     spec.yaml                  the effective spec and the source of each value, secrets redacted
///     state.<host>.pb            JobState
///     events.<host>.jsonl        telemetry::EventLog
///     verdict.json               of the job
///     round-<n>/verdict.json     of one round
///     round-<n>/rank-<r>.stdout  made at the first byte, as .stderr
///
/// The home folder may be shared by many hosts: what several could write carries the writer's name.
/// Files are replaced as a whole, so a reader never sees a part of one; nothing is synced, so power
/// loss may leave an empty one, and the job is then "lost".
class JobDirectory {
 public:
  struct NewJob {
    std::string name;              // [a-z0-9-], at most 63 bytes; validated by the caller
    bool name_is_users = false;    // then no live job of this host may have it already
    uint64_t seed = 0;             // of the id's random characters: any fresh randomness
    std::string socket_directory;  // in which its agent will listen; "" = nobody knows
    proto::JobState state;         // first state; job_id, name and socket_path are filled in here
  };

  /// Makes the directory and writes the first state.
  /// Errors: AlreadyExists - a live job on this host has that name (the message says how to free
  /// it); DeadlineExceeded - another `lockstep` holds the root's lock for over 2 s; else errno's
  /// code. Nothing is left then.
  static base::Result<JobDirectory> Create(const std::string& root, NewJob job,
                                           const HostIdentity& here, storage::FileSystem& files);
  /// The directory of a job that exists.
  JobDirectory(std::string path, std::string job_id, std::string host, storage::FileSystem& files);

  const std::string& path() const { return path_; }
  storage::FileSystem& files() const { return *files_; }
  const std::string& job_id() const { return job_id_; }

  /// The job's id is written whatever the state says: without it readers would take a live job for
  /// a lost one. That a job has ended is told on a full disk too: over the old state, where it has
  /// its room. Until Finish() a job that has not ended is listed in UnfinishedFolder().
  /// Errors: InvalidArgument - the state is another job's; else errno's code.
  base::Status WriteState(proto::JobState state);
  /// What was last written here: this host's state, whatever others that share the folder know.
  /// Errors: NotFound - nothing was; DataLoss - it is no state of this job; else errno's code.
  base::Result<proto::JobState> ReadState() const;
  /// Nothing of the job is left on this host: no process, no socket. OK when that was known.
  base::Status Finish();
  base::Status WriteSpec(std::string_view redacted_yaml);
  base::Status WriteVerdict(std::string_view json);
  /// Makes the folder of a round; call it before the round's files are opened. OK when it exists.
  base::Status MakeRound(base::Round round);
  base::Status WriteRoundVerdict(base::Round round, std::string_view json);

  std::string StatePath() const;
  std::string EventsPath() const;
  std::string SpecPath() const;
  std::string VerdictPath() const;
  std::string RoundPath(base::Round round) const;

 private:
  base::Status ListAsUnfinished();
  std::string UnfinishedPath() const;

  std::string path_;
  std::string job_id_;
  std::string host_;
  storage::FileSystem* files_;
  bool listed_ = false;  // as unfinished, by this value or the one that it is a copy of
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_JOBS_JOB_DIRECTORY_H_
