// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_BENCH_OP_H_
#define LOCKSTEP_LAUNCHER_BENCH_BENCH_OP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "collectives/types.h"
#include "launcher/bench/bench_wire.h"

/// What the ops of `lockstep bench` are called and how their bytes are counted: as nccl-tests does.
/// Pure functions.
namespace lockstep::launcher {

std::string_view BenchOpName(lockstep_bench_op op);  // "all_reduce"
std::optional<lockstep_bench_op> FindBenchOp(std::string_view name);
/// "all_reduce, reduce, ...": for messages.
std::string BenchOpNames();
std::optional<collectives::Dtype> FindDtype(std::string_view name);
std::optional<collectives::Reduction> FindReduction(std::string_view name);

bool Reduces(lockstep_bench_op op);
bool HasRoot(lockstep_bench_op op);
/// Whether it can be measured in place as well as out of it.
bool HasInPlace(lockstep_bench_op op);

/// Elements of one part of an op whose size is `bytes`: of the longer of its two buffers (input of
/// reduce_scatter, output of all_gather), of a rank. Rounded down; 0 when not even one fits.
uint64_t PartCount(lockstep_bench_op op, collectives::Dtype dtype, int ranks, uint64_t bytes);
/// The size that so many elements have: what the tables show.
uint64_t SizeOf(lockstep_bench_op op, collectives::Dtype dtype, int ranks, uint64_t part_count);

/// What the algorithm's bandwidth (size / time) is multiplied with to get what each link of a ring
/// must carry, the bus bandwidth, which machines of any number of ranks have alike.
double BusFactor(lockstep_bench_op op, int ranks);
/// A ping-pong's sample is two messages.
int MessagesPerSample(lockstep_bench_op op);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_BENCH_OP_H_
