// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_ROTATED_NAME_H_
#define LOCKSTEP_RUNTIME_PROCESS_ROTATED_NAME_H_

#include <cstddef>
#include <string>
#include <string_view>

/// What rotated files are called and where they are cut. Pure functions, for any thread.
namespace lockstep::process {

/// "rank-3.stdout.2"; 1 is the youngest of the old ones, 0 the file that grows.
std::string RotatedName(const std::string& path, int number);

/// Bytes up to the end of the last whole line; 0 when there is none.
size_t PastLastNewline(std::string_view text);

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_ROTATED_NAME_H_
