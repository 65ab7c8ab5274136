// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/job_store.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace lockstep::launcher {
namespace {

constexpr size_t kNamedInErrors = 10;
constexpr std::string_view kStatePrefix = "state.";
constexpr std::string_view kStateSuffix = ".pb";

int64_t Nanoseconds(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000'000 + time.nanos();
}

JobCondition ConditionOf(const HostIdentity& here, const proto::JobState& state) {
  if (state.phase() == proto::JOB_PHASE_ENDED) return JobCondition::kEnded;
  if (state.phase() == proto::JOB_PHASE_LOST) return JobCondition::kLost;  // its own host's word
  const Liveness front = CheckLiveness(here, state.front());
  const Liveness agent = CheckLiveness(here, state.agent());
  if (front == Liveness::kAlive || agent == Liveness::kAlive) return JobCondition::kLive;
  const bool elsewhere = (state.has_front() && front == Liveness::kUnknown) ||
                         (state.has_agent() && agent == Liveness::kUnknown);
  return elsewhere ? JobCondition::kElsewhere : JobCondition::kLost;
}

bool IsStateFile(std::string_view name) {
  return name.starts_with(kStatePrefix) && name.ends_with(kStateSuffix);
}

/// Whether `id` is `name`, a dash and random characters. The state says so too, but may be
/// unreadable.
bool IdHasName(std::string_view id, std::string_view name) {
  return id.size() > name.size() && id.starts_with(name) && id[name.size()] == '-' &&
         id.find('-', name.size() + 1) == std::string_view::npos;
}

std::string Listed(const std::vector<JobEntry>& jobs) {
  std::string text;
  for (size_t i = 0; i < std::min(jobs.size(), kNamedInErrors); ++i) {
    text.append(i == 0 ? "" : ", ").append(jobs[i].id);
  }
  if (jobs.size() > kNamedInErrors)
    text += " and " + std::to_string(jobs.size() - kNamedInErrors) + " more";
  return text;
}

}  // namespace

std::string FileSafeHost(std::string host) {
  for (char& c : host) {
    const bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '.' || c == '_';
    if (!safe) c = '_';
  }
  return host;
}

std::string UnfinishedFolder(const std::string& root) { return root + "/.unfinished"; }

std::string_view ConditionName(JobCondition condition) {
  switch (condition) {
    case JobCondition::kLive: return "running";
    case JobCondition::kEnded: return "ended";
    case JobCondition::kLost: return "lost";
    case JobCondition::kElsewhere: return "elsewhere";
  }
  return "";
}

std::string PlaceOf(const JobEntry& job, const HostIdentity& here) {
  return job.host == FileSafeHost(here.host) ? "in another container" : "on " + job.host;
}

JobStore::JobStore(std::string root, HostIdentity here, storage::FileSystem& files)
    : root_(std::move(root)), here_(std::move(here)), files_(files) {}

std::optional<JobEntry> JobStore::Read(const std::string& id) const {
  JobEntry entry{.id = id, .path = root_ + "/" + id};
  entry.state.set_job_id(id);
  const auto names = files_.ListDirectory(entry.path);
  // Whatever else somebody has put into the root is neither listed nor ever removed. An empty
  // folder is a job that died before its first state was written.
  const auto is_state = [](std::string_view name) { return name.starts_with(kStatePrefix); };
  if (!names.ok() || (!names->empty() && std::none_of(names->begin(), names->end(), is_state)))
    return std::nullopt;
  for (const std::string& name : *names) {
    if (!IsStateFile(name)) continue;
    const auto bytes = storage::ReadText(files_, entry.path + "/" + name, kJobStateBytesMax);
    proto::JobState state;
    if (!bytes.ok() || bytes->empty() || !state.ParseFromString(*bytes) || state.job_id() != id)
      continue;
    const JobCondition condition = ConditionOf(here_, state);
    // Where several hosts have written, the one that knows most counts: live here, then ended, then
    // elsewhere.
    const auto weight = [](JobCondition c) {
      return std::tuple(c == JobCondition::kLive, c == JobCondition::kEnded,
                        c == JobCondition::kElsewhere);
    };
    if (!entry.host.empty() && weight(condition) <= weight(entry.condition)) continue;
    entry.host =
        name.substr(kStatePrefix.size(), name.size() - kStatePrefix.size() - kStateSuffix.size());
    entry.state = std::move(state);
    entry.condition = condition;
  }
  return entry;
}

base::Result<std::vector<JobEntry>> JobStore::List() const {
  const auto ids = files_.ListDirectory(root_);
  if (ids.status().code() == base::Code::kNotFound) return std::vector<JobEntry>();
  if (!ids.ok()) return ids.status();
  std::vector<JobEntry> jobs;
  for (const std::string& id : *ids) {
    if (id.starts_with('.')) continue;  // UnfinishedFolder()
    if (std::optional<JobEntry> job = Read(id)) jobs.push_back(*std::move(job));
  }
  std::sort(jobs.begin(), jobs.end(), [](const JobEntry& a, const JobEntry& b) {
    const auto place = [](const JobEntry& job) {
      const bool live = job.condition == JobCondition::kLive;
      return std::tuple(!live, -Nanoseconds(job.state.started()), std::string_view(job.id));
    };
    return place(a) < place(b);
  });
  return jobs;
}

