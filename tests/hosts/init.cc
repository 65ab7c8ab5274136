// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/hosts/init.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/base/errno_status.h"

namespace lockstep::hosts {
namespace {

using base::Result;
using base::UniqueFd;

constexpr int kNewNamespaces =
    CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;
constexpr size_t kKeptMax = 32;
constexpr int kReportFd = 3;
constexpr int kLifeFd = 4;
constexpr char kCgroups[] = "/sys/fs/cgroup";

/// What the child tells once: error 0 = ready.
struct Report {
  int error = 0;
  char step[120] = {};
};

/// What pid 1 needs, as plain C strings.
struct Prepared {
  const InitPlan* plan = nullptr;
  std::vector<char*> daemon;
};

[[noreturn]] void Fail(int report_fd, const char* call, const char* object) {
  Report report;
  report.error = errno;
  size_t length = 0;
  for (const char* part : {call, " ", object}) {
    for (; *part != '\0' && length + 1 < sizeof report.step; ++part) report.step[length++] = *part;
  }
  ::send(report_fd, &report, sizeof report, MSG_NOSIGNAL);
  ::_exit(1);
}

long RawClone(unsigned long flags) { return ::syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0); }

int SetReadOnly(int folder, const char* path, bool read_only) {
  mount_attr attributes{};
  (read_only ? attributes.attr_set : attributes.attr_clr) = MOUNT_ATTR_RDONLY;
  return ::mount_setattr(folder, path, AT_RECURSIVE | (*path == '\0' ? AT_EMPTY_PATH : 0),
                         &attributes, sizeof attributes);
}

/// mkdir -p, ignoring errors: what then is missing shows in the mount.
void MakeFolders(const char* path) {
  char part[4096];
  size_t length = 0;
  for (; path[length] != '\0' && length + 1 < sizeof part; ++length) {
    if (path[length] == '/' && length > 0) {
      part[length] = '\0';
      ::mkdir(part, 0755);
    }
    part[length] = path[length];
  }
  part[length] = '\0';
  ::mkdir(part, 0755);
}

/// Descriptors 3 and 4 are the ones of kReportFd and kLifeFd, 0 to 2 are /dev/null, nothing else is
/// open: a pipe of a test that stayed open here would keep its reader waiting.
void KeepOnly(int report_fd, int life_fd) {
  const int report = ::fcntl(report_fd, F_DUPFD_CLOEXEC, 16);
  const int life = life_fd >= 0 ? ::fcntl(life_fd, F_DUPFD_CLOEXEC, 16) : -1;
  ::dup3(report, kReportFd, O_CLOEXEC);
  if (life >= 0) ::dup3(life, kLifeFd, O_CLOEXEC);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd : {0, 1, 2}) ::dup2(null, fd);
  ::close_range(life >= 0 ? kLifeFd + 1 : kReportFd + 1, ~0U, 0);
}

