// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/choose_cores.h"

#include <sched.h>

#include <fstream>
#include <set>

namespace lockstep::launcher {
namespace {

// "0,32": the hardware threads of its core, which name it. Where the kernel does not say, each
// processor counts as one.
std::string SiblingsOf(int cpu) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                     "/topology/thread_siblings_list");
  std::string siblings;
  std::getline(file, siblings);
  return siblings.empty() ? std::to_string(cpu) : siblings;
}

}  // namespace

std::vector<int> AllowedCores() {
  std::vector<int> allowed;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (::sched_getaffinity(0, sizeof cpus, &cpus) != 0) return {0};
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &cpus)) allowed.push_back(cpu);
  }
  return allowed;
}

std::vector<int> ChooseFrom(const std::vector<int>& allowed, int ranks,
                            const std::function<std::string(int)>& core_of) {
  if (ranks > static_cast<int>(allowed.size())) return {};
  std::vector<int> chosen;
  std::vector<int> second_threads;
  std::set<std::string> taken;
  for (const int cpu : allowed) {
    (taken.insert(core_of(cpu)).second ? chosen : second_threads).push_back(cpu);
  }
  chosen.insert(chosen.end(), second_threads.begin(), second_threads.end());
  chosen.resize(static_cast<size_t>(ranks));
  return chosen;
}

std::vector<int> ChooseCores(int ranks) { return ChooseFrom(AllowedCores(), ranks, SiblingsOf); }

}  // namespace lockstep::launcher
