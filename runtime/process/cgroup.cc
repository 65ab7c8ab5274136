// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "runtime/base/errno_status.h"
#include "runtime/process/proc_scan.h"

namespace lockstep::process {
namespace {

constexpr size_t kFileBytesMax = 16 << 20;

/// Of one that is not there, "". nullopt when it cannot be read, for want of a descriptor say: then
/// nothing is known.
std::optional<std::string> ReadAt(int folder, const std::string& path) {
  const base::UniqueFd fd(::openat(folder, path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno == ENOENT ? std::optional<std::string>("") : std::nullopt;
  std::string text;
  char chunk[4096];
  ssize_t size = 0;
  while (text.size() < kFileBytesMax && (size = ::read(fd.get(), chunk, sizeof(chunk))) > 0) {
    text.append(chunk, static_cast<size_t>(size));
  }
  if (size < 0 && errno != ENODEV) return std::nullopt;  // ENODEV: removed since it was opened
  return text;
}

bool WriteAt(int folder, const std::string& path, std::string_view text) {
  const base::UniqueFd fd(::openat(folder, path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd.valid() &&
         ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// The next piece of `text` up to `separator`, taken off it.
std::string_view Take(std::string_view& text, char separator) {
  const size_t end = std::min(text.find(separator), text.size());
  const std::string_view piece = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return piece;
}

bool ListHas(std::string_view list, std::string_view item) {
  while (!list.empty()) {
    if (Take(list, ',') == item) return true;
  }
  return false;
}

/// The path inside the hierarchy, of "4:memory:/a/b" or "0::/a/b".
std::optional<std::string> OwnPath(std::string_view cgroup_text, std::string_view controller) {
  while (!cgroup_text.empty()) {
    std::string_view line = Take(cgroup_text, '\n');
    const std::string_view id = Take(line, ':');
    const std::string_view controllers = Take(line, ':');
    if (controller.empty() ? id == "0" && controllers.empty() : ListHas(controllers, controller)) {
      return std::string(line);
    }
  }
  return std::nullopt;
}

/// Cgroups directly below, as names; false when they cannot be listed.
bool AddSubFolders(int folder, const std::string& path, std::vector<std::string>& names) {
  const int fd = ::openat(folder, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT;
  DIR* listing = ::fdopendir(fd);
  if (listing == nullptr) {
    ::close(fd);
    return false;
  }
  while (const dirent* entry = ::readdir(listing)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.push_back(entry->d_name);
  }
  ::closedir(listing);
  return true;
}

std::vector<std::string> SubFolders(int folder, const std::string& path) {
  std::vector<std::string> names;
  (void)AddSubFolders(folder, path, names);  // what cannot be listed is left to the next look
  return names;
}

/// Two links are a folder's own; the kernel counts one more for each folder below.
bool HasSubFolders(int folder, const std::string& path) {
  struct stat info;
  return ::fstatat(folder, path.c_str(), &info, 0) == 0 && info.st_nlink > 2;
}

/// Those in cgroups below it too. False when not all could be looked at.
bool AddMembers(int folder, const std::string& path, std::vector<pid_t>& pids) {
  const std::optional<std::string> text = ReadAt(folder, path + "/cgroup.procs");
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  while (!rest.empty()) {
    const std::string_view line = Take(rest, '\n');
    pid_t pid = 0;
    // 0 stands for a process outside our pid namespace, which we cannot signal.
    if (std::from_chars(line.data(), line.data() + line.size(), pid).ec == std::errc() && pid > 0)
      pids.push_back(pid);
  }
  if (!HasSubFolders(folder, path)) return text.has_value();
  std::vector<std::string> names;
  bool all_seen = AddSubFolders(folder, path, names) && text.has_value();
  for (const std::string& name : names)
    all_seen = AddMembers(folder, path + "/" + name, pids) && all_seen;
  return all_seen;
}

/// False also when nobody can tell.
bool IsEmpty(CgroupKind kind, int folder, const std::string& path) {
  if (kind == CgroupKind::kV2) {
    const std::optional<std::string> events = ReadAt(folder, path + "/cgroup.events");
    return events && events->find("populated 1") == std::string::npos;
  }
  std::vector<pid_t> pids;
  return AddMembers(folder, path, pids) && pids.empty();
}

void KillMembers(int folder, const std::string& path) {
  std::vector<pid_t> pids;
  AddMembers(folder, path, pids);
  for (const pid_t pid : pids) ::kill(pid, SIGKILL);
}

void KillCgroup(CgroupKind kind, int folder, const std::string& path) {
  if (kind == CgroupKind::kV2) {
    WriteAt(folder, path + "/cgroup.kill", "1");
    // The kernel signals first threads alone, and so spares a process whose first thread has ended
    // while others live (Linux 6.18); kill() reaches any thread.
    KillMembers(folder, path);
    return;
  }
  // What is frozen cannot fork away from us; but it dies only once thawed.
  const bool frozen =
      kind == CgroupKind::kV1Freezer && WriteAt(folder, path + "/freezer.state", "FROZEN");
  KillMembers(folder, path);
  if (frozen) WriteAt(folder, path + "/freezer.state", "THAWED");
}

/// Removes a cgroup and those below it; false while something lives in one of them.
bool RemoveCgroup(int folder, const std::string& path) {
  if (::unlinkat(folder, path.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
  if (!HasSubFolders(folder, path)) return false;
  for (const std::string& name : SubFolders(folder, path)) RemoveCgroup(folder, path + "/" + name);
  return ::unlinkat(folder, path.c_str(), AT_REMOVEDIR) == 0;
}

constexpr std::string_view kFolderPrefix = "lockstep-";

/// "lockstep-NAMESPACE-PID-START": whose folder it is, so that a later agent can tell whether that
/// one still lives; with the pid namespace, since another one may well share the cgroup. nullopt
/// when /proc does not say.
std::optional<std::string> FolderName() {
  const std::optional<uint64_t> name_space = PidNamespace();
  const std::optional<ProcStat> self = ReadProcStat(::getpid());
  if (!name_space || !self) return std::nullopt;
  // A process has one folder a tree; a tree is made again in tests.
  return std::string(kFolderPrefix) + std::to_string(*name_space) + "-" +
         std::to_string(::getpid()) + "-" + std::to_string(self->start_ticks);
}

/// True for the folder of an agent of our pid namespace that no longer lives. Of one that cannot be
/// looked at, for want of a descriptor or of a right, only the kernel can say that it does not.
bool IsLeftover(std::string_view name) {
  if (!name.starts_with(kFolderPrefix)) return false;
  name.remove_prefix(kFolderPrefix.size());
  const std::optional<uint64_t> name_space = PidNamespace();
  if (!name_space || Take(name, '-') != std::to_string(*name_space)) return false;
  const std::string_view pid_text = Take(name, '-');
  pid_t pid = 0;
  if (std::from_chars(pid_text.data(), pid_text.data() + pid_text.size(), pid).ec != std::errc())
    return false;
  const std::optional<ProcStat> owner = ReadProcStat(pid);
  if (!owner) return ::kill(pid, 0) != 0 && errno == ESRCH;
  return owner->dead() || std::to_string(owner->start_ticks) != name;
}

void Pause(long microseconds) {
  const timespec pause{.tv_sec = 0, .tv_nsec = microseconds * 1000};
  ::nanosleep(&pause, nullptr);
}

/// Kills and removes what dead agents left; what does not go within 20 ms is left to the next.
void RemoveLeftovers(CgroupKind kind, int parent) {
  for (const std::string& name : SubFolders(parent, ".")) {
    if (!IsLeftover(name)) continue;
    for (int attempt = 0; attempt < 20 && !RemoveCgroup(parent, name); ++attempt) {
      for (const std::string& leaf : SubFolders(parent, name))
        KillCgroup(kind, parent, name + "/" + leaf);
      Pause(1000);
    }
  }
}

std::string_view Controller(CgroupKind kind) {
  switch (kind) {
    case CgroupKind::kV2: return "";
    case CgroupKind::kV1Freezer: return "freezer";
    case CgroupKind::kV1Pids: return "pids";
  }
  return "";
}

std::string KindName(CgroupKind kind) {
  return kind == CgroupKind::kV2 ? "cgroup v2"
                                 : "cgroup v1 (" + std::string(Controller(kind)) + ")";
}

}  // namespace

std::optional<std::string> FindCgroupFolder(std::string_view cgroup_text,
                                            std::string_view mountinfo_text,
                                            std::string_view controller) {
  const std::optional<std::string> path = OwnPath(cgroup_text, controller);
  // A path with ".." lies outside our cgroup namespace.
  if (!path || path->find("/..") != path->npos) return std::nullopt;
  while (!mountinfo_text.empty()) {
    // "31 23 0:28 ROOT MOUNT_POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER_OPTIONS", proc(5).
    std::string_view line = Take(mountinfo_text, '\n');
    const size_t dash = line.find(" - ");
    if (dash == line.npos) continue;
    std::string_view tail = line.substr(dash + 3);
    for (int skipped = 0; skipped < 3; ++skipped) Take(line, ' ');
    const std::string_view root = Take(line, ' ');
    const std::string_view mount_point = Take(line, ' ');
    const std::string_view type = Take(tail, ' ');
    Take(tail, ' ');
    const bool wanted =
        controller.empty() ? type == "cgroup2" : type == "cgroup" && ListHas(tail, controller);
    // A mount point with special characters is written escaped; no cgroup file system has ever had
    // one.
    if (!wanted || !mount_point.starts_with('/') || mount_point.find('\\') != mount_point.npos)
      continue;
    std::string_view below = *path;
    if (root != "/") {
      // Only a part of the hierarchy is mounted here, as in a container.
      if (!below.starts_with(root)) continue;
      below.remove_prefix(root.size());
      if (!below.empty() && below.front() != '/') continue;
    }
    std::string folder(mount_point);
    if (below != "/") folder += below;
    return folder;
  }
  return std::nullopt;
}

std::optional<std::string> OwnCgroupFolder(std::string_view controller) {
  return FindCgroupFolder(ReadAt(AT_FDCWD, "/proc/self/cgroup").value_or(""),
                          ReadAt(AT_FDCWD, "/proc/self/mountinfo").value_or(""), controller);
}

CgroupLeaf::~CgroupLeaf() { tree_.Retire(name_); }

base::UniqueFd CgroupLeaf::OpenEntry() const {
  const std::string file = tree_.kind_ == CgroupKind::kV2 ? "cgroup.procs" : "tasks";
  return base::UniqueFd(
      ::openat(tree_.fd_.get(), (name_ + "/" + file).c_str(), O_WRONLY | O_CLOEXEC));
}

base::UniqueFd CgroupLeaf::OpenFolder() const {
  if (tree_.kind_ != CgroupKind::kV2) return base::UniqueFd();
  const std::optional<std::string> events = ReadAt(tree_.fd_.get(), name_ + "/cgroup.events");
  if (!events || events->find("frozen 1") != std::string::npos) return base::UniqueFd();
  return base::UniqueFd(::openat(tree_.fd_.get(), name_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

std::vector<pid_t> CgroupLeaf::Members() const {
  std::vector<pid_t> pids;
  AddMembers(tree_.fd_.get(), name_, pids);
  return pids;
}

bool CgroupLeaf::Empty() const { return IsEmpty(tree_.kind_, tree_.fd_.get(), name_); }

void CgroupLeaf::Kill() { KillCgroup(tree_.kind_, tree_.fd_.get(), name_); }

base::Result<std::unique_ptr<CgroupTree>> CgroupTree::Create(CgroupKind kind) {
  const std::string what = KindName(kind);
  const std::optional<std::string> own = OwnCgroupFolder(Controller(kind));
  if (!own) return base::UnavailableError(what + " is not mounted");
  const base::UniqueFd parent(::open(own->c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.valid()) return base::UnavailableError(what + ": " + *own + " cannot be opened");
  // Version 2 lets a process move only when it may write the common ancestor, which is our own
  // cgroup.
  if (::faccessat(parent.get(), "cgroup.procs", W_OK, AT_EACCESS) != 0) {
    return base::UnavailableError(what + ": " + *own + " may not be written");
  }
  RemoveLeftovers(kind, parent.get());
  const std::optional<std::string> folder = FolderName();
  if (!folder) return base::UnavailableError(what + ": /proc does not tell who we are");
  const std::string& name = *folder;
  if (::mkdirat(parent.get(), name.c_str(), 0755) != 0 && errno != EEXIST) {
    return base::ErrnoStatus(errno, "make " + *own + "/" + name);
  }
  base::UniqueFd fd(::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    const int error = errno;
    ::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR);
    return base::ErrnoStatus(error, "open " + *own + "/" + name);
  }
  const char* kill_file = kind == CgroupKind::kV2 ? "cgroup.kill" : "cgroup.procs";
  if (::faccessat(fd.get(), kill_file, W_OK, AT_EACCESS) != 0) {
    ::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR);
    return base::UnavailableError(what + ": this kernel has no " + std::string(kill_file));
  }
  return std::unique_ptr<CgroupTree>(new CgroupTree(kind, *own + "/" + name, std::move(fd)));
}

CgroupTree::~CgroupTree() {
  // The last process of a leaf may be in the midst of dying; what stays after 50 ms is left to the
  // next agent.
  for (int attempt = 0; attempt < 250; ++attempt) {
    RemoveRetired();
    if (retired_.empty()) break;
    Pause(200);
  }
  ::rmdir(folder_.c_str());
}

base::Result<std::unique_ptr<CgroupLeaf>> CgroupTree::NewLeaf(const std::string& name) {
  if (!retired_.empty()) RemoveRetired();
  if (::mkdirat(fd_.get(), name.c_str(), 0755) != 0)
    return base::ErrnoStatus(errno, "make " + folder_ + "/" + name);
  return std::unique_ptr<CgroupLeaf>(new CgroupLeaf(*this, name));
}

std::string CgroupTree::Describe() const { return KindName(kind_) + " at " + folder_; }

void CgroupTree::Retire(const std::string& name) {
  if (!RemoveCgroup(fd_.get(), name)) retired_.push_back(name);
}

void CgroupTree::RemoveRetired() {
  std::erase_if(retired_, [&](const std::string& name) { return RemoveCgroup(fd_.get(), name); });
}

}  // namespace lockstep::process
