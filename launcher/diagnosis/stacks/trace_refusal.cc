// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/trace_refusal.h"

#include <errno.h>
#include <linux/capability.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

namespace lockstep::launcher {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// What follows "<name>:" in a status file; "" = nothing.
std::string StatusField(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name + ":")) continue;
    const size_t begin = line.find_first_not_of(" \t", name.size() + 1);
    return begin == line.npos ? "" : line.substr(begin);
  }
  return "";
}

int64_t Number(const std::string& text) { return std::strtoll(text.c_str(), nullptr, 10); }

bool MayTraceAll() {
  const std::string capabilities = StatusField("/proc/self/status", "CapEff");
  return (std::strtoull(capabilities.c_str(), nullptr, 16) >> CAP_SYS_PTRACE & 1) != 0;
}

int YamaScope() {
  return static_cast<int>(Number(FirstLine("/proc/sys/kernel/yama/ptrace_scope")));
}

}  // namespace

TraceRefusal LookAtRefusal(int64_t pid, int error) {
  const std::string folder = "/proc/" + std::to_string(pid);
  TraceRefusal refusal{.pid = pid, .error = error, .own_user = ::geteuid()};
  refusal.its_user = Number(StatusField(folder + "/status", "Uid"));
  refusal.tracer_pid = Number(StatusField(folder + "/status", "TracerPid"));
  if (refusal.tracer_pid != 0) {
    refusal.tracer_name = FirstLine("/proc/" + std::to_string(refusal.tracer_pid) + "/comm");
  }
  refusal.may_trace_all = MayTraceAll();
  refusal.yama_scope = YamaScope();
  return refusal;
}

bool MayTraceStrangers() { return YamaScope() == 0 || MayTraceAll(); }

std::string ExplainRefusal(const TraceRefusal& refusal) {
  const std::string what = "reading the stacks of process " + std::to_string(refusal.pid) + ": ";
  if (refusal.error == ESRCH) return what + "it has ended";
  if (refusal.tracer_pid != 0) {
    return what + "it is traced already, by process " + std::to_string(refusal.tracer_pid) +
           (refusal.tracer_name.empty() ? "" : " (" + refusal.tracer_name + ")") +
           ", and only one can; look at its stacks there, or let that one detach";
  }
  if (refusal.error != EPERM && refusal.error != EACCES) return what + std::strerror(refusal.error);
  if (refusal.yama_scope == 3) {
    return what + "this machine lets nobody trace (kernel.yama.ptrace_scope is 3 until it reboots)";
  }
  if (refusal.may_trace_all) {
    return what +
           "refused although CAP_SYS_PTRACE is there: it is in another user namespace, or "
           "the container's seccomp profile forbids ptrace; look from where it was started";
  }
  if (refusal.own_user != refusal.its_user) {
    return what + "it is of user " + std::to_string(refusal.its_user) + " and this one of user " +
           std::to_string(refusal.own_user) + "; run this as that user or as root";
  }
  if (refusal.yama_scope > 0) {
    return what + "this machine lets " +
           (refusal.yama_scope == 1 ? "only ancestors" : "only root") +
           " trace (kernel.yama.ptrace_scope is " + std::to_string(refusal.yama_scope) +
           "); `sysctl kernel.yama.ptrace_scope=0` as root, or give CAP_SYS_PTRACE (of a "
           "container: "
           "--cap-add SYS_PTRACE)";
  }
  return what +
         "not permitted: its program may not be dumped (setuid, or it said so by prctl), or "
         "the container forbids ptrace; run this as root, or give CAP_SYS_PTRACE (of a "
         "container: --cap-add SYS_PTRACE)";
}

}  // namespace lockstep::launcher
