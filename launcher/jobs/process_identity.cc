// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/process_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/host_name.h"
#include "runtime/process/proc_scan.h"

namespace lockstep::launcher {
namespace {

/// A file of /proc, which is read in one piece. "" and errno when it cannot be.
std::string ReadProc(const std::string& path) {
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t count = fd.valid() ? ::read(fd.get(), text, sizeof(text)) : -1;
  return std::string(text, count > 0 ? static_cast<size_t>(count) : 0);
}

}  // namespace

HostIdentity ThisHost() {
  HostIdentity here{.host = net::HostName(),
                    .boot_id = ReadProc("/proc/sys/kernel/random/boot_id"),
                    .pid_namespace = process::PidNamespace().value_or(0)};
  if (here.boot_id.ends_with('\n')) here.boot_id.pop_back();
  return here;
}

base::Result<ProcessStat> ParseProcessStat(std::string_view text) {
  // PID (COMMAND) STATE ...; the last bracket ends the command, whatever stands in it.
  const size_t bracket = text.rfind(')');
  if (bracket == std::string_view::npos || bracket + 2 >= text.size()) {
    return base::InvalidArgumentError("parse /proc/PID/stat: no command in it");
  }
  std::string_view fields = text.substr(bracket + 2);  // begins with field 3
  ProcessStat stat{.state = fields.front()};
  for (int field = 3; field < 22; ++field) {
    const size_t blank = fields.find(' ');
    if (blank == std::string_view::npos)
      return base::InvalidArgumentError("parse /proc/PID/stat: it is too short");
    fields.remove_prefix(blank + 1);
  }
  const auto [end, error] =
      std::from_chars(fields.data(), fields.data() + fields.size(), stat.start_ticks);
  if (error != std::errc() || end == fields.data()) {
    return base::InvalidArgumentError("parse /proc/PID/stat: field 22 is no number");
  }
  return stat;
}

base::Result<proto::ProcessIdentity> IdentifyProcess(const HostIdentity& here, pid_t pid) {
  errno = 0;
  const std::string text = ReadProc("/proc/" + std::to_string(pid) + "/stat");
  if (text.empty()) {
    if (errno == ENOENT || errno == ESRCH)
      return base::NotFoundError("no process " + std::to_string(pid));
    return base::InternalError("look at process " + std::to_string(pid) +
                               ": /proc cannot be read; is it mounted?");
  }
  ASSIGN_OR_RETURN(const ProcessStat stat, ParseProcessStat(text));
  proto::ProcessIdentity identity;
  identity.set_host(here.host);
  identity.set_boot_id(here.boot_id);
  identity.set_pid(pid);
  identity.set_start_ticks(stat.start_ticks);
  identity.set_pid_namespace(here.pid_namespace);
  return identity;
}

Liveness CheckLiveness(const HostIdentity& here, const proto::ProcessIdentity& identity) {
  if (identity.host() != here.host) return Liveness::kUnknown;
  if (identity.pid() <= 0) return Liveness::kDead;
  if (!identity.boot_id().empty() && identity.boot_id() != here.boot_id)
    return here.boot_id.empty() ? Liveness::kUnknown : Liveness::kDead;
  const bool both_known = identity.pid_namespace() != 0 && here.pid_namespace != 0;
  if (both_known && identity.pid_namespace() != here.pid_namespace) return Liveness::kUnknown;
  const pid_t pid = static_cast<pid_t>(identity.pid());
  const auto stat = ParseProcessStat(ReadProc("/proc/" + std::to_string(pid) + "/stat"));
  if (!stat.ok()) {
    // No descriptor may be left to look with: only the kernel's word that there is none counts.
    const bool none = ::kill(pid, 0) != 0 && errno == ESRCH;
    return none ? Liveness::kDead : Liveness::kUnknown;
  }
  if (stat->state == 'Z' || stat->state == 'X') return Liveness::kDead;
  return stat->start_ticks == identity.start_ticks() ? Liveness::kAlive : Liveness::kDead;
}

}  // namespace lockstep::launcher
