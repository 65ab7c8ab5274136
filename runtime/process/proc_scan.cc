// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/proc_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <unordered_map>

#include "runtime/base/unique_fd.h"

namespace lockstep::process {
namespace {

// A larger environment than the kernel passes to exec with its default limits (a quarter of an 8
// MiB stack).
constexpr size_t kEnvironmentBytesMax = 4 << 20;

// The kernel's PF_FORKNOEXEC and PF_KTHREAD (include/linux/sched.h), the same since 2.6.
constexpr int64_t kForkedNotExeced = 0x40;
constexpr int64_t kKernelThread = 0x200000;

/// The whole of a small file of /proc, at most `bytes_max`; empty when it cannot be read.
std::string ReadProcFile(const std::string& path, size_t bytes_max) {
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return "";
  std::string text;
  char chunk[4096];
  while (text.size() < bytes_max) {
    const ssize_t size = ::read(fd.get(), chunk, sizeof(chunk));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(chunk, static_cast<size_t>(size));
  }
  return text;
}

/// Every entry of a folder of /proc whose name is a number; of none when it could not be opened.
template <class Body>
void ForEachNumber(int folder, Body body) {
  // In small helpings, where readdir() takes a thousand names at once: the kernel lists by pid, so
  // the youngest, which may be gone soon, are looked at right after they were listed.
  alignas(dirent64) char names[512];
  ssize_t size = 0;
  while (folder >= 0 && (size = ::getdents64(folder, names, sizeof(names))) > 0) {
    for (ssize_t at = 0; at < size;) {
      const dirent64* entry = reinterpret_cast<const dirent64*>(names + at);
      at += entry->d_reclen;
      if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') body(std::atoi(entry->d_name));
    }
  }
}

/// Takes the next number off a list with single spaces.
template <class Int>
bool TakeNumber(std::string_view& text, Int& value) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

std::string ReadEnvironment(const std::string& folder) {
  return ReadProcFile(folder + "/environ", kEnvironmentBytesMax);
}

/// Of the first thread that still lives: a process whose first one has ended shows none of its own.
std::string ReadEnvironmentOfThreads(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/task";
  const base::UniqueFd threads(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::string environment;
  ForEachNumber(threads.get(), [&](pid_t thread) {
    if (environment.empty()) environment = ReadEnvironment(folder + "/" + std::to_string(thread));
  });
  return environment;
}

/// nullopt in the midst of an exec.
std::optional<std::string> EnvironmentOf(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  std::string environment = ReadEnvironment(folder);
  if (!environment.empty()) return environment;
  // The kernel puts arguments and environment in place together. Those that come up empty for good
  // are few: kernel threads, the dead, programs that have wiped both.
  if (!ReadProcFile(folder + "/cmdline", 1).empty()) return ReadEnvironment(folder);
  const std::optional<ProcStat> stat = ReadProcStat(pid);
  if (!stat || stat->dead() || stat->kernel_thread) return "";
  environment = ReadEnvironmentOfThreads(pid);
  if (!environment.empty()) return environment;
  return std::nullopt;
}

bool IsSameProcess(const ProcStat& stat) {
  const std::optional<ProcStat> now = ReadProcStat(stat.pid);
  return now && now->start_ticks == stat.start_ticks;
}

}  // namespace

std::string ProcStat::ToString() const {
  return name + " (pid " + std::to_string(pid) + ", state " + state + ")";
}

std::optional<ProcStat> ParseProcStat(std::string_view text) {
  ProcStat stat;
  if (!TakeNumber(text, stat.pid)) return std::nullopt;
  // The name is bracketed but may itself hold brackets: the last one counts.
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == text.npos || close == text.npos || close < open || close + 3 > text.size())
    return std::nullopt;
  stat.name = text.substr(open + 1, close - open - 1);
  stat.state = text[close + 2];
  text.remove_prefix(close + 3);
  if (!TakeNumber(text, stat.parent) || !TakeNumber(text, stat.group) ||
      !TakeNumber(text, stat.session)) {
    return std::nullopt;
  }
  // Fields 7 to 21 lie between the session (6) and the start time (22), proc(5); 9 holds the
  // kernel's flags, 20 the number of threads.
  int64_t value = 0;
  for (int field = 7; field <= 21; ++field) {
    // Some are unsigned beyond int64, but none of those stands here.
    if (!TakeNumber(text, value)) return std::nullopt;
    if (field == 9) {
      stat.execed = (value & kForkedNotExeced) == 0;
      stat.kernel_thread = (value & kKernelThread) != 0;
    }
    if (field == 20) stat.threads = static_cast<int>(value);
  }
  if (!TakeNumber(text, stat.start_ticks)) return std::nullopt;
  return stat;
}

std::optional<uint64_t> PidNamespace() {
  struct stat info;
  if (::stat("/proc/self/ns/pid", &info) != 0) return std::nullopt;
  return info.st_ino;
}

std::optional<ProcStat> ReadProcStat(pid_t pid) {
  return ParseProcStat(ReadProcFile("/proc/" + std::to_string(pid) + "/stat", 4096));
}

std::vector<ProcStat> ScanProcesses() {
  std::vector<ProcStat> all;
  const base::UniqueFd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ForEachNumber(proc.get(), [&](pid_t pid) {
    if (auto stat = ReadProcStat(pid)) all.push_back(std::move(*stat));
  });
  return all;
}

bool ShowsThisProcess(const std::vector<ProcStat>& all) {
  return std::any_of(all.begin(), all.end(),
                     [self = ::getpid()](const ProcStat& stat) { return stat.pid == self; });
}

std::optional<pid_t> NewestPid() {
  // "0.20 0.18 0.12 1/80 11206"
  const std::string text = ReadProcFile("/proc/loadavg", 4096);
  std::string_view last = std::string_view(text).substr(std::min(text.rfind(' '), text.size()));
  pid_t pid = 0;
  if (!TakeNumber(last, pid)) return std::nullopt;
  return pid;
}

std::vector<ProcStat> DescendantsOf(pid_t ancestor, const std::vector<ProcStat>& all) {
  std::unordered_multimap<pid_t, const ProcStat*> children;
  for (const ProcStat& stat : all) children.emplace(stat.parent, &stat);
  std::vector<ProcStat> found;
  const auto add_children_of = [&](pid_t parent) {
    const auto [first, last] = children.equal_range(parent);
    for (auto it = first; it != last; ++it) found.push_back(*it->second);
    children.erase(first, last);  // a table read while processes come and go might hold a cycle
  };
  add_children_of(ancestor);
  for (size_t i = 0; i < found.size(); ++i) add_children_of(found[i].pid);
  return found;
}

std::optional<std::string> ReadVariable(pid_t pid, std::string_view name) {
  const std::optional<std::string> read = EnvironmentOf(pid);
  if (!read) return std::nullopt;
  const std::string& environment = *read;
  const std::string wanted = std::string(name) + "=";
  for (size_t at = 0; at < environment.size();) {
    const size_t end = std::min(environment.find('\0', at), environment.size());
    const std::string_view entry = std::string_view(environment).substr(at, end - at);
    if (entry.starts_with(wanted)) return std::string(entry.substr(wanted.size()));
    at = end + 1;
  }
  return "";
}

bool MarkMatches(std::string_view mark, std::string_view prefix) {
  while (!mark.starts_with(prefix)) {
    const size_t separator = mark.find(';');
    if (separator == mark.npos) return false;
    mark.remove_prefix(separator + 1);
  }
  return !mark.empty();
}

bool SignalExactly(const ProcStat& stat, int signal) {
  const base::UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, stat.pid, 0)));
  if (!IsSameProcess(stat)) return false;
  if (pidfd.valid()) {
    if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0) return true;
    if (errno == ESRCH) return false;
  }
  return ::kill(stat.pid, signal) == 0;
}

}  // namespace lockstep::process
