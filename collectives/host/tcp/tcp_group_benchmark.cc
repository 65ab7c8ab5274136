// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// all_reduce of f32 sums, out of place with plain buffers, as rank 0 sees it, over loopback. Ranks
// are threads, which share nothing in it but the thread that makes connections.
#include <benchmark/benchmark.h>

#include <thread>
#include <vector>

#include "collectives/host/tcp/local_tcp.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

void BM_TcpGroup_AllReduce(benchmark::State& state) {
  const int size = static_cast<int>(state.range(0));
  const size_t count = static_cast<size_t>(state.range(1)) / sizeof(float);
  testing::ThreadGang gang(size, testing::LocalTcpMaker());
  std::vector<std::thread> peers;
  for (int rank = 1; rank < size; ++rank) {
    peers.emplace_back([&gang, rank, count] {
      const auto group = std::move(gang.Join(rank)).value();
      std::vector<float> in(count, 1.0f), out(count);
      while (
          group->AllReduce({in.data(), count}, {out.data(), count}, Reduction::kSum)->Wait().ok()) {
      }  // until rank 0 has left
    });
  }
  {
    const auto group = std::move(gang.Join(0)).value();
    std::vector<float> in(count, 1.0f), out(count);
    for (auto _ : state) {
      const base::Status status =
          group->AllReduce({in.data(), count}, {out.data(), count}, Reduction::kSum)->Wait();
      LOCKSTEP_CHECK(status.ok(), status.ToString().c_str());
    }
    LOCKSTEP_CHECK(
        out.front() == static_cast<float>(size) && out.back() == static_cast<float>(size),
        "a wrong sum");
  }
  for (std::thread& peer : peers) peer.join();
  state.SetBytesProcessed(state.iterations() * state.range(1));
}
BENCHMARK(BM_TcpGroup_AllReduce)
    ->ArgNames({"ranks", "bytes"})
    ->ArgsProduct(
        {{2, 4}, {4, 1 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20}})
    ->UseRealTime();

}  // namespace
}  // namespace lockstep::collectives

BENCHMARK_MAIN();
