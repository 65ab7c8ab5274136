// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/real_processes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/logging.h"
#include "runtime/process/clone_child.h"
#include "runtime/process/descendants.h"
#include "runtime/process/spawn_error.h"

namespace lockstep::process {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// ExecChild() and what it calls need under 4 KiB; a sanitizer or a debugger may want more.
constexpr size_t kChildStackBytes = 64 << 10;
constexpr base::Duration kSweepDelayMin = microseconds(250);
constexpr base::Duration kSweepDelayMax = milliseconds(8);
constexpr base::Duration kFinalKillLimit = seconds(2);
// Neighbours whose children die all the time must not keep us looking for ever: this is 0.4 s at
// the least.
constexpr int kQuietScansMax = 50;

bool IsPlainName(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

/// Keeps every signal from the child until it has reset the handlers that it shares with us.
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

/// waitid() on one child, without blocking; nullopt while it lives.
std::optional<Exit> TakeExit(pid_t pid) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | __WALL) != 0 ||
      info.si_pid == 0) {
    return std::nullopt;
  }
  if (info.si_code == CLD_EXITED) return Exit{.code = info.si_status};
  return Exit{.signal = info.si_status, .core_dumped = info.si_code == CLD_DUMPED};
}

bool HasChildren() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

void ReapBlocking(pid_t pid) {
  while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

/// As exec wants them: null-terminated.
std::vector<const char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<const char*> pointers;
  for (const std::string& string : strings) pointers.push_back(string.c_str());
  pointers.push_back(nullptr);
  return pointers;
}

/// The child's environment block: the given one with the mark. A mark that is already there is
/// another job's, of which this one is a part: it stays, in front.
struct Environment {
  Environment(const SpawnSpec& spec, const std::string& mark) {
    const std::string prefix = std::string(kMarkVariable) + "=";
    mark_entry = prefix + mark;
    pointers.reserve(spec.environment.size() + 2);
    for (const std::string& entry : spec.environment) {
      if (entry.starts_with(prefix)) {
        mark_entry = entry + ";" + mark;
      } else {
        pointers.push_back(entry.c_str());
      }
    }
    pointers.push_back(mark_entry.c_str());
    pointers.push_back(nullptr);
  }

  std::string mark_entry;
  std::vector<const char*> pointers;
};

/// The child's descriptors, sorted by number, with `null` for those of 0, 1 and 2 that are not
/// mapped.
base::Result<std::vector<ExecFd>> ChildFds(const SpawnSpec& spec, int null) {
  std::vector<ExecFd> fds;
  for (const FdMapping& mapping : spec.fds) {
    LOCKSTEP_CHECK(mapping.parent_fd >= 0 && mapping.child_fd >= 0,
                   "a mapped descriptor is negative");
    fds.push_back({mapping.parent_fd, mapping.child_fd});
  }
  for (int standard = 0; standard <= 2; ++standard) {
    const bool mapped = std::any_of(fds.begin(), fds.end(),
                                    [&](const ExecFd& fd) { return fd.child_fd == standard; });
    if (!mapped) fds.push_back({null, standard});
  }
  std::sort(fds.begin(), fds.end(),
            [](const ExecFd& a, const ExecFd& b) { return a.child_fd < b.child_fd; });
  for (size_t i = 1; i < fds.size(); ++i) {
    LOCKSTEP_CHECK(fds[i].child_fd != fds[i - 1].child_fd,
                   "two descriptors are mapped to one number");
  }
  return fds;
}

int InjectedError(const RealProcesses::Config& config) {
  return config.faults != nullptr ? config.faults->Next() : 0;
}

}  // namespace

class RealProcesses::RealProcess final : public Process {
 public:
  RealProcess(RealProcesses& owner, uint64_t serial, std::string mark, Cloned cloned,
              std::unique_ptr<CgroupLeaf> leaf, uint64_t oom_count, ExitCallback on_exit)
      : owner_(owner),
        serial_(serial),
        mark_(std::move(mark)),
        pid_(cloned.pid),
        pidfd_(std::move(cloned.pidfd)),
        leaf_(std::move(leaf)),
        oom_count_at_spawn_(oom_count),
        on_exit_(std::move(on_exit)) {
    if (!pidfd_.valid()) return;  // OnChildSignal() will tell
    watch_ = owner_.loop_.Watch(pidfd_.get(), {.readable = true},
                                [this](event::Readiness) { CheckExit(); });
  }

