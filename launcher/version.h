// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERSION_H_
#define LOCKSTEP_LAUNCHER_VERSION_H_

#include <string_view>

namespace lockstep::launcher {

/// What `lockstep version` prints, and what a job's first event records.
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERSION_H_
