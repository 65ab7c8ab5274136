// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// How much of an all_reduce of gradients a step still sees, when it goes on behind the computing of
// others: ranks are threads, a core each where there are enough; computing is a fixed amount of
// arithmetic of about 50 ms.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "collectives/gradient/gradient_buckets.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kComputeMs = 50;

double Milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

/// Arithmetic in registers, so that it leaves the memory to the all_reduce as matrix products in a
/// cache do.
void Compute(int64_t rounds) {
  float a = 1, b = 2, c = 3, d = 4;
  benchmark::DoNotOptimize(a);  // else it is computed once for all calls
  for (int64_t i = 0; i < rounds; ++i) {
    a = a * 0.999f + b;
    b = b * 0.998f + c;
    c = c * 0.997f + d;
    d = d * 0.996f + 0.5f;
  }
  benchmark::DoNotOptimize(a + b + c + d);
}

/// Of the least of several tries: others may be at work on this machine.
int64_t RoundsOfComputing() {
  constexpr int64_t kTry = 1 << 20;
  double least_ms = 1e9;
  for (int i = 0; i < 10; ++i) {
    const auto begin = Clock::now();
    Compute(kTry);
    least_ms = std::min(least_ms, Milliseconds(Clock::now() - begin));
  }
  return static_cast<int64_t>(static_cast<double>(kTry) * kComputeMs / least_ms);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

/// What this process has used of processors so far.
double ProcessorMs() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](const timeval& time) {
    return 1e3 * static_cast<double>(time.tv_sec) + 1e-3 * static_cast<double>(time.tv_usec);
  };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

constexpr int kRanks = 2;

struct Step {
  std::vector<double> alone_ms, exposed_ms, blocking_ms;
  std::vector<double>
      processor_ms;  // of a rank, for the reduction: says something on a busy machine too
};

struct Taken {
  double wall_ms, processor_ms;
};

void Check(const base::Status& status) { LOCKSTEP_CHECK(status.ok(), status.ToString().c_str()); }

/// In turns: computing alone; with the gradients put before it; and with an all_reduce that is
/// waited for.
void MeasureStep(Group& group, GradientBuckets& buckets, int64_t rounds, Step& step) {
  const auto timed = [&](auto body) {
    Check(group.Barrier()->Wait());
    const double processor_before = ProcessorMs();
    const auto begin = Clock::now();
    body();
    const double wall_ms = Milliseconds(Clock::now() - begin);
    Check(group.Barrier()->Wait());  // all ranks' share is in
    return Taken{wall_ms, (ProcessorMs() - processor_before) / kRanks};
  };
  const Taken alone = timed([&] { Compute(rounds); });
  const Taken overlapped = timed([&] {
    Check(buckets.Put(0, buckets.memory(0)));
    Compute(rounds);
    Check(buckets.Finish());
  });
  const Taken blocking = timed([&] {
    Check(buckets.Put(0, buckets.memory(0)));
    Check(buckets.Finish());
  });
  step.alone_ms.push_back(alone.wall_ms);
  step.exposed_ms.push_back(overlapped.wall_ms - alone.wall_ms);
  step.blocking_ms.push_back(blocking.wall_ms);
  step.processor_ms.push_back(overlapped.processor_ms - alone.processor_ms);
}

void BM_GradientBuckets_Exposed(benchmark::State& state) {
  const size_t count = static_cast<size_t>(state.range(0)) / sizeof(float);
  const auto wire = static_cast<Dtype>(state.range(1));
  const int64_t rounds = RoundsOfComputing();
  constexpr int kSteps = 5;  // of one iteration
  Step step;
  testing::ThreadGang gang(kRanks);
  for (auto _ : state) {
    gang.Run([&](Group& group) {
      auto made = GradientBuckets::Create({{"all", count}}, group, {.wire = wire});
      Check(made.status());
      Step others;
      for (int i = 0; i <= kSteps; ++i) {
        Step warm_up;
        MeasureStep(group, **made, rounds,
                    i == 0                      ? warm_up
                    : group.rank().value() == 0 ? step
                                                : others);
      }
    });
  }
  const double alone = Median(step.alone_ms);
  state.counters["compute_ms"] = alone;
  state.counters["blocking_ms"] = Median(step.blocking_ms);
  state.counters["exposed_ms"] = Median(step.exposed_ms);
  state.counters["processor_ms"] = Median(step.processor_ms);
  state.counters["exposed_percent"] = 100 * Median(step.exposed_ms) / alone;
  state.SetLabel(std::string(DtypeName(wire)));
}
BENCHMARK(BM_GradientBuckets_Exposed)
    ->ArgNames({"bytes", "wire"})
    ->ArgsProduct({{16 << 20},
                   {static_cast<int>(Dtype::kF32), static_cast<int>(Dtype::kBf16),
                    static_cast<int>(Dtype::kF16)}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace lockstep::collectives

BENCHMARK_MAIN();