  ~RealProcess() override {
    owner_.seq_.AssertHeld();
    if (!tree_gone_) KillTree();
    owner_.Forget(*this);
  }

  pid_t pid() const override { return pid_; }
  const std::optional<Exit>& exit() const override { return exit_; }

  base::Status SignalLeader(int signal) override {
    owner_.seq_.AssertHeld();
    // The pid is ours to signal until it was reaped, which is when exit_ is set.
    if (exit_) return base::OkStatus();
    if (signal == SIGKILL) killed_by_us_ = true;
    if (::kill(pid_, signal) == 0 || errno == ESRCH) return base::OkStatus();
    return base::ErrnoStatus(
        errno, "send signal " + std::to_string(signal) + " to process " + std::to_string(pid_));
  }

  base::Status SignalAll(int signal) override {
    owner_.seq_.AssertHeld();
    if (signal == SIGKILL) killed_by_us_ = true;
    if (leaf_ != nullptr) {
      for (const pid_t member : leaf_->Members()) ::kill(member, signal);
      return base::OkStatus();
    }
    for (const ProcStat& member : owner_.MarkedMembers(*this)) SignalExactly(member, signal);
    return base::OkStatus();
  }

  void KillAll(base::Duration deadline, std::function<void(base::Status)> gone) override {
    owner_.seq_.AssertHeld();
    LOCKSTEP_CHECK(gone_ == nullptr, "KillAll() while one is pending");
    gone_ = std::move(gone);
    kill_limit_ = deadline;
    kill_deadline_ = owner_.loop_.Now() + deadline;
    if (!tree_gone_) KillLeader();
    owner_.SweepSoon();
  }

  uint64_t serial() const { return serial_; }
  const std::string& mark() const { return mark_; }
  bool kill_pending() const { return gone_ != nullptr; }
  bool watched_by_pidfd() const { return pidfd_.valid(); }

  /// Reports the leader's exit if it has ended. May destroy this.
  void CheckExit() {
    owner_.seq_.AssertHeld();
    if (exit_) return;
    exit_ = TakeExit(pid_);
    if (!exit_) return;
    exit_->at = owner_.loop_.Now();
    if (exit_->signal == SIGKILL && !killed_by_us_)
      exit_->out_of_memory = owner_.oom_.Attribute(oom_count_at_spawn_);
    watch_.reset();
    pidfd_.reset();
    if (kill_pending()) owner_.SweepSoon();
    const ExitCallback on_exit = std::move(on_exit_);
    on_exit_ = nullptr;
    on_exit(*exit_);
  }

  /// One look at a pending KillAll(): kills what is there, reports when nothing is. May destroy
  /// this.
  void Sweep() {
    owner_.seq_.AssertHeld();
    std::vector<ProcStat> survivors;
    // Only after the leader's exit was reported: nobody expects the end of the tree before that of
    // its head.
    if (!tree_gone_ && exit_) tree_gone_ = KillDescendants(&survivors);
    if (tree_gone_) {
      Finish(base::OkStatus());
    } else if (owner_.loop_.Now() >= kill_deadline_) {
      Finish(Undead(survivors));
    }
  }

 private:
  /// The leader's whole process group dies in one go, children that are being forked too. It is
  /// ours to signal as long as its leader is not reaped.
  void KillLeader() {
    killed_by_us_ = true;
    if (!exit_) ::kill(-pid_, SIGKILL);
    if (leaf_ != nullptr && !exit_) leaf_->Kill();
  }

  /// SIGKILL to what can be found; true when nothing was. Fills `survivors` where they are known.
  bool KillDescendants(std::vector<ProcStat>* survivors) REQUIRES(owner_.seq_) {
    if (leaf_ != nullptr) {
      if (leaf_->Empty()) return true;
      leaf_->Kill();
      return false;
    }
    *survivors = owner_.MarkedMembers(*this);
    for (const ProcStat& member : *survivors) SignalExactly(member, SIGKILL);
    if (!survivors->empty()) {
      quiet_scans_ = 0;
      return false;
    }
    // A daemon that forks and leaves, over and over, may slip through any one look, but not without
    // corpses.
    return owner_.ScanTree().settled || ++quiet_scans_ >= kQuietScansMax;
  }

