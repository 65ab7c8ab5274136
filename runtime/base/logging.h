// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_LOGGING_H_
#define LOCKSTEP_RUNTIME_BASE_LOGGING_H_

/// The only door to glog: LOG, VLOG, CHECK. Include it from .cc files alone, and never from one
/// that includes LibTorch (2.x redefines LOG and the lines vanish). INFO = a state transition a
/// person would put on a timeline; WARNING = degraded and self-healing; ERROR = a Status was
/// handled by giving up; VLOG(1) per op, VLOG(2) per message.
#include <glog/logging.h>

#include <string>

namespace lockstep::base {

/// Who this process is, shown in every line: "I 2026-03-01T12:00:00.123456Z mnist-x1y2/rank 3#0
/// main file.cc:10] ...".
struct LogIdentity {
  std::string job;
  std::string role;  // "front", "agent", "rank 3#0", "lockstep"
};

/// Sends log lines of all severities to stderr with the house prefix. Call once, at the start of
/// main.
void InitLogging(const char* program, LogIdentity identity);
/// Changes the identity when it becomes known.
void SetLogIdentity(LogIdentity identity);

}  // namespace lockstep::base

#endif  // LOCKSTEP_RUNTIME_BASE_LOGGING_H_
