// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_JOBS_PROCESS_IDENTITY_H_
#define LOCKSTEP_LAUNCHER_JOBS_PROCESS_IDENTITY_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/proto/job_state.pb.h"

namespace lockstep::launcher {

enum class Liveness : uint8_t {
  kAlive,
  kDead,
  kUnknown,  // it belongs to another host or container, or cannot be looked at: it may live
};

/// This boot of this machine, and who its pids are for us. Read once and handed around.
/// Thread-safe.
struct HostIdentity {
  std::string host;            // net::HostName()
  std::string boot_id;         // "" where /proc does not tell
  uint64_t pid_namespace = 0;  // 0 where /proc does not tell
};
HostIdentity ThisHost();

/// Errors: NotFound - no such process; Internal - /proc cannot be read.
base::Result<proto::ProcessIdentity> IdentifyProcess(const HostIdentity& here, pid_t pid);

/// Whether exactly that process lives (a zombie does not). Dead only when that is certain: others
/// end what a dead process has left. A record without a boot is judged by pid and start time.
Liveness CheckLiveness(const HostIdentity& here, const proto::ProcessIdentity& identity);

/// State letter and start time of a /proc/PID/stat text; the command in it may hold blanks and
/// brackets.
struct ProcessStat {
  char state = '?';
  uint64_t start_ticks = 0;
};
/// Errors: InvalidArgument - not such a text.
base::Result<ProcessStat> ParseProcessStat(std::string_view text);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_JOBS_PROCESS_IDENTITY_H_