  void KillTree() REQUIRES(owner_.seq_) {
    KillLeader();
    std::vector<ProcStat> survivors;
    KillDescendants(&survivors);
  }

  void Finish(base::Status status) {
    const auto gone = std::exchange(gone_, nullptr);
    gone(std::move(status));
  }

  base::Status Undead(std::vector<ProcStat> survivors) const {
    if (leaf_ != nullptr) {
      for (const pid_t member : leaf_->Members()) {
        if (auto stat = ReadProcStat(member)) survivors.push_back(std::move(*stat));
      }
    }
    if (survivors.empty()) {
      if (auto leader = ReadProcStat(pid_)) survivors.push_back(std::move(*leader));
    }
    std::string names;
    for (const ProcStat& stat : survivors) names += (names.empty() ? "" : ", ") + stat.ToString();
    return base::DeadlineExceededError(
        "kill the processes of " + mark_ + ": not dead " + base::FormatDuration(kill_limit_) +
        " after SIGKILL: " + names +
        " (state D waits in the kernel, often for a device or a network disk)");
  }

  RealProcesses& owner_;
  const uint64_t serial_;
  const std::string mark_;
  const pid_t pid_;
  base::UniqueFd pidfd_;
  std::unique_ptr<CgroupLeaf> leaf_;  // null where the mark has to do
  const uint64_t oom_count_at_spawn_;

  ExitCallback on_exit_;
  std::optional<Exit> exit_;  // set: reaped, and pid_ may be anybody's
  bool killed_by_us_ = false;
  bool tree_gone_ = false;
  int quiet_scans_ = 0;  // that found nobody of this tree alive, one after the other
  std::function<void(base::Status)> gone_;  // of the pending KillAll()
  base::Duration kill_limit_{0};
  base::SteadyTime kill_deadline_{};
  event::Registration watch_;
};

base::Result<std::unique_ptr<RealProcesses>> RealProcesses::Create(Config config,
                                                                   event::Loop& loop) {
  LOCKSTEP_CHECK(!config.mark.empty() && config.mark.find_first_of("=;/") == config.mark.npos,
                 "the mark is a plain name");
  std::vector<CgroupKind> kinds;
  switch (config.containment) {
    case Containment::kBest:
      kinds = {CgroupKind::kV2, CgroupKind::kV1Freezer, CgroupKind::kV1Pids};
      break;
    case Containment::kCgroupV2: kinds = {CgroupKind::kV2}; break;
    case Containment::kCgroupV1: kinds = {CgroupKind::kV1Freezer, CgroupKind::kV1Pids}; break;
    case Containment::kSubreaperMark: break;
  }
  std::unique_ptr<CgroupTree> cgroups;
  base::Status refused;
  for (const CgroupKind kind : kinds) {
    base::Result<std::unique_ptr<CgroupTree>> tree = CgroupTree::Create(kind);
    if (tree.ok()) {
      cgroups = std::move(tree).value();
      break;
    }
    refused = std::move(tree).status();
  }
  const bool demanded =
      config.containment == Containment::kCgroupV2 || config.containment == Containment::kCgroupV1;
  if (demanded && cgroups == nullptr) return refused.WithFrame("hold processes by cgroup");

  RETURN_IF_ERROR(BecomeSubreaper());
  base::UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return base::ErrnoStatus(errno, "prepare to spawn: open /dev/null");
  std::unique_ptr<RealProcesses> processes(
      new RealProcesses(std::move(config), loop, std::move(cgroups), std::move(null)));
  RealProcesses* raw = processes.get();
  ASSIGN_OR_RETURN(processes->child_signals_,
                   event::SignalSource::Create(
                       loop, {SIGCHLD}, [raw](const event::Signal&) { raw->OnChildSignal(); }));
  return std::unique_ptr<RealProcesses>(std::move(processes));
}

