// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Over loopback; the ranks share nothing but the thread that makes connections.
#include <benchmark/benchmark.h>

#include "collectives/host/tcp/local_tcp.h"
#include "collectives/testing/all_reduce_benchmark.h"

namespace lockstep::collectives {
namespace {

void BM_TcpGroup_AllReduce(benchmark::State& state) {
  testing::MeasureAllReduce(state, testing::LocalTcpMaker());
}
BENCHMARK(BM_TcpGroup_AllReduce)
    ->ArgNames({"ranks", "bytes"})
    ->ArgsProduct({{2, 4, 8},
                   {4, 1 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20,
                    64 << 20}})
    ->UseRealTime();

// Rounded once, by other ways than f32 goes (tcp_direct.h).
void BM_TcpGroup_Bf16AllReduce(benchmark::State& state) {
  testing::MeasureAllReduce(state, testing::LocalTcpMaker(), Dtype::kBf16);
}
BENCHMARK(BM_TcpGroup_Bf16AllReduce)
    ->ArgNames({"ranks", "bytes"})
    ->ArgsProduct({{2, 4, 8}, {256 << 10, 1 << 20, 4 << 20, 16 << 20}})
    ->UseRealTime();

// The same with its output compared on all members, as OpOptions::verify asks for.
void BM_TcpGroup_VerifiedAllReduce(benchmark::State& state) {
  testing::MeasureAllReduce(state, testing::LocalTcpMaker(), Dtype::kF32, true);
}
BENCHMARK(BM_TcpGroup_VerifiedAllReduce)
    ->ArgNames({"ranks", "bytes"})
    ->ArgsProduct({{2}, {4, 64 << 10, 4 << 20, 16 << 20}})
    ->UseRealTime();

}  // namespace
}  // namespace lockstep::collectives

BENCHMARK_MAIN();
