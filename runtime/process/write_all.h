// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_WRITE_ALL_H_
#define LOCKSTEP_RUNTIME_PROCESS_WRITE_ALL_H_

#include <string_view>

namespace lockstep::process {

/// Writes all of `bytes`, however long it takes, also to a descriptor that somebody has made
/// non-blocking. 0 or an errno value. Any thread. Blocks.
int WriteAll(int fd, std::string_view bytes);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_WRITE_ALL_H_
