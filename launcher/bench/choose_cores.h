// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_CHOOSE_CORES_H_
#define LOCKSTEP_LAUNCHER_BENCH_CHOOSE_CORES_H_

#include <functional>
#include <string>
#include <vector>

namespace lockstep::launcher {

/// Processors that this process may run on, ascending.
std::vector<int> AllowedCores();

/// One for each of `ranks`, on cores of their own as long as there are some: the second hardware
/// thread of a core comes last. Empty when there are fewer processors than ranks.
std::vector<int> ChooseCores(int ranks);

/// The rule itself: `core_of` names the core of a processor. A pure function.
std::vector<int> ChooseFrom(const std::vector<int>& allowed, int ranks,
                            const std::function<std::string(int)>& core_of);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_CHOOSE_CORES_H_
