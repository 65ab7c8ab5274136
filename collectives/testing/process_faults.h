// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_PROCESS_FAULTS_H_
#define LOCKSTEP_COLLECTIVES_TESTING_PROCESS_FAULTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "collectives/testing/process_gang.h"

namespace lockstep::collectives::testing {

/// What the property of faults is tested over.
struct ProcessFaultKind {
  std::string name;
  int fewest_ranks = 2;
  bool has_network = false;  // of TCP, that may be broken
  /// Of a gang of `size` ranks.
  std::function<ProcessGang::NewGroup(uint64_t seed, int size)> make;
};

/// For each seed: ranks are processes that call random ops without end, or make one group after the
/// other of theirs; to one of them something happens at a random time. Expects that every Work and every Split of every survivor ends within its deadline and
/// a second, and that the process can exit. From a process with one thread.
void ExpectThatAllEndsInTime(const ProcessFaultKind& kind, const std::vector<uint64_t>& seeds);

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_PROCESS_FAULTS_H_
