// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What starting N x `true` and seeing them end costs, against the floor of posix_spawn and waitpid
// in the same run.
#include <benchmark/benchmark.h>
#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/process/processes.h"
#include "runtime/process/real_processes.h"

namespace lockstep::process {
namespace {

constexpr char kTrue[] = "/bin/true";

void BM_PosixSpawnAndWait(benchmark::State& state) {
  char* const arguments[] = {const_cast<char*>(kTrue), nullptr};
  char* const environment[] = {nullptr};
  std::vector<pid_t> pids(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    for (pid_t& pid : pids) {
      if (::posix_spawn(&pid, kTrue, nullptr, nullptr, arguments, environment) != 0)
        state.SkipWithError("posix_spawn");
    }
    for (const pid_t pid : pids) ::waitpid(pid, nullptr, 0);
  }
}
BENCHMARK(BM_PosixSpawnAndWait)
    ->Arg(1)
    ->Arg(8)
    ->Arg(32)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// All that an agent does for a rank: spawn, learn of its end, make sure that nothing is left of
/// it.
void SpawnAndExit(benchmark::State& state, Containment containment) {
  const base::RealClock clock;
  const std::unique_ptr<event::EpollLoop> loop = event::EpollLoop::Create(clock).value();
  auto created = RealProcesses::Create({.mark = "benchmark", .containment = containment}, *loop);
  if (!created.ok()) {
    state.SkipWithError(created.status().ToString().c_str());
    return;
  }
  RealProcesses& processes = **created;
  const size_t count = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    std::vector<std::unique_ptr<Process>> ranks(count);
    size_t left = count;
    std::vector<SpawnRequest> requests;
    for (size_t i = 0; i < count; ++i) {
      requests.push_back(
          {{.name = "rank-" + std::to_string(i), .arguments = {kTrue}}, [&, i](const Exit&) {
             ranks[i]->KillAll(std::chrono::seconds(5), [&](const base::Status&) {
               if (--left == 0) loop->Quit();
             });
           }});
    }
    std::vector<SpawnResult> spawned = processes.SpawnAll(std::move(requests));
    for (size_t i = 0; i < count; ++i) ranks[i] = std::move(spawned[i]).value();
    loop->Run();
  }
}

void BM_RealProcesses_CgroupV2(benchmark::State& state) {
  SpawnAndExit(state, Containment::kCgroupV2);
}
void BM_RealProcesses_CgroupV1(benchmark::State& state) {
  SpawnAndExit(state, Containment::kCgroupV1);
}
void BM_RealProcesses_Mark(benchmark::State& state) {
  SpawnAndExit(state, Containment::kSubreaperMark);
}
BENCHMARK(BM_RealProcesses_CgroupV2)
    ->Arg(1)
    ->Arg(8)
    ->Arg(32)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_RealProcesses_CgroupV1)
    ->Arg(1)
    ->Arg(8)
    ->Arg(32)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_RealProcesses_Mark)
    ->Arg(1)
    ->Arg(8)
    ->Arg(32)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lockstep::process

BENCHMARK_MAIN();
