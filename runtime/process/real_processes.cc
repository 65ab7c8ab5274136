// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/real_processes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/logging.h"
#include "runtime/process/descendants.h"

namespace lockstep::process {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

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

/// For a child that dies: false when it does not by `deadline`.
bool ReapWithin(pid_t pid, base::SteadyTime deadline) {
  while (!TakeExit(pid)) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

}  // namespace

class RealProcesses::RealProcess final : public Process {
 public:
  RealProcess(RealProcesses& owner, Launch& launch, uint64_t oom_count)
      : owner_(owner),
        serial_(launch.serial),
        mark_(std::move(launch.mark)),
        pid_(launch.child->pid()),
        pidfd_(launch.child->TakePidfd()),
        leaf_(std::move(launch.leaf)),
        oom_count_at_spawn_(oom_count),
        on_exit_(std::move(launch.on_exit)) {
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
    const OwnedProcesses& tree = owner_.ScanTree();
    return tree.seen && (tree.settled || ++quiet_scans_ >= kQuietScansMax);
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
      null_(std::move(null)) {}

RealProcesses::~RealProcesses() {
  LOCKSTEP_CHECK(processes_.empty(), "a Process outlives its Processes");
  if (const base::Status status = KillDescendants(kFinalKillLimit); !status.ok()) {
    LOG(ERROR) << "leaving processes behind: " << status;
    for (auto& child : abandoned_) (void)child.release();  // it may still use our memory
  }
}

std::string RealProcesses::containment() const {
  seq_.AssertHeld();
  return cgroups_ != nullptr && !cgroups_refused_ ? cgroups_->Describe()
                                                  : "subreaper and environment mark";
}

std::vector<SpawnResult> RealProcesses::SpawnAll(std::vector<SpawnRequest> requests) {
  seq_.AssertHeld();
  const uint64_t oom_count = oom_.Read();
  std::vector<Launch> launches;
  launches.reserve(requests.size());
  for (SpawnRequest& request : requests) launches.push_back(Prepare(std::move(request)));
  std::vector<Launch*> all;
  for (Launch& launch : launches) all.push_back(&launch);
  StartAll(all);
  RetryWithoutCgroup(all);

  std::vector<SpawnResult> results;
  results.reserve(launches.size());
  for (Launch& launch : launches) {
    if (launch.error.ok()) {
      auto process = std::make_unique<RealProcess>(*this, launch, oom_count);
      processes_[process->serial()] = process.get();
      by_session_[process->pid()] = process.get();
      results.push_back(std::unique_ptr<Process>(std::move(process)));
    } else {
      results.push_back(std::move(launch.error));
    }
    if (launch.in_use) abandoned_.push_back(std::move(launch.child));
  }
  return results;
}

RealProcesses::Launch RealProcesses::Prepare(SpawnRequest request) {
  const std::string name = request.spec.name;
  LOCKSTEP_CHECK(IsPlainName(name), "a spawn's name is [a-z0-9-]+");
  LOCKSTEP_CHECK(!request.spec.arguments.empty(), "a spawn needs a program");
  Launch launch;
  launch.serial = next_serial_++;
  // The slash at the end keeps rank-1/1 apart from rank-1/10.
  launch.mark = config_.mark + "/" + name + "/" + std::to_string(launch.serial) + "/";
  launch.on_exit = std::move(request.on_exit);
  base::Result<std::unique_ptr<StartingChild>> child =
      StartingChild::Create(std::move(request.spec), launch.mark);
  if (child.ok()) {
    launch.child = std::move(child).value();
    launch.leaf = NewLeaf(name, launch.serial);
  } else {
    launch.error = std::move(child).status();
  }
  return launch;
}

std::unique_ptr<CgroupLeaf> RealProcesses::NewLeaf(const std::string& name, uint64_t serial) {
  if (cgroups_ == nullptr || cgroups_refused_) return nullptr;
  base::Result<std::unique_ptr<CgroupLeaf>> leaf =
      cgroups_->NewLeaf(name + "-" + std::to_string(serial));
  if (leaf.ok()) return std::move(leaf).value();
  LOG(WARNING) << "holding processes by environment mark from now on: " << leaf.status();
  cgroups_refused_ = true;
  return nullptr;
}

void RealProcesses::StartAll(const std::vector<Launch*>& launches) {
  const base::SteadyTime deadline = loop_.Now() + config_.start_limit;
  base::Result<Lifeline> lifeline = Lifeline::Create();
  if (!lifeline.ok()) {
    for (Launch* launch : launches) {
      if (!launch->error.ok()) continue;
      launch->error = lifeline.status().WithFrame("start " + launch->child->spec().name);
    }
    return;
  }
  const StartingChild::Batch batch{.lifeline_fd = lifeline->child_end(),
                                   .null_fd = null_.get(),
                                   .use_pidfd = config_.use_pidfd,
                                   .signals_to_reset = SignalsToReset(),
                                   .clone_into_cgroup_refused = &clone_into_cgroup_refused_,
                                   .faults = config_.faults};
  std::vector<Launch*> started;
  for (Launch* launch : launches) {
    if (launch->error.ok()) launch->error = launch->child->Start(batch, launch->leaf.get());
    if (launch->error.ok()) started.push_back(launch);
  }
  lifeline->CloseChildEnd();
  if (!lifeline->WaitForEnd(deadline - loop_.Now())) return GiveUpLate(started, *lifeline);
  for (Launch* launch : started) {
    launch->error = launch->child->Failure();
    if (!launch->error.ok()) ReapWithin(launch->child->pid(), loop_.Now() + kFinalKillLimit);
  }
}

void RealProcesses::GiveUpLate(const std::vector<Launch*>& launches, const Lifeline& lifeline) {
  for (Launch* launch : launches) {
    const pid_t pid = launch->child->pid();
    launch->error = launch->child->Failure();
    const std::optional<ProcStat> stat = ReadProcStat(pid);
    // Unreaped it has a stat: one that cannot be read (no descriptor free) proves nothing.
    if (!launch->error.ok() || (stat && stat->execed)) continue;
    launch->error = launch->child->TooLate(config_.start_limit);
    // Its group too: should it exec just now, then so that nothing of its program stays. Both
    // numbers are its own until we reap it.
    ::kill(pid, SIGKILL);
    ::kill(-pid, SIGKILL);
    if (launch->leaf != nullptr) launch->leaf->Kill();
  }
  const base::SteadyTime deadline = loop_.Now() + kFinalKillLimit;
  for (Launch* launch : launches) {
    // One that does not die by then is met by ReapOrphans() when it does.
    launch->in_use = launch->error.ok() || !ReapWithin(launch->child->pid(), deadline);
  }
  // Those that have exec'd need nothing of ours, if /proc can be trusted: not everywhere.
  if (!lifeline.WaitForEnd(base::Duration(0))) return;
  for (Launch* launch : launches) launch->in_use = false;
}

void RealProcesses::RetryWithoutCgroup(const std::vector<Launch*>& launches) {
  std::vector<Launch*> refused;
  for (Launch* launch : launches) {
    const bool may_retry = launch->child != nullptr && !launch->in_use;
    if (may_retry && launch->child->cgroup_refused()) refused.push_back(launch);
  }
  if (refused.empty()) return;
  // Probing at the start cannot tell all: a controller or a security module may still say no.
  LOG(WARNING) << "holding processes by environment mark from now on: " << refused.front()->error;
  cgroups_refused_ = true;
  for (Launch* launch : refused) {
    launch->leaf.reset();
    launch->error = base::OkStatus();
  }
  StartAll(refused);
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

void RealProcesses::DropTree() {
  seq_.AssertHeld();
  tree_.reset();
}

const OwnedProcesses& RealProcesses::ScanTree() {
  if (tree_) return *tree_;
  // What one turn of the loop has seen is old in the next.
  tree_expiry_ = loop_.At(loop_.Now(), [this] { DropTree(); });
  std::vector<ProcessOwner> owners;
  owners.reserve(processes_.size());
  for (const auto& [serial, process] : processes_)
    owners.push_back({.serial = serial, .leader = process->pid(), .mark = process->mark()});
  return tree_.emplace(FindOwnedProcesses(owners));
}

std::vector<ProcStat> RealProcesses::MarkedMembers(const RealProcess& process) {
  const OwnedProcesses& tree = ScanTree();
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
