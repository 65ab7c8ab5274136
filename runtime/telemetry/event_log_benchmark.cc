// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>

#include "runtime/event/sim_loop.h"
#include "runtime/telemetry/event_json.h"
#include "runtime/telemetry/event_log.h"

namespace lockstep::telemetry {
namespace {

proto::Event RankExited() {
  proto::Event event;
  event.mutable_rank_exited()->set_rank(3);
  event.mutable_rank_exited()->set_pid(12345);
  event.mutable_rank_exited()->set_signal(9);
  return event;
}

/// What launching a rank pays: no text is made, nothing is written.
void BM_EventLog_Append(benchmark::State& state) {
  event::SimLoop loop;
  EventLog log(
      {.path = "/dev/null", .job_id = "job", .host = "host", .pending_events_max = size_t{1} << 30},
      loop);
  const proto::Event event = RankExited();
  for ([[maybe_unused]] auto iteration : state) log.Append(base::Round(0), event);
}
BENCHMARK(BM_EventLog_Append)->Iterations(100'000);

/// What is paid later, per event. The first event of a process pays for its descriptors as well.
void BM_EventLog_Json(benchmark::State& state) {
  const proto::Event event = RankExited();
  for ([[maybe_unused]] auto iteration : state) benchmark::DoNotOptimize(EventJson(event));
}
BENCHMARK(BM_EventLog_Json);

}  // namespace
}  // namespace lockstep::telemetry

BENCHMARK_MAIN();
