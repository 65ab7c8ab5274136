// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLI_BENCH_FLAGS_H_
#define LOCKSTEP_LAUNCHER_CLI_BENCH_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "launcher/bench/bench_options.h"
#include "launcher/cli/command_line.h"
#include "runtime/base/result.h"

namespace lockstep::launcher {

/// "4096", "4K", "16M", "1G" (powers of 1024); nothing for other text, or beyond 64 GiB. A pure
/// function.
std::optional<uint64_t> ParseSize(std::string_view text);

/// Takes a command of the verb bench. A pure function. Errors: InvalidArgument - all that is wrong
/// with the values, at once.
base::Result<BenchOptions> BenchOptionsOf(const Command& command);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLI_BENCH_FLAGS_H_
