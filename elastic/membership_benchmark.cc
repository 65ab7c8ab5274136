// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>

#include "elastic/membership.h"

namespace {

int64_t allocations = 0;

}  // namespace

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace lockstep::elastic {
namespace {

using namespace std::chrono_literals;

MembershipState FormedJob(int node_count) {
  MembershipState job({.node_count = node_count});
  job = Step(std::move(job), {base::SteadyTime(1s), BeginForming{}}).state;
  for (int node = 0; node < node_count; ++node) {
    NodeFacts facts{.host = "host-" + std::to_string(node), .slots = 8};
    job = Step(std::move(job),
               {base::SteadyTime(1s), Joined{Member(static_cast<uint64_t>(node)), facts, false}})
              .state;
  }
  return job;
}

/// What one heartbeat of a job of so many nodes costs its coordinator, the timer's share with it.
/// 1,000 nodes send 4,000 a second.
void BM_Membership_Heartbeat(benchmark::State& state) {
  const auto node_count = static_cast<uint64_t>(state.range(0));
  MembershipState job = FormedJob(static_cast<int>(node_count));
  const base::Duration between = 250ms / node_count;
  base::SteadyTime now(1s);
  uint64_t next = 0;
  const int64_t allocations_before = allocations;
  for ([[maybe_unused]] auto iteration : state) {
    now += between;
    MembershipStep step = Step(std::move(job), {now, HeartbeatCame{Member(next)}});
    job = std::move(step.state);
    next = (next + 1) % node_count;
    if (now >= job.timer_due) {
      const MembershipTimerFired fired{job.timer_generation};
      job = Step(std::move(job), {now, fired}).state;
    }
  }
  if (job.members.size() != node_count) state.SkipWithError("a node was lost");
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(allocations - allocations_before), benchmark::Counter::kAvgIterations);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Membership_Heartbeat)->Arg(4)->Arg(100)->Arg(1000)->Arg(10000);

/// From nothing to Formed.
void BM_Membership_Form(benchmark::State& state) {
  for ([[maybe_unused]] auto iteration : state) {
    benchmark::DoNotOptimize(FormedJob(static_cast<int>(state.range(0))));
  }
}
BENCHMARK(BM_Membership_Form)->Arg(4)->Arg(1000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lockstep::elastic

BENCHMARK_MAIN();
