// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/starting_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"
#include "runtime/process/clone_child.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/spawn_error.h"

namespace lockstep::process {
namespace {

/// Keeps every signal from the child until it has reset the handlers that it has from us.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

/// As exec wants them: null-terminated.
std::vector<const char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<const char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) pointers.push_back(string.c_str());
  pointers.push_back(nullptr);
  return pointers;
}

bool HasTarget(const std::vector<ExecFd>& fds, int number) {
  return std::any_of(fds.begin(), fds.end(),
                     [&](const ExecFd& fd) { return fd.child_fd == number; });
}

/// The child's descriptors, sorted by number: the mapped ones, `null` for those of 0, 1 and 2 that
/// are not, and the lifeline under the first number that nothing else wants.
std::vector<ExecFd> ChildFds(const SpawnSpec& spec, int null, int lifeline) {
  std::vector<ExecFd> fds;
  for (const FdMapping& mapping : spec.fds) {
    LOCKSTEP_CHECK(mapping.parent_fd >= 0 && mapping.child_fd >= 0,
                   "a mapped descriptor is negative");
    fds.push_back({mapping.parent_fd, mapping.child_fd});
  }
  int unused = 0;
  for (; unused <= 2 || HasTarget(fds, unused); ++unused) {
    if (unused <= 2 && !HasTarget(fds, unused)) fds.push_back({null, unused});
  }
  fds.push_back({lifeline, unused, true});
  std::sort(fds.begin(), fds.end(),
            [](const ExecFd& a, const ExecFd& b) { return a.child_fd < b.child_fd; });
  for (size_t i = 1; i < fds.size(); ++i) {
    LOCKSTEP_CHECK(fds[i].child_fd != fds[i - 1].child_fd,
                   "two descriptors are mapped to one number");
  }
  return fds;
}

/// A fault that is to hang the child is not for us.
int InjectedError(FaultPlan* faults) {
  return faults != nullptr && faults->error != FaultPlan::kHang ? faults->Next() : 0;
}

}  // namespace

base::Result<Lifeline> Lifeline::Create() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "make a pipe");
  Lifeline lifeline;
  lifeline.read_.reset(ends[0]);
  lifeline.write_.reset(ends[1]);
  return lifeline;
}

bool Lifeline::WaitForEnd(base::Duration limit) const {
  using std::chrono::milliseconds;
  using std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + limit;
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    pollfd end{.fd = read_.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&end, 1, std::max(0, static_cast<int>(left.count())));
    // It fails for a signal or for want of the kernel's memory: neither says anything of the
    // children.
    if (ready > 0) return true;
    if (ready == 0 && steady_clock::now() >= deadline) return false;
  }
}

base::Result<std::unique_ptr<StartingChild>> StartingChild::Create(SpawnSpec spec,
                                                                   const std::string& mark) {
  ASSIGN_OR_RETURN(std::vector<std::string> paths, ProgramPaths(spec));
  return std::unique_ptr<StartingChild>(new StartingChild(std::move(spec), std::move(paths), mark));
}

StartingChild::StartingChild(SpawnSpec spec, std::vector<std::string> paths,
                             const std::string& mark)
    : spec_(std::move(spec)),
      paths_(std::move(paths)),
      path_pointers_(Pointers(paths_)),
      argv_(Pointers(spec_.arguments)) {
  // The given environment with the mark. One that is already there is another job's, of which this
  // one is a part: it stays, in front.
  const std::string prefix = std::string(kMarkVariable) + "=";
  mark_entry_ = prefix + mark;
  envp_.reserve(spec_.environment.size() + 2);
  for (const std::string& entry : spec_.environment) {
    if (entry.starts_with(prefix)) {
      mark_entry_ = entry + ";" + mark;
    } else {
      envp_.push_back(entry.c_str());
    }
  }
  envp_.push_back(mark_entry_.c_str());
  envp_.push_back(nullptr);
  for (const ResourceLimit& limit : spec_.limits) limits_.push_back({limit.resource, limit.value});
}

base::Status StartingChild::Start(const Batch& batch, const CgroupLeaf* leaf) {
  pid_ = -1;
  base::UniqueFd entry;
  base::UniqueFd folder;
  if (leaf != nullptr) {
    folder = leaf->OpenFolder();
    entry = leaf->OpenEntry();
    const int error = entry.valid() ? InjectedError(batch.faults) : errno;
    if (error != 0) return base::ErrnoStatus(error, "start " + spec_.name + ": open its cgroup");
  }
  fds_ = ChildFds(spec_, batch.null_fd, batch.lifeline_fd);
  plan_ = ExecPlan();
  plan_.parent = ::getpid();
  plan_.paths = path_pointers_.data();
  plan_.argv = argv_.data();
  plan_.envp = envp_.data();
  plan_.working_directory =
      spec_.working_directory.empty() ? nullptr : spec_.working_directory.c_str();
  plan_.fds = fds_.data();
  plan_.fd_count = fds_.size();
  plan_.limits = limits_.data();
  plan_.limit_count = limits_.size();
  plan_.umask = spec_.umask ? static_cast<int>(*spec_.umask) : -1;
  plan_.terminal_fd = spec_.controlling_terminal_fd.value_or(-1);
  plan_.cgroup_entry_fd = entry.get();
  plan_.signals_to_reset = batch.signals_to_reset;
  plan_.faults = batch.faults;

  int pidfd = -1;
  int error = InjectedError(batch.faults);
  if (error == 0) {
    const SignalsBlocked blocked;
    pid_ = Clone(batch, folder.get(), batch.use_pidfd ? &pidfd : nullptr);
    if (pid_ < 0) error = errno;
  }
  if (error != 0) return ExplainCloneFailure(spec_, error);
  pidfd_.reset(pidfd);
  return base::OkStatus();
}

pid_t StartingChild::Clone(const Batch& batch, int cgroup_folder, int* pidfd) {
  CloneChildOptions options{.stack = stack_, .stack_bytes = kStackBytes, .pidfd = pidfd};
  if (cgroup_folder >= 0 && !*batch.clone_into_cgroup_refused) {
    options.cgroup_fd = cgroup_folder;
    const int entry = std::exchange(plan_.cgroup_entry_fd, -1);
    const pid_t pid = CloneChild(ExecChild, &plan_, options);
    if (pid >= 0 || errno == EAGAIN || errno == ENOMEM) return pid;
    // The child can still write itself in; what is wrong with the cgroup shows there.
    *batch.clone_into_cgroup_refused = true;
    options.cgroup_fd = -1;
    plan_.cgroup_entry_fd = entry;
  }
  return CloneChild(ExecChild, &plan_, options);
}

base::Status StartingChild::Failure() const {
  if (plan_.error == 0) return base::OkStatus();
  return ExplainExecFailure(spec_, paths_, plan_.stage, plan_.error, plan_.subject);
}

base::Status StartingChild::TooLate(base::Duration limit) const {
  return base::DeadlineExceededError(
      "start " + spec_.name + ": " + spec_.arguments.front() + " could not be loaded within " +
      base::FormatDuration(limit) +
      "; is it, its working directory or a folder of PATH on a file system that "
      "hangs, or is its cgroup frozen?");
}

}  // namespace lockstep::process
