// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_ALL_REDUCE_BENCHMARK_H_
#define LOCKSTEP_COLLECTIVES_TESTING_ALL_REDUCE_BENCHMARK_H_

#include <benchmark/benchmark.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/testing/thread_gang.h"
#include "runtime/base/check.h"

namespace lockstep::collectives::testing {

/// all_reduce of sums over `maker`'s backend, out of place with plain buffers, as rank 0 sees it.
/// Arguments of `state`: ranks, which are threads, and bytes. `dtype`: kF32 or kBf16, which is the
/// upper half of it. With `verify` of the op's options.
inline void MeasureAllReduce(benchmark::State& state, std::shared_ptr<BackendMaker> maker,
                             Dtype dtype = Dtype::kF32, bool verify = false) {
  const int size = static_cast<int>(state.range(0));
  const size_t unit = DtypeBytes(dtype), count = static_cast<size_t>(state.range(1)) / unit;
  const auto bits_of = [unit](float value) {
    return std::bit_cast<uint32_t>(value) >> (32 - 8 * unit);
  };
  struct Data {
    std::vector<std::byte> in, out;
  };
  const auto make_data = [&] {
    Data data{std::vector<std::byte>(count * unit), std::vector<std::byte>(count * unit)};
    const uint32_t one = bits_of(1);
    for (size_t i = 0; i < count; ++i) std::memcpy(data.in.data() + i * unit, &one, unit);
    return data;
  };
  const auto all_reduce = [=](Group& group, Data& data) {
    const ConstBuffer in{data.in.data(), count, dtype};
    return group
        .AllReduce(in, {data.out.data(), count, dtype}, Reduction::kSum, {.verify = verify})
        ->Wait();
  };
  ThreadGang gang(size, std::move(maker));
  std::vector<std::thread> peers;
  for (int rank = 1; rank < size; ++rank) {
    peers.emplace_back([&, rank] {
      const auto group = std::move(gang.Join(rank)).value();
      Data data = make_data();
      while (all_reduce(*group, data).ok()) {
      }  // until rank 0 has left
    });
  }
  {
    const auto group = std::move(gang.Join(0)).value();
    Data data = make_data();
    for (auto _ : state) {
      const base::Status status = all_reduce(*group, data);
      LOCKSTEP_CHECK(status.ok(), status.ToString().c_str());
    }
    const uint32_t sum = bits_of(static_cast<float>(size));
    LOCKSTEP_CHECK(std::memcmp(data.out.data(), &sum, unit) == 0 &&
                       std::memcmp(data.out.data() + (count - 1) * unit, &sum, unit) == 0,
                   "a wrong sum");
  }
  for (std::thread& peer : peers) peer.join();
  state.SetBytesProcessed(state.iterations() * state.range(1));
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_ALL_REDUCE_BENCHMARK_H_
