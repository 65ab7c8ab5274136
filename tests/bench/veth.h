// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_VETH_H_
#define LOCKSTEP_TESTS_BENCH_VETH_H_

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "tests/e2e/command.h"

namespace lockstep::bench {

/// Two network namespaces, h0 and h1, on one veth; each has an interface `wire` and nothing else
/// but the loopback. Only this process and its children know them, so they are gone with it.
class Veth {
 public:
  static constexpr char kNames[] = "h0,h1";
  static constexpr char kInterface[] = "wire";

  /// Makes them, and moves this process into a mount namespace of its own, before it has a second
  /// thread. Errors: PermissionDenied, FailedPrecondition - that is not possible here.
  static base::Status Make();

  /// Runs a program to its end. status -1: it did not end in time.
  static e2e::Outcome Run(const std::vector<std::string>& words, std::chrono::milliseconds at_most);
};

/// What iperf3 moves both ways at once, in 10^9 bytes a second and direction, by the kernel's
/// congestion control and by Reno, whichever is more; nothing when it is not installed or fails.
std::optional<double> IperfRate(std::chrono::seconds time);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_VETH_H_
