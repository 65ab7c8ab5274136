// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/job_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "launcher/jobs/job_addresses.h"
#include "launcher/jobs/job_store.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/random.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

constexpr int kSuffixCharacters = 6;
constexpr int kIdTries = 16;
constexpr int kLockTries = 200;
constexpr int kLockPauseMilliseconds = 10;

std::string MakeJobId(const std::string& name, base::Random& random) {
  constexpr std::string_view kAlphabet =
      "0123456789abcdefghjkmnpqrstvwxyz";  // no letters that look like digits
  std::string id = name + "-";
  for (int i = 0; i < kSuffixCharacters; ++i)
    id.push_back(kAlphabet[random.Below(kAlphabet.size())]);
  return id;
}

/// The kernel's lock on the root, held while a name is looked up and taken. Ends with the
/// descriptor.
base::Result<base::UniqueFd> LockRoot(const std::string& root) {
  base::UniqueFd folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return base::ErrnoStatus(errno, "open folder " + root);
  for (int i = 0; i < kLockTries; ++i) {
    if (::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) return folder;
    // A file system without locks (some network ones) leaves the check without one, which is a race
    // between two commands of one user and no more.
    if (errno != EWOULDBLOCK && errno != EINTR) return folder;
    ::poll(nullptr, 0, kLockPauseMilliseconds);
  }
  return base::DeadlineExceededError("lock folder " + root +
                                     ": another `lockstep` has held it for 2 s");
}

base::Status CheckNameIsFree(const std::string& root, const std::string& name,
                             const HostIdentity& here, storage::FileSystem& files) {
  const JobStore store(root, here, files);
  ASSIGN_OR_RETURN(const std::optional<JobEntry> taken, store.FindLive(name));
  if (!taken) return base::OkStatus();
  return base::AlreadyExistsError("job name taken: \"" + name + "\" is running as " + taken->id +
                                  "; stop it with `lockstep stop " + taken->id +
                                  "` or choose another --name");
}

/// Writes over a file that exists and keeps the blocks that it has, so that it needs no new ones; a
/// reader may see a part for an instant.
base::Status Overwrite(const std::string& path, std::string_view bytes) {
  base::UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return base::ErrnoStatus(errno, "open " + path);
  const ssize_t written = ::pwrite(file.get(), bytes.data(), bytes.size(), 0);
  if (written != static_cast<ssize_t>(bytes.size())) {
    return base::ErrnoStatus(written < 0 ? errno : ENOSPC, "write over " + path);
  }
  const bool cut = ::ftruncate(file.get(), static_cast<off_t>(bytes.size())) == 0;
  return cut ? base::OkStatus() : base::ErrnoStatus(errno, "cut " + path);
}

std::string RootOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

JobDirectory::JobDirectory(std::string path, std::string job_id, std::string host,
                           storage::FileSystem& files)
    : path_(std::move(path)),
      job_id_(std::move(job_id)),
      host_(FileSafeHost(std::move(host))),
      files_(&files) {}

base::Result<JobDirectory> JobDirectory::Create(const std::string& root, NewJob job,
                                                const HostIdentity& here,
                                                storage::FileSystem& files) {
  base::UniqueFd lock;
  if (job.name_is_users) {
    ASSIGN_OR_RETURN(lock, LockRoot(root));
    RETURN_IF_ERROR(CheckNameIsFree(root, job.name, here, files));
  }
  base::Random random(job.seed);
  base::Status made;
  for (int i = 0; i < kIdTries; ++i) {
    const std::string id = MakeJobId(job.name, random);
    JobDirectory directory(root + "/" + id, id, here.host, files);
    made = files.MakeDirectory(directory.path());
    if (made.code() == base::Code::kAlreadyExists) continue;
    RETURN_IF_ERROR(made);
    job.state.set_job_id(id);  // a template's would be another job's
    job.state.set_name(job.name);
    if (!job.socket_directory.empty()) {
      job.state.set_socket_path(ControlSocketPath(job.socket_directory, id));
    }
    const base::Status written = directory.WriteState(std::move(job.state));
    if (written.ok()) return directory;
    (void)files.RemoveTree(directory.path());
    return written;
  }
  return made;
}

base::Status JobDirectory::WriteState(proto::JobState state) {
  if (!state.job_id().empty() && state.job_id() != job_id_) {
    return base::InvalidArgumentError("write " + StatePath() + ": the state is that of job " +
                                      state.job_id());
  }
  state.set_job_id(job_id_);
  const std::string bytes = state.SerializeAsString();
  base::Status replaced = storage::ReplaceFile(*files_, StatePath(), bytes);
  const bool last = state.phase() == proto::JOB_PHASE_ENDED;
  if (replaced.ok() && !last && state.phase() != proto::JOB_PHASE_LOST && !listed_) {
    return ListAsUnfinished();
  }
  if (last && replaced.code() == base::Code::kResourceExhausted &&
      Overwrite(StatePath(), bytes).ok()) {
    return base::OkStatus();
  }
  return replaced;
}

base::Result<proto::JobState> JobDirectory::ReadState() const {
  ASSIGN_OR_RETURN(const std::string bytes,
                   storage::ReadText(*files_, StatePath(), kJobStateBytesMax));
  proto::JobState state;
  if (!state.ParseFromString(bytes) || state.job_id() != job_id_) {
    return base::DataLossError("read " + StatePath() + ": it is no state of job " + job_id_);
  }
  return state;
}

base::Status JobDirectory::ListAsUnfinished() {
  const auto make = [this] { return files_->WriteFile(UnfinishedPath(), {}, {.mode = 0600}); };
  base::Status made = make();
  if (made.code() == base::Code::kNotFound) {
    // The first job of this root. Another one may be the first at the same time.
    (void)files_->MakeDirectory(UnfinishedFolder(RootOf(path_)));
    made = make();
  }
  listed_ = made.ok();
  return made;
}

base::Status JobDirectory::Finish() {
  const base::Status removed = files_->RemoveFile(UnfinishedPath());
  return removed.code() == base::Code::kNotFound ? base::OkStatus() : removed;
}

base::Status JobDirectory::WriteSpec(std::string_view redacted_yaml) {
  return storage::ReplaceFile(*files_, SpecPath(), redacted_yaml);
}

base::Status JobDirectory::WriteVerdict(std::string_view json) {
  return storage::ReplaceFile(*files_, VerdictPath(), json);
}

base::Status JobDirectory::MakeRound(base::Round round) {
  const base::Status made = files_->MakeDirectory(RoundPath(round));
  return made.code() == base::Code::kAlreadyExists ? base::OkStatus() : made;
}

base::Status JobDirectory::WriteRoundVerdict(base::Round round, std::string_view json) {
  return storage::ReplaceFile(*files_, RoundPath(round) + "/verdict.json", json);
}

std::string JobDirectory::UnfinishedPath() const {
  return UnfinishedFolder(RootOf(path_)) + "/" + job_id_ + "." + host_;
}
std::string JobDirectory::StatePath() const { return path_ + "/state." + host_ + ".pb"; }
std::string JobDirectory::EventsPath() const { return path_ + "/events." + host_ + ".jsonl"; }
std::string JobDirectory::SpecPath() const { return path_ + "/spec.yaml"; }
std::string JobDirectory::VerdictPath() const { return path_ + "/verdict.json"; }
std::string JobDirectory::RoundPath(base::Round round) const {
  return path_ + "/round-" + round.ToString();
}

}  // namespace lockstep::launcher