RealProcesses::RealProcesses(Config config, event::Loop& loop, std::unique_ptr<CgroupTree> cgroups,
                             base::UniqueFd null)
    : config_(std::move(config)),
      loop_(loop),
      cgroups_(std::move(cgroups)),
      null_(std::move(null)),
      child_stack_(new char[kChildStackBytes]) {}

RealProcesses::~RealProcesses() {
  LOCKSTEP_CHECK(processes_.empty(), "a Process outlives its Processes");
  if (const base::Status status = KillDescendants(kFinalKillLimit); !status.ok()) {
    LOG(ERROR) << "leaving processes behind: " << status;
  }
}

std::string RealProcesses::containment() const {
  seq_.AssertHeld();
  return cgroups_ != nullptr && !cgroups_refused_ ? cgroups_->Describe()
                                                  : "subreaper and environment mark";
}

base::Result<std::unique_ptr<Process>> RealProcesses::Spawn(const SpawnSpec& spec,
                                                            ExitCallback on_exit) {
  seq_.AssertHeld();
  LOCKSTEP_CHECK(IsPlainName(spec.name), "a spawn's name is [a-z0-9-]+");
  LOCKSTEP_CHECK(!spec.arguments.empty(), "a spawn needs a program");
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, ProgramPaths(spec));
  const uint64_t serial = next_serial_++;
  // The slash at the end keeps rank-1/1 apart from rank-1/10.
  const std::string mark = config_.mark + "/" + spec.name + "/" + std::to_string(serial) + "/";
  ASSIGN_OR_RETURN(std::unique_ptr<CgroupLeaf> leaf, NewLeaf(spec, serial));
  const uint64_t oom_count = oom_.Read();

  bool cgroup_refused = false;
  base::Result<Cloned> cloned = Start(spec, paths, mark, leaf.get(), &cgroup_refused);
  if (cgroup_refused) {
    // Probing at the start cannot tell all: a controller or a security module may still say no.
    LOG(WARNING) << "holding processes by environment mark from now on: " << cloned.status();
    cgroups_refused_ = true;
    leaf.reset();
    cloned = Start(spec, paths, mark, nullptr, &cgroup_refused);
  }
  if (!cloned.ok()) return std::move(cloned).status();

  auto process = std::make_unique<RealProcess>(*this, serial, mark, std::move(cloned).value(),
                                               std::move(leaf), oom_count, std::move(on_exit));
  processes_[serial] = process.get();
  by_session_[process->pid()] = process.get();
  return std::unique_ptr<Process>(std::move(process));
}

base::Result<std::unique_ptr<CgroupLeaf>> RealProcesses::NewLeaf(const SpawnSpec& spec,
                                                                 uint64_t serial) {
  if (cgroups_ == nullptr || cgroups_refused_) return std::unique_ptr<CgroupLeaf>();
  base::Result<std::unique_ptr<CgroupLeaf>> leaf =
      cgroups_->NewLeaf(spec.name + "-" + std::to_string(serial));
  if (leaf.ok()) return leaf;
  LOG(WARNING) << "holding processes by environment mark from now on: " << leaf.status();
  cgroups_refused_ = true;
  return std::unique_ptr<CgroupLeaf>();
}

base::Result<RealProcesses::Cloned> RealProcesses::Start(const SpawnSpec& spec,
                                                         const std::vector<std::string>& paths,
                                                         const std::string& mark,
                                                         const CgroupLeaf* leaf,
                                                         bool* cgroup_refused) {
  const std::vector<const char*> argv = Pointers(spec.arguments);
  const std::vector<const char*> path_pointers = Pointers(paths);
  const Environment environment(spec, mark);
  ASSIGN_OR_RETURN(std::vector<ExecFd> fds, ChildFds(spec, null_.get()));
  std::vector<ExecLimit> limits;
  for (const ResourceLimit& limit : spec.limits) limits.push_back({limit.resource, limit.value});
  base::UniqueFd entry;
  base::UniqueFd folder;
  if (leaf != nullptr) {
    folder = leaf->OpenFolder();
    entry = leaf->OpenEntry();
    const int error = entry.valid() ? InjectedError(config_) : errno;
    if (error != 0) return base::ErrnoStatus(error, "start " + spec.name + ": open its cgroup");
  }

  ExecPlan plan;
  plan.parent = ::getpid();
  plan.paths = path_pointers.data();
  plan.argv = argv.data();
  plan.envp = environment.pointers.data();
  plan.working_directory =
      spec.working_directory.empty() ? nullptr : spec.working_directory.c_str();
  plan.fds = fds.data();
  plan.fd_count = fds.size();
  plan.limits = limits.data();
  plan.limit_count = limits.size();
  plan.umask = spec.umask ? static_cast<int>(*spec.umask) : -1;
  plan.terminal_fd = spec.controlling_terminal_fd.value_or(-1);
  plan.cgroup_entry_fd = entry.get();
  const auto whole_seconds = std::chrono::duration_cast<seconds>(config_.start_limit);
  plan.start_limit = {.tv_sec = whole_seconds.count(),
                      .tv_nsec = (config_.start_limit - whole_seconds).count()};
  plan.faults = config_.faults;
  base::Result<Cloned> cloned = Clone(spec, paths, plan, folder.get());
  *cgroup_refused = plan.error != 0 && plan.stage == ExecStage::kCgroup;
  return cloned;
}

