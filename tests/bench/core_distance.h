// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_CORE_DISTANCE_H_
#define LOCKSTEP_TESTS_BENCH_CORE_DISTANCE_H_

#include <chrono>
#include <optional>

namespace lockstep::bench {

/// How long a cache line takes from one processor to another and back, in nanoseconds: the least of
/// several tries, between the first two processors that this process may use; nullopt where it may
/// use one, or where they are so busy that it takes longer than 5 s. The host of a virtual machine
/// may put its processors on cores that share a cache or on ones that do not, and change that at
/// any time: figures of the two states do not compare. Takes 0.1 s. From any thread.
std::optional<double> LineRoundTripNanoseconds();
/// The same between those two processors, within `limit`; nullopt where this process may not use
/// one of them, too.
std::optional<double> LineRoundTripNanoseconds(int one_cpu, int other_cpu,
                                               std::chrono::nanoseconds limit);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_CORE_DISTANCE_H_
