// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERDICT_SCREEN_H_
#define LOCKSTEP_LAUNCHER_VERDICT_SCREEN_H_

#include <string>

#include "runtime/proto/verdict.pb.h"

/// A verdict as people read it. Pure functions, for any thread.
namespace lockstep::launcher {

inline constexpr int kScreenLines = 24;
inline constexpr int kScreenColumns = 100;

/// What happened, to whom, what the rank said last, where the logs are and what comes next: at most
/// kScreenLines lines of at most kScreenColumns columns, each ending in a newline, whatever bytes a
/// rank has written. No colour.
std::string RenderVerdict(const proto::Verdict& verdict);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERDICT_SCREEN_H_