pid_t RealProcesses::CloneSuspended(ExecPlan& plan, int cgroup_folder, int* pidfd) {
  CloneChildOptions options{
      .stack = child_stack_.get(), .stack_bytes = kChildStackBytes, .pidfd = pidfd};
  if (cgroup_folder >= 0 && !clone_into_cgroup_refused_) {
    options.cgroup_fd = cgroup_folder;
    const int entry = std::exchange(plan.cgroup_entry_fd, -1);
    const pid_t pid = CloneChild(ExecChild, &plan, options);
    if (pid >= 0 || errno == EAGAIN || errno == ENOMEM) return pid;
    // The child can still write itself in; what is wrong with the cgroup shows there.
    clone_into_cgroup_refused_ = true;
    options.cgroup_fd = -1;
    plan.cgroup_entry_fd = entry;
  }
  return CloneChild(ExecChild, &plan, options);
}

base::Result<RealProcesses::Cloned> RealProcesses::Clone(const SpawnSpec& spec,
                                                         const std::vector<std::string>& paths,
                                                         ExecPlan& plan, int cgroup_folder) {
  const base::SteadyTime begin = loop_.Now();
  int pidfd = -1;
  pid_t pid = -1;
  int error = InjectedError(config_);
  if (error == 0) {
    const SignalsBlocked blocked;
    pid = CloneSuspended(plan, cgroup_folder, config_.use_pidfd ? &pidfd : nullptr);
    if (pid < 0) error = errno;
  }
  if (error != 0) return ExplainCloneFailure(spec, error);
  Cloned cloned{.pid = pid, .pidfd = base::UniqueFd(pidfd)};
  if (plan.error != 0) {
    ReapBlocking(pid);
    return ExplainExecFailure(spec, paths, plan.stage, plan.error, plan.subject);
  }
  if (loop_.Now() - begin >= config_.start_limit) {
    // It may have killed itself for being too slow, or have exec'd at the last moment. We run on as
    // soon as it gives up our memory, which is before it is a zombie, so only the kernel's flag can
    // tell.
    const std::optional<ProcStat> stat = ReadProcStat(pid);
    if (stat && !stat->execed) {
      ReapBlocking(pid);
      return base::DeadlineExceededError(
          "start " + spec.name + ": " + spec.arguments.front() + " could not be loaded within " +
          base::FormatDuration(config_.start_limit) +
          "; is it, its working directory or a folder of PATH on a file system that "
          "hangs, or is its cgroup frozen?");
    }
  }
  return cloned;
}

void RealProcesses::OnChildSignal() {
  seq_.AssertHeld();
  // Callbacks may destroy any process, so each is looked up anew.
  std::vector<uint64_t> serials;
  for (const auto& [serial, process] : processes_) {
    if (!process->watched_by_pidfd()) serials.push_back(serial);
  }
  for (const uint64_t serial : serials) {
    if (const auto it = processes_.find(serial); it != processes_.end()) it->second->CheckExit();
  }
  ReapOrphans();
}

void RealProcesses::ReapOrphans() {
  while (true) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 || info.si_pid == 0)
      return;
    // A leader that has ended is met here too.
    const auto leader = by_session_.find(info.si_pid);
    if (leader != by_session_.end() && !leader->second->exit()) {
      leader->second->CheckExit();
    } else {
      TakeExit(info.si_pid);
    }
  }
}