void ArrangeMounts(const InitPlan& plan) {
  // Clones are taken first, of the mounts as the machine has them: writable, and not yet hidden.
  int clones[kKeptMax];
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    Fail(kReportFd, "mount --make-rprivate", "/");
  for (size_t i = 0; i < plan.kept.size(); ++i) {
    const KeptFolder& folder = plan.kept[i];
    clones[i] = ::open_tree(AT_FDCWD, folder.path.c_str(),
                            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (clones[i] < 0) Fail(kReportFd, "open_tree", folder.path.c_str());
    if (!folder.writable && SetReadOnly(clones[i], "", true) != 0)
      Fail(kReportFd, "mount_setattr read-only", folder.path.c_str());
  }
  const int cgroups =
      ::open_tree(AT_FDCWD, kCgroups, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

  if (plan.read_only && SetReadOnly(AT_FDCWD, "/", true) != 0)
    Fail(kReportFd, "mount_setattr read-only", "/");
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    Fail(kReportFd, "mount proc on", "/proc");
  // Best effort, as in a user namespace these may be refused: /sys then lists the outer NICs.
  if (::mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0 &&
      cgroups >= 0)
    ::move_mount(cgroups, "", AT_FDCWD, kCgroups, MOVE_MOUNT_F_EMPTY_PATH);
  ::mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
          "newinstance,ptmxmode=0666,mode=620");

  for (const FreshFolder& folder : plan.fresh) {
    if (::mount("tmpfs", folder.path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV,
                folder.options.c_str()) != 0)
      Fail(kReportFd, "mount tmpfs on", folder.path.c_str());
  }
  for (size_t i = 0; i < plan.kept.size(); ++i) {
    const char* path = plan.kept[i].path.c_str();
    MakeFolders(path);
    if (::move_mount(clones[i], "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) != 0)
      Fail(kReportFd, "move_mount to", path);
  }
  for (const std::string& folder : plan.folders) MakeFolders(folder.c_str());
  if (!plan.hosts_file.empty() &&
      ::mount(plan.hosts_file.c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr) != 0)
    Fail(kReportFd, "bind on /etc/hosts:", plan.hosts_file.c_str());
}

void StartDaemon(const Prepared& prepared) {
  if (prepared.daemon.size() < 2) return;
  const long child = RawClone(0);
  if (child < 0) Fail(kReportFd, "clone for", prepared.daemon[0]);
  if (child > 0) return;
  ::signal(SIGCHLD, SIG_DFL);
  ::setsid();
  char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  char* environment[] = {path, nullptr};
  ::execve(prepared.daemon[0], prepared.daemon.data(), environment);
  ::_exit(127);
}

/// Runs in the new pid 1.
[[noreturn]] void BecomeInit(const Prepared& prepared, int report_fd) {
  const InitPlan& plan = *prepared.plan;
  KeepOnly(report_fd, plan.life.get());
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  ::signal(SIGCHLD, SIG_IGN);  // the kernel reaps for us
  ::setsid();
  ::umask(022);
  ::prctl(PR_SET_NAME, plan.hostname.c_str());

  ArrangeMounts(plan);
  if (::chdir("/") != 0) Fail(kReportFd, "chdir", "/");
  if (::sethostname(plan.hostname.data(), plan.hostname.size()) != 0)
    Fail(kReportFd, "sethostname", plan.hostname.c_str());
  StartDaemon(prepared);

  const Report ready;
  ::send(kReportFd, &ready, sizeof ready, MSG_NOSIGNAL);
  ::close(kReportFd);
  pollfd life{plan.life.valid() ? kLifeFd : -1, 0, 0};  // a hang-up alone
  while (::poll(&life, 1, -1) <= 0) continue;
  ::_exit(0);
}

/// In a child of ours: joins the namespaces of `outer` and leaves a pid 1 there as an orphan, which
/// the outer pid 1 adopts. In two steps: who has joined a pid namespace is not in it himself, and
/// may not make another before he has forked.
[[noreturn]] void StartInside(const Prepared& prepared, int outer, int report_fd) {
  if (::setns(outer, kNewNamespaces) != 0) Fail(report_fd, "setns", "of the outer namespaces");
  const long middle = RawClone(0);
  if (middle < 0) Fail(report_fd, "clone", "in the outer pid namespace");
  if (middle == 0) {
    const long init = RawClone(kNewNamespaces);
    if (init < 0) Fail(report_fd, "clone", "with new namespaces");
    if (init == 0) BecomeInit(prepared, report_fd);
    ::_exit(0);
  }
  ::waitpid(static_cast<pid_t>(middle), nullptr, 0);
  ::_exit(0);
}

/// The child's report and its pid as we see it.
Result<pid_t> Receive(int fd) {
  Report report;
  iovec data{&report, sizeof report};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = 0;
  do {
    size = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0)
    return base::DeadlineExceededError("pid 1 of a new host did not report within 10 s");
  if (size != sizeof report) return base::InternalError("pid 1 of a new host died without a word");
  report.step[sizeof report.step - 1] = '\0';
  if (report.error != 0)
    return base::FailedPreconditionError(
        base::ErrnoStatus(report.error, std::string("no hosts here: ") + report.step).message() +
        "; needed are root (CAP_SYS_ADMIN) and a container that permits namespaces and mounts");
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_CREDENTIALS)
    return base::InternalError("pid 1 of a new host reported without its credentials");
  ucred sender;
  std::memcpy(&sender, CMSG_DATA(header), sizeof sender);
  return sender.pid;
}

}  // namespace

Result<Init> StartInit(const InitPlan& plan, std::optional<int> outer) {
  if (plan.kept.size() > kKeptMax)
    return base::InvalidArgumentError("hosts: " + std::to_string(plan.kept.size()) +
                                      " folders to keep; at most " + std::to_string(kKeptMax));
  Prepared prepared;
  prepared.plan = &plan;
  for (const std::string& word : plan.daemon)
    prepared.daemon.push_back(const_cast<char*>(word.c_str()));
  prepared.daemon.push_back(nullptr);

  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return base::ErrnoStatus(errno, "socketpair");
  UniqueFd ours(ends[0]), childs(ends[1]);
  const int on = 1;
  const timeval limit{10, 0};
  ::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  ::setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);

  const long child = RawClone(outer.has_value() ? 0 : kNewNamespaces);
  if (child < 0)
    return base::FailedPreconditionError(
        base::ErrnoStatus(errno, "no hosts here: clone with new namespaces").message() +
        "; needed are root (CAP_SYS_ADMIN) and a container that permits namespaces");
  if (child == 0) {
    if (outer.has_value()) StartInside(prepared, *outer, childs.get());
    BecomeInit(prepared, childs.get());
  }
  childs.reset();
  Result<pid_t> pid = Receive(ours.get());
  if (!pid.ok() && !outer.has_value()) ::kill(static_cast<pid_t>(child), SIGKILL);
  if (!pid.ok() || outer.has_value()) ::waitpid(static_cast<pid_t>(child), nullptr, 0);
  if (!pid.ok()) return std::move(pid).status();
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  if (!pidfd.valid()) return base::ErrnoStatus(errno, "pidfd_open of a new host's pid 1");
  return Init{*pid, std::move(pidfd)};
}

}  // namespace lockstep::hosts
