// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/core_distance.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

namespace lockstep::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTries = 10;
constexpr uint64_t kRounds = 20'000;
constexpr auto kLimit = std::chrono::seconds(5);
// A line is on its way for less than a microsecond, and each look takes about one nanosecond. Who
// has looked as often shares its processor with the other, or waits for one that somebody else has.
constexpr int kSpins = 4000;

/// Of this thread.
bool BindTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
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

/// One try of two threads, each on a processor.
class Try {
 public:
  explicit Try(Clock::time_point until) : until_(until) {}

  /// Nanoseconds; nullopt where a processor cannot be had, or the limit has passed.
  std::optional<double> Run(int one_cpu, int other_cpu) {
    std::optional<double> took;
    std::thread one([&] {
      const auto begun = Clock::now();
      if (Play(one_cpu, 0))
        took = std::chrono::duration<double, std::nano>(Clock::now() - begun).count();
    });
    std::thread other([&] { (void)Play(other_cpu, 1); });
    one.join();
    other.join();
    return took;
  }

 private:
  /// Stores its own turns, and waits for the other's between them. Where somebody else takes a
  /// processor meanwhile a try takes longer, and is not the least.
  bool Play(int cpu, uint64_t first) {
    if (!BindTo(cpu)) {
      over_ = true;
      return false;
    }
    for (uint64_t turn = first; turn < 2 * kRounds; turn += 2) {
      if (!Await(turn)) return false;
      line_.store(turn + 1, std::memory_order_release);
    }
    return true;
  }
  bool Await(uint64_t turn) {
    for (int spins = 0; line_.load(std::memory_order_acquire) != turn; ++spins) {
      if (spins < kSpins) continue;
      if (over_ || Clock::now() >= until_) {
        over_ = true;
        return false;
      }
      std::this_thread::yield();
    }
    return true;
  }

  const Clock::time_point until_;
  alignas(64) std::atomic<uint64_t> line_{0};
  alignas(64) std::atomic<bool> over_{false};
};

}  // namespace

std::optional<double> LineRoundTripNanoseconds(int one_cpu, int other_cpu,
                                               std::chrono::nanoseconds limit) {
  const auto until = Clock::now() + limit;
  double least = std::numeric_limits<double>::infinity();
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const std::optional<double> took = Try(until).Run(one_cpu, other_cpu);
    if (!took.has_value()) return std::nullopt;
    least = std::min(least, *took / static_cast<double>(kRounds));
  }
  return least;
}

std::optional<double> LineRoundTripNanoseconds() {
  const std::vector<int> cpus = Cpus();
  if (cpus.size() < 2) return std::nullopt;
  return LineRoundTripNanoseconds(cpus[0], cpus[1], kLimit);
}

}  // namespace lockstep::bench