void RealProcesses::Forget(RealProcess& process) {
  processes_.erase(process.serial());
  const auto it = by_session_.find(process.pid());
  if (it != by_session_.end() && it->second == &process) by_session_.erase(it);
}

void RealProcesses::SweepSoon() {
  sweep_delay_ = kSweepDelayMin;
  sweep_timer_ = loop_.At(loop_.Now(), [this] { Sweep(); });
}

void RealProcesses::Sweep() {
  seq_.AssertHeld();
  const base::SteadyTime begin = loop_.Now();
  ReapOrphans();
  tree_.reset();
  std::vector<uint64_t> pending;
  for (const auto& [serial, process] : processes_) {
    if (process->kill_pending()) pending.push_back(serial);
  }
  sweep_timer_.reset();
  for (const uint64_t serial : pending) {
    if (const auto it = processes_.find(serial); it != processes_.end()) it->second->Sweep();
  }
  const bool left = std::any_of(processes_.begin(), processes_.end(),
                                [](const auto& entry) { return entry.second->kill_pending(); });
  if (!left || sweep_timer_.active()) return;  // a callback may have begun a new KillAll()
  // Looking at all of /proc takes its time on a big machine: never spend more than a fifth of ours
  // on it.
  const base::Duration delay = std::max(sweep_delay_, 4 * (loop_.Now() - begin));
  sweep_delay_ = std::min(sweep_delay_ * 2, kSweepDelayMax);
  sweep_timer_ = loop_.After(delay, [this] { Sweep(); });
}

RealProcesses::RealProcess* RealProcesses::OwnerOf(const ProcStat& orphan, bool* unknown) {
  for (const pid_t number : {orphan.pid, orphan.session, orphan.group}) {
    if (const auto it = by_session_.find(number); it != by_session_.end()) return it->second;
  }
  const std::optional<std::string> mark = ReadMark(orphan.pid);
  *unknown = !mark;
  for (const auto& [serial, process] : processes_) {
    if (mark && MarkMatches(*mark, process->mark())) return process;
  }
  return nullptr;
}

void RealProcesses::DropTree() {
  seq_.AssertHeld();
  tree_.reset();
}

const RealProcesses::Tree& RealProcesses::ScanTree() {
  if (tree_) return *tree_;
  tree_ = Tree{.settled = true};
  // What one turn of the loop has seen is old in the next.
  tree_expiry_ = loop_.At(loop_.Now(), [this] { DropTree(); });
  if (!HasChildren()) return *tree_;  // and so no descendants: saves the look at all of /proc
  std::unordered_map<pid_t, RealProcess*> owners;
  for (ProcStat& stat : DescendantsOf(::getpid(), ScanProcesses())) {
    const auto parent = owners.find(stat.parent);
    // Children of ours are leaders and orphans; all others belong to whom their parent belongs.
    bool unknown = false;
    RealProcess* const owner = parent != owners.end() ? parent->second : OwnerOf(stat, &unknown);
    owners[stat.pid] = owner;
    if (unknown) tree_->settled = false;
    if (stat.dead()) {
      const bool is_leader = owner != nullptr && owner->pid() == stat.pid;
      if (!is_leader) tree_->settled = false;
      continue;
    }
    if (owner != nullptr) {
      tree_->members[owner->serial()].push_back(std::move(stat));
    } else {
      tree_->strays.push_back(std::move(stat));
    }
  }
  return *tree_;
}

std::vector<ProcStat> RealProcesses::MarkedMembers(const RealProcess& process) {
  const Tree& tree = ScanTree();
  std::vector<ProcStat> members;
  if (const auto it = tree.members.find(process.serial()); it != tree.members.end())
    members = it->second;
  const bool all_to_die = std::all_of(processes_.begin(), processes_.end(), [](const auto& entry) {
    return entry.second->kill_pending() || entry.second->exit();
  });
  if (all_to_die && process.kill_pending()) {
    members.insert(members.end(), tree.strays.begin(), tree.strays.end());
  }
  return members;
}

}  // namespace lockstep::process
