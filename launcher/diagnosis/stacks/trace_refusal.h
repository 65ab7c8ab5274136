// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_TRACE_REFUSAL_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_TRACE_REFUSAL_H_

#include <cstdint>
#include <string>

namespace lockstep::launcher {

/// What is known about a process that we were not let to look into.
struct TraceRefusal {
  int64_t pid = 0;
  int error = 0;            // errno of PTRACE_SEIZE
  int64_t tracer_pid = 0;   // 0 = nobody traces it
  std::string tracer_name;  // "gdb"
  int64_t own_user = 0;     // who asks
  int64_t its_user = 0;
  bool may_trace_all = false;  // we have CAP_SYS_PTRACE
  /// /proc/sys/kernel/yama/ptrace_scope: 0 anybody of its user, 1 its ancestors, 2 root, 3 nobody.
  int yama_scope = 0;
};

/// Looks into /proc for what `error` may come from. Any thread.
TraceRefusal LookAtRefusal(int64_t pid, int error);

/// Whether this process may trace others of its user that are not below it, as far as Yama goes. An
/// agent may trace its ranks all the same: they name it (PR_SET_PTRACER). Any thread.
bool MayTraceStrangers();

/// What is missing, and how it is granted: one line. Pure.
std::string ExplainRefusal(const TraceRefusal& refusal);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_TRACE_REFUSAL_H_
