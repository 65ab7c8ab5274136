// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What passes between threads is the same memory as between processes.
#include <benchmark/benchmark.h>

#include "collectives/testing/all_reduce_benchmark.h"

namespace lockstep::collectives {
namespace {

void BM_ShmGroup_AllReduce(benchmark::State& state) {
  testing::MeasureAllReduce(state, testing::ThreadGang::InSharedMemory());
}
BENCHMARK(BM_ShmGroup_AllReduce)
    ->ArgNames({"ranks", "bytes"})
    ->ArgsProduct({{2}, {4, 1 << 10, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 16 << 20}})
    ->ArgsProduct({{1}, {4}})
    ->ArgsProduct({{4}, {4, 64 << 10, 1 << 20}})
    ->UseRealTime();

// The same with its output compared on all members, as OpOptions::verify asks for.
void BM_ShmGroup_VerifiedAllReduce(benchmark::State& state) {
  testing::MeasureAllReduce(state, testing::ThreadGang::InSharedMemory(), Dtype::kF32, true);
}
BENCHMARK(BM_ShmGroup_VerifiedAllReduce)
    ->ArgNames({"ranks", "bytes"})
    ->ArgsProduct({{2}, {4, 4 << 10, 256 << 10, 2 << 20, 16 << 20}})
    ->UseRealTime();

}  // namespace
}  // namespace lockstep::collectives

BENCHMARK_MAIN();
