// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/core_distance.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace lockstep::bench {
namespace {

constexpr int kTries = 10;
constexpr uint64_t kRounds = 20'000;

void BindTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  (void)sched_setaffinity(0, sizeof set, &set);  // of this thread; a hint
}

std::vector<int> Cpus() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

/// Stores its own turns, and waits for the other's between them. Where somebody else takes a
/// processor meanwhile a try takes longer, and is not the least.
void Play(std::atomic<uint64_t>& line, uint64_t first) {
  for (uint64_t turn = first; turn < 2 * kRounds; turn += 2) {
    while (line.load(std::memory_order_acquire) != turn) {
    }
    line.store(turn + 1, std::memory_order_release);
  }
}

}  // namespace

std::optional<double> LineRoundTripNanoseconds() {
  const std::vector<int> cpus = Cpus();
  if (cpus.size() < 2) return std::nullopt;
  double least = 0;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    alignas(64) std::atomic<uint64_t> line{0};
    double nanoseconds = 0;
    std::thread one([&] {
      BindTo(cpus[0]);
      const auto begun = std::chrono::steady_clock::now();
      Play(line, 0);
      nanoseconds =
          std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begun)
              .count();
    });
    std::thread other([&] {
      BindTo(cpus[1]);
      Play(line, 1);
    });
    one.join();
    other.join();
    const double round_trip = nanoseconds / static_cast<double>(kRounds);
    least = attempt == 0 ? round_trip : std::min(least, round_trip);
  }
  return least;
}

}  // namespace lockstep::bench