base::Result<std::optional<JobEntry>> JobStore::FindLive(std::string_view name) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> ids, files_.ListDirectory(root_));
  for (const std::string& id : ids) {
    if (!IdHasName(id, name)) continue;
    std::optional<JobEntry> entry = Read(id);
    if (entry && entry->condition == JobCondition::kLive) return entry;
  }
  return std::optional<JobEntry>();
}

base::Result<JobEntry> JobStore::Find(std::string_view id_or_name) const {
  ASSIGN_OR_RETURN(std::vector<JobEntry> jobs, List());
  const auto find = [&jobs](const auto& matches) {
    return std::find_if(jobs.begin(), jobs.end(), matches);
  };
  auto found = find([&](const JobEntry& job) { return job.id == id_or_name; });
  if (found != jobs.end()) return *found;
  // List() has the live ones first, and then the newest.
  found = find([&](const JobEntry& job) { return IdHasName(job.id, id_or_name); });
  if (found != jobs.end()) return *found;
  std::vector<JobEntry> begun;
  for (const JobEntry& job : jobs) {
    if (!id_or_name.empty() && job.id.starts_with(id_or_name)) begun.push_back(job);
  }
  if (begun.size() == 1) return begun.front();
  const std::string what = "find job \"" + std::string(id_or_name) + "\"";
  if (!begun.empty()) {
    return base::InvalidArgumentError(what + ": several begin with it: " + Listed(begun));
  }
  return base::NotFoundError(what + (jobs.empty()
                                         ? ": there are no jobs in " + root_
                                         : ": there are " + Listed(jobs) + "; see `lockstep ps`"));
}

base::Result<JobEntry> JobStore::Get(const std::string& id) const {
  std::optional<JobEntry> entry = Read(id);
  if (!entry) return base::NotFoundError("there is no job " + id + " (any more) in " + root_);
  return *std::move(entry);
}

std::vector<std::pair<std::string, std::string>> JobStore::ListUnfinished() const {
  std::vector<std::pair<std::string, std::string>> listed;
  const auto names = files_.ListDirectory(UnfinishedFolder(root_));
  if (!names.ok()) return listed;  // no job has run yet
  for (const std::string& name : *names) {
    const size_t dot = name.find('.');  // an id has none, a host's name may have several
    if (dot != name.npos) listed.emplace_back(name.substr(0, dot), name.substr(dot + 1));
  }
  return listed;
}

std::vector<std::string> JobStore::Unfinished() const {
  std::vector<std::string> jobs;
  for (auto& [job, host] : ListUnfinished()) {
    if (host == FileSafeHost(here_.host)) jobs.push_back(std::move(job));
  }
  return jobs;
}

std::vector<std::string> JobStore::UnfinishedHosts(std::string_view job_id) const {
  std::vector<std::string> hosts;
  for (auto& [job, host] : ListUnfinished()) {
    if (job == job_id) hosts.push_back(std::move(host));
  }
  return hosts;
}

base::Status JobStore::Remove(const JobEntry& job) {
  // The caller's view may be old, and a live job must not lose its folder.
  const std::optional<JobEntry> now = Read(job.id);
  if (!now)
    return base::NotFoundError("remove job " + job.id + ": there is no such job (any more)");
  if (now->condition == JobCondition::kLive) {
    return base::FailedPreconditionError(
        "remove job " + job.id + ": it is running; stop it first: `lockstep stop " + job.id + "`");
  }
  if (now->condition == JobCondition::kElsewhere) {
    return base::FailedPreconditionError(
        "remove job " + job.id + ": it may be running " + PlaceOf(*now, here_) +
        "; remove it there, or its folder " + now->path + " when there is no such place any more");
  }
  return files_.RemoveTree(now->path);
}

base::Result<std::vector<std::string>> JobStore::Prune(base::WallTime before) {
  ASSIGN_OR_RETURN(const std::vector<JobEntry> jobs, List());
  std::vector<std::string> removed;
  base::Status first_error;
  for (const JobEntry& job : jobs) {
    if (job.condition != JobCondition::kEnded && job.condition != JobCondition::kLost) continue;
    const auto& age_of = job.state.has_ended() ? job.state.ended() : job.state.started();
    if (Nanoseconds(age_of) >= before.time_since_epoch().count()) continue;
    const base::Status status = Remove(job);
    if (status.ok()) {
      removed.push_back(job.id);
    } else if (first_error.ok()) {
      first_error = status;
    }
  }
  if (removed.empty() && !first_error.ok()) return first_error;
  return removed;
}

}  // namespace lockstep::launcher
