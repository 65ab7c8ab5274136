// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What a job directory is like when any one system call of those that write it fails.
#include <errno.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "launcher/jobs/job_directory.h"
#include "launcher/jobs/job_store.h"
#include "launcher/jobs/process_identity.h"
#include "runtime/base/clock.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/process/testing/syscall_faults.h"
#include "runtime/storage/file_system.h"
#include "runtime/telemetry/event_log.h"

namespace lockstep::launcher {
namespace {

using base::Round;
using process::testing::RunWithFaults;
using process::testing::SyscallFaults;

constexpr int kCallsMax = 500;
constexpr size_t kFileBytesMax = 10'000;

/// The whole of a file, or nullopt.
std::optional<std::string> Text(const std::string& path) {
  storage::RealFileSystem files;
  const auto text = storage::ReadText(files, path, kFileBytesMax);
  if (!text.ok()) return std::nullopt;
  return *text;
}

std::vector<std::string> Lines(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

size_t CountFds() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                           std::filesystem::directory_iterator()));
}

/// One job's life on disk, and what must hold of it.
class Subject {
 public:
  Subject(std::string root, event::Loop& loop) : root_(std::move(root)), loop_(loop) {}

  /// Writes all that a job writes, with `number` in each file. Returns what went wrong.
  std::vector<base::Status> WriteAll(int number) {
    const std::string text = "{\"number\": " + std::to_string(number) + "}";
    proto::JobState state = state_;
    state.set_round(static_cast<uint32_t>(number));
    std::vector<base::Status> errors;
    const auto keep = [&errors](const base::Status& written) {
      if (!written.ok()) errors.push_back(written);
      return written.ok();
    };
    keep(job_->WriteSpec(text));
    if (keep(job_->MakeRound(Round(0)))) keep(job_->WriteRoundVerdict(Round(0), text));
    keep(job_->WriteState(state));
    keep(job_->WriteVerdict(text));
    proto::Event event;
    event.mutable_rank_spawned()->set_rank(number);
    events_->Append(Round(0), event);
    events_->Flush();
    return errors;
  }

  base::Status Create() {
    JobDirectory::NewJob job{.name = "job", .name_is_users = true, .seed = 1, .state = state_};
    base::Result<JobDirectory> made = JobDirectory::Create(root_, job, here_, files_);
    if (!made.ok()) return made.status();
    job_ = *std::move(made);
    events_.emplace(
        telemetry::EventLog::Options{.path = job_->EventsPath(), .job_id = job_->job_id()}, loop_);
    return base::OkStatus();
  }

  /// Every file is one that was written, whole: of the first number or the second.
  std::string WhatIsTorn() const {
    for (const std::string& path :
         {job_->SpecPath(), job_->VerdictPath(), job_->RoundPath(Round(0)) + "/verdict.json"}) {
      const auto text = Text(path);
      if (text && *text != "{\"number\": 1}" && *text != "{\"number\": 2}")
        return path + " holds: " + *text;
    }
    const auto bytes = Text(job_->StatePath());
    proto::JobState state;
    if (!bytes || !state.ParseFromString(*bytes) || state.job_id() != job_->job_id())
      return "the state is torn";
    for (const std::string& line : Lines(job_->EventsPath())) {
      if (!line.starts_with("{") || !line.ends_with("}")) return "torn event: " + line;
    }
    return "";
  }

  /// All files are of that number, and nothing else is there.
  std::string WhatIsNotOf(int number) const {
    const std::string text = "{\"number\": " + std::to_string(number) + "}";
    for (const std::string& path :
         {job_->SpecPath(), job_->VerdictPath(), job_->RoundPath(Round(0)) + "/verdict.json"}) {
      if (Text(path) != text) return path + " is an old one";
    }
    const auto entry = JobStore(root_, here_, files_).Find("job");
    if (!entry.ok() || entry->state.round() != static_cast<uint32_t>(number))
      return "the state is an old one";
    for (const auto& file : std::filesystem::recursive_directory_iterator(job_->path())) {
      if (file.path().string().ends_with(".tmp")) return "left: " + file.path().string();
    }
    const std::vector<std::string> events = Lines(job_->EventsPath());
    const std::string rank = "\"rank\":" + std::to_string(number);
    if (events.empty() || events.back().find(rank) == std::string::npos)
      return "the last event is missing";
    return "";
  }

 private:
  const std::string root_;
  event::Loop& loop_;
  const HostIdentity here_ = ThisHost();
  mutable storage::RealFileSystem files_;
  const proto::JobState state_ = [] {
    proto::JobState state;
    state.set_phase(proto::JOB_PHASE_ENDED);
    return state;
  }();
  std::optional<JobDirectory> job_;
  std::optional<telemetry::EventLog> events_;
};

/// One attempt, with the k-th call refused in the first half of it.
std::string Attempt(SyscallFaults& faults, int k, int error, const std::string& root,
                    std::set<long>& calls) {
  const base::RealClock clock;
  const auto loop = event::EpollLoop::Create(clock).value();
  const std::string name = strerrorname_np(error);
  Subject subject(root, *loop);
  faults.Arm(k, error);
  const base::Status created = subject.Create();
  std::vector<base::Status> errors;
  if (created.ok()) errors = subject.WriteAll(1);
  const std::optional<long> refused = faults.Disarm();
  if (refused) calls.insert(*refused);

  if (!created.ok()) {
    if (created.message().find(name) == std::string_view::npos) return created.ToString();
    std::filesystem::remove(UnfinishedFolder(root));  // of no job, as long as it is empty
    return std::filesystem::is_empty(root) ? "" : "a part of a job is left";
  }
  for (const base::Status& one : errors) {
    if (one.message().find(name) == std::string_view::npos) return one.ToString();
  }
  if (errors.size() > 1) return "one refused call is more than one error";
  if (const std::string torn = subject.WhatIsTorn(); !torn.empty()) return torn;
  // And whatever failed works again.
  errors = subject.WriteAll(2);
  if (!errors.empty()) return "does not recover: " + errors.front().ToString();
  if (const std::string torn = subject.WhatIsTorn(); !torn.empty()) return torn;
  if (const std::string old = subject.WhatIsNotOf(2); !old.empty()) return old;
  return refused ? "" : "untouched";
}

TEST(JobDirectoryFaultTest, AnyRefusedCallLeavesWholeFilesAndAJobThatGoesOn) {
  const std::string folder = ::getenv("TEST_TMPDIR");
  for (const int error : {ENOSPC, EIO}) {
    const std::string problem = RunWithFaults([&](SyscallFaults& faults) -> std::string {
      std::set<long> calls;
      const size_t fds = CountFds();
      for (int k = 0; k < kCallsMax; ++k) {
        const std::string root = folder + "/" + std::to_string(error) + "-" + std::to_string(k);
        std::filesystem::create_directory(root);
        const std::string outcome = Attempt(faults, k, error, root, calls);
        if (outcome == "untouched") {
          for (const long call : {SYS_mkdir, SYS_openat, SYS_write, SYS_renameat2}) {
            if (!calls.contains(call)) return "never refused: call " + std::to_string(call);
          }
          return "";
        }
        if (!outcome.empty()) return "call " + std::to_string(k) + ": " + outcome;
        if (CountFds() != fds) return "call " + std::to_string(k) + ": a descriptor is left";
      }
      return "no end";
    });
    if (problem.starts_with("SKIP ")) GTEST_SKIP() << problem.substr(5);
    EXPECT_EQ(problem, "");
  }
}

}  // namespace
}  // namespace lockstep::launcher
