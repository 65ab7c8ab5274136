// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_CORE_DISTANCE_H_
#define LOCKSTEP_TESTS_BENCH_CORE_DISTANCE_H_

#include <optional>

namespace lockstep::bench {

/// How long a cache line takes from one processor to another and back, in nanoseconds: the least of
/// several tries, between the first two processors that this process may use; nullopt where it may
/// use one. The host of a virtual machine may put its processors on cores that share a cache or on
/// ones that do not, and change that at any time: figures of the two states do not compare. Takes
/// 0.1 s.
std::optional<double> LineRoundTripNanoseconds();

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_CORE_DISTANCE_H_
