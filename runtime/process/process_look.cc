// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/process_look.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "runtime/base/unique_fd.h"
#include "runtime/process/proc_scan.h"

namespace lockstep::process {
namespace {

using Doing = ProcessLook::Doing;

std::string ReadSmallFile(const std::string& path) {
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t size = fd.valid() ? ::read(fd.get(), text, sizeof text) : -1;
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : "";
}

/// Fields 14 and 15 of a stat file.
uint64_t CpuTicksOf(std::string_view stat) {
  const size_t close = stat.rfind(')');
  if (close == stat.npos) return 0;
  std::string_view rest = stat.substr(close + 1);
  for (int field = 3; field < 14; ++field) {
    const size_t blank = rest.find(' ', 1);
    if (blank == rest.npos) return 0;
    rest.remove_prefix(blank);
  }
  char* end = nullptr;
  const std::string numbers(rest);
  const uint64_t user = std::strtoull(numbers.c_str(), &end, 10);
  return user + std::strtoull(end, nullptr, 10);
}

struct Call {
  long number;
  const char* name;
  bool moves_bytes;  // of the descriptor that is its first argument
};
constexpr Call kCalls[] = {
    {SYS_read, "read", true},
    {SYS_write, "write", true},
    {SYS_readv, "readv", true},
    {SYS_writev, "writev", true},
    {SYS_pread64, "pread64", true},
    {SYS_pwrite64, "pwrite64", true},
    {SYS_fsync, "fsync", true},
    {SYS_fdatasync, "fdatasync", true},
    {SYS_sendfile, "sendfile", true},
    {SYS_openat, "openat", false},
    {SYS_futex, "futex", false},
    {SYS_poll, "poll", false},
    {SYS_ppoll, "ppoll", false},
    {SYS_select, "select", false},
    {SYS_pselect6, "pselect6", false},
    {SYS_epoll_wait, "epoll_wait", false},
    {SYS_epoll_pwait, "epoll_pwait", false},
    {SYS_recvfrom, "recvfrom", false},
    {SYS_recvmsg, "recvmsg", false},
    {SYS_sendto, "sendto", false},
    {SYS_sendmsg, "sendmsg", false},
    {SYS_connect, "connect", false},
    {SYS_accept, "accept", false},
    {SYS_accept4, "accept4", false},
    {SYS_nanosleep, "nanosleep", false},
    {SYS_clock_nanosleep, "clock_nanosleep", false},
    {SYS_wait4, "wait4", false},
    {SYS_waitid, "waitid", false},
    {SYS_pause, "pause", false},
    {SYS_ioctl, "ioctl", false},
    {SYS_flock, "flock", false},
    {SYS_sched_yield, "sched_yield", false},
    // A sleep or a wait that goes on after a stop or a tracer.
    {SYS_restart_syscall, "restart_syscall", false},
};

/// Whether what the descriptor leads to is a peer and no file.
bool IsSocketOrEvent(std::string_view target) {
  return target.starts_with("socket:") || target.starts_with("anon_inode:");
}

/// Says what it is in; whether that is a read or write of a file.
bool ReadSystemCall(const std::string& folder, ProcessLook& look) {
  const std::string text = ReadSmallFile(folder + "/syscall");
  long number = -1;
  unsigned descriptor = 0;
  // "running", or the number and its arguments.
  if (std::sscanf(text.c_str(), "%ld 0x%x", &number, &descriptor) < 1 || number < 0) return false;
  for (const Call& call : kCalls) {
    if (call.number != number) continue;
    look.system_call = call.name;
    if (!call.moves_bytes) return false;
    char target[256];
    const ssize_t length =
        ::readlink((folder + "/fd/" + std::to_string(descriptor)).c_str(), target, sizeof target);
    if (length <= 0) return true;
    const std::string_view name(target, static_cast<size_t>(length));
    look.system_call += " of " + std::string(name);
    return !IsSocketOrEvent(name);
  }
  look.system_call = "system call " + std::to_string(number);
  return false;
}

Doing DoingOf(char state, const std::string& wait_channel, bool moves_bytes) {
  switch (state) {
    case 'T': return Doing::kStopped;
    case 't': return Doing::kTraced;
    case 'Z':
    case 'X':
    case 'x': return Doing::kEnded;
    default: break;
  }
  // Of cgroups of version 1 and 2. Of the latter do_freezer_trap may be inlined; nothing else in
  // get_signal sleeps so that it shows as S.
  if (wait_channel.find("refrigerator") != std::string::npos ||
      wait_channel.find("do_freezer_trap") != std::string::npos ||
      (state == 'S' && wait_channel == "get_signal"))
    return Doing::kFrozen;
  if (state == 'D' || (state == 'S' && moves_bytes)) return Doing::kReadsOrWrites;
  return state == 'R' ? Doing::kRuns : Doing::kSleeps;
}

std::string_view DoingText(Doing doing) {
  switch (doing) {
    case Doing::kRuns: return "runs";
    case Doing::kSleeps: return "sleeps";
    case Doing::kReadsOrWrites: return "waits for input or output";
    case Doing::kStopped: return "is stopped by a signal";
    case Doing::kTraced: return "is held by a debugger";
    case Doing::kFrozen: return "is frozen with its cgroup";
    case Doing::kEnded: return "has ended";
  }
  return "?";
}

/// Whether a child of the process itself holds it: a leak check or a report at its end, which is
/// soon over, and not somebody who sits before it.
bool IsTracedByItself(const std::string& folder) {
  const std::string status = ReadSmallFile(folder + "/status");
  int pid = 0;
  int tracer = 0;
  const char* const tgid_at = std::strstr(status.c_str(), "\nTgid:");
  const char* const tracer_at = std::strstr(status.c_str(), "\nTracerPid:");
  if (tgid_at == nullptr || std::sscanf(tgid_at, "\nTgid: %d", &pid) != 1) return false;
  if (tracer_at == nullptr || std::sscanf(tracer_at, "\nTracerPid: %d", &tracer) != 1) return false;
  const std::string text = ReadSmallFile("/proc/" + std::to_string(tracer) + "/stat");
  const std::optional<ProcStat> stat = ParseProcStat(text);
  return stat.has_value() && stat->parent == pid;
}

/// `folder` is that of a process or of a thread.
std::optional<ProcessLook> LookInto(const std::string& folder, uint64_t start_ticks) {
  const std::string text = ReadSmallFile(folder + "/stat");
  const std::optional<ProcStat> stat = ParseProcStat(text);
  if (!stat.has_value() || (start_ticks != 0 && stat->start_ticks != start_ticks))
    return std::nullopt;
  ProcessLook look{.state = stat->state, .cpu_ticks = CpuTicksOf(text)};
  look.wait_channel = ReadSmallFile(folder + "/wchan");
  if (look.wait_channel == "0") look.wait_channel.clear();
  const bool moves_bytes = look.state != 'R' && ReadSystemCall(folder, look);
  look.doing = DoingOf(look.state, look.wait_channel, moves_bytes);
  if (look.doing == Doing::kTraced && IsTracedByItself(folder)) look.doing = Doing::kRuns;
  return look;
}

}  // namespace

std::string ProcessLook::ToString() const {
  std::string text(DoingText(doing));
  if (!system_call.empty()) text += " in " + system_call;
  if (!wait_channel.empty()) text += " (" + wait_channel + ")";
  return text;
}

std::optional<ProcessLook> LookAtProcess(pid_t pid, uint64_t start_ticks) {
  return LookInto("/proc/" + std::to_string(pid), start_ticks);
}

std::optional<ProcessLook> LookAtThread(pid_t pid, pid_t tid) {
  return LookInto("/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid), 0);
}

}  // namespace lockstep::process
