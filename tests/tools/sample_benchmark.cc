// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// For build_rules_test.py: a benchmark that counts its iterations, and fails when SAMPLE_FAILS is
// set.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>

namespace {

void BM_Sample_Count(benchmark::State& state) {
  if (std::getenv("SAMPLE_FAILS") != nullptr) state.SkipWithError("SAMPLE_FAILS is set");
  for (auto _ : state) std::puts("iteration");
}
BENCHMARK(BM_Sample_Count);

}  // namespace

BENCHMARK_MAIN();
