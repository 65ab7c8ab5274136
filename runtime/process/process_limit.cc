// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/process_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <string>

#include "runtime/process/cgroup.h"

namespace lockstep::process {
namespace {

std::optional<long> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  long number = 0;
  if (file >> number) return number;
  return std::nullopt;  // no such file, or "max"
}

/// The full cgroup among `folder` and those above it.
std::optional<std::string> FullCgroup(std::optional<std::string> folder) {
  while (folder && ::access((*folder + "/cgroup.procs").c_str(), F_OK) == 0) {
    const std::optional<long> limit = ReadNumber(*folder + "/pids.max");
    const std::optional<long> used = ReadNumber(*folder + "/pids.current");
    if (limit && used && *used >= *limit) {
      return "the cgroup " + *folder + " may have " + std::to_string(*limit) +
             " processes and threads (pids.max): raise it with: echo NUMBER > " + *folder +
             "/pids.max (--pids-limit of a container, TasksMax= of a systemd unit)";
    }
    folder->erase(std::min(folder->rfind('/'), folder->size()));
  }
  return std::nullopt;
}

/// Root is exempt, but for a user namespace's.
std::optional<std::string> UserLimit() {
  rlimit limit{};
  if (::geteuid() == 0 || ::getrlimit(RLIMIT_NPROC, &limit) != 0 ||
      limit.rlim_cur == RLIM_INFINITY) {
    return std::nullopt;
  }
  const std::string text = "user " + std::to_string(::geteuid()) + " may have " +
                           std::to_string(limit.rlim_cur) +
                           " processes and threads (RLIMIT_NPROC): raise it with: ulimit -u ";
  if (limit.rlim_max == RLIM_INFINITY) return text + "unlimited";
  if (limit.rlim_cur < limit.rlim_max) return text + std::to_string(limit.rlim_max);
  return text +
         "NUMBER, as root, for its hard limit is no higher (/etc/security/limits.conf, LimitNPROC= "
         "of a systemd unit, --ulimit nproc= of a container)";
}

std::string MachineLimit() {
  const auto number = [](const char* path) {
    const std::optional<long> value = ReadNumber(path);
    return value ? std::to_string(*value) : std::string("unknown");
  };
  return "the machine may have kernel.threads-max = " + number("/proc/sys/kernel/threads-max") +
         " threads and kernel.pid_max = " + number("/proc/sys/kernel/pid_max") +
         " process numbers: raise the one that is reached with: sysctl -w NAME=NUMBER";
}

}  // namespace

base::Status ProcessLimitError(const std::string& what) {
  std::optional<std::string> limit = FullCgroup(OwnCgroupFolder("pids"));
  if (!limit) limit = FullCgroup(OwnCgroupFolder(""));
  if (!limit) limit = UserLimit();
  return base::ResourceExhaustedError(what + ": no process can be made (EAGAIN); " +
                                      limit.value_or(MachineLimit()));
}

}  // namespace lockstep::process
