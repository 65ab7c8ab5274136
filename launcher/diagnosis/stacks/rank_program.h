// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_RANK_PROGRAM_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_RANK_PROGRAM_H_

#include <sys/types.h>

namespace lockstep::launcher {

/// The process that does a rank's work: the rank's own, or, while that is a shell or a wrapper that
/// waits for its only child, that child, and so on, at most eight below. Any thread.
pid_t ProgramOf(pid_t rank);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_RANK_PROGRAM_H_
