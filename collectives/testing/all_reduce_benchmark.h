// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_ALL_REDUCE_BENCHMARK_H_
#define LOCKSTEP_COLLECTIVES_TESTING_ALL_REDUCE_BENCHMARK_H_

#include <benchmark/benchmark.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/testing/thread_gang.h"
#include "runtime/base/check.h"

namespace lockstep::collectives::testing {

/// all_reduce of f32 sums over `maker`'s backend, out of place with plain buffers, as rank 0 sees
/// it. Arguments of `state`: ranks, which are threads, and bytes. With `verify` of the op's
/// options.
inline void MeasureAllReduce(benchmark::State& state, std::shared_ptr<BackendMaker> maker,
                             bool verify = false) {
  const int size = static_cast<int>(state.range(0));
  const size_t count = static_cast<size_t>(state.range(1)) / sizeof(float);
  ThreadGang gang(size, std::move(maker));
  std::vector<std::thread> peers;
  for (int rank = 1; rank < size; ++rank) {
    peers.emplace_back([&gang, rank, count, verify] {
      const auto group = std::move(gang.Join(rank)).value();
      std::vector<float> in(count, 1.0f), out(count);
      while (group
                 ->AllReduce({in.data(), count}, {out.data(), count}, Reduction::kSum,
                             {.verify = verify})
                 ->Wait()
                 .ok()) {
      }  // until rank 0 has left
    });
  }
  {
    const auto group = std::move(gang.Join(0)).value();
    std::vector<float> in(count, 1.0f), out(count);
    for (auto _ : state) {
      const base::Status status = group
                                      ->AllReduce({in.data(), count}, {out.data(), count},
                                                  Reduction::kSum, {.verify = verify})
                                      ->Wait();
      LOCKSTEP_CHECK(status.ok(), status.ToString().c_str());
    }
    LOCKSTEP_CHECK(
        out.front() == static_cast<float>(size) && out.back() == static_cast<float>(size),
        "a wrong sum");
  }
  for (std::thread& peer : peers) peer.join();
  state.SetBytesProcessed(state.iterations() * state.range(1));
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_ALL_REDUCE_BENCHMARK_H_
