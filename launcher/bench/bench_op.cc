// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/bench_op.h"

namespace lockstep::launcher {
namespace {

using collectives::Dtype;
using collectives::Reduction;

// The C side has its own names for the same numbers.
static_assert(static_cast<int>(Dtype::kBool) == LOCKSTEP_BENCH_BOOL);
static_assert(static_cast<int>(Dtype::kU8) == LOCKSTEP_BENCH_U8);
static_assert(static_cast<int>(Dtype::kI8) == LOCKSTEP_BENCH_I8);
static_assert(static_cast<int>(Dtype::kI16) == LOCKSTEP_BENCH_I16);
static_assert(static_cast<int>(Dtype::kI32) == LOCKSTEP_BENCH_I32);
static_assert(static_cast<int>(Dtype::kI64) == LOCKSTEP_BENCH_I64);
static_assert(static_cast<int>(Dtype::kU32) == LOCKSTEP_BENCH_U32);
static_assert(static_cast<int>(Dtype::kU64) == LOCKSTEP_BENCH_U64);
static_assert(static_cast<int>(Dtype::kF16) == LOCKSTEP_BENCH_F16);
static_assert(static_cast<int>(Dtype::kBf16) == LOCKSTEP_BENCH_BF16);
static_assert(static_cast<int>(Dtype::kF32) == LOCKSTEP_BENCH_F32);
static_assert(static_cast<int>(Dtype::kF64) == LOCKSTEP_BENCH_F64);
static_assert(static_cast<int>(Dtype::kF8E4m3) == LOCKSTEP_BENCH_F8E4M3);
static_assert(static_cast<int>(Dtype::kF8E5m2) == LOCKSTEP_BENCH_F8E5M2);
static_assert(static_cast<int>(Reduction::kNone) == LOCKSTEP_BENCH_NONE);
static_assert(static_cast<int>(Reduction::kSum) == LOCKSTEP_BENCH_SUM);
static_assert(static_cast<int>(Reduction::kProduct) == LOCKSTEP_BENCH_PROD);
static_assert(static_cast<int>(Reduction::kMin) == LOCKSTEP_BENCH_MIN);
static_assert(static_cast<int>(Reduction::kMax) == LOCKSTEP_BENCH_MAX);
static_assert(static_cast<int>(Reduction::kAverage) == LOCKSTEP_BENCH_AVG);
static_assert(static_cast<int>(Reduction::kPremultipliedSum) == LOCKSTEP_BENCH_PREMUL_SUM);
static_assert(static_cast<int>(Reduction::kBitAnd) == LOCKSTEP_BENCH_BAND);
static_assert(static_cast<int>(Reduction::kBitOr) == LOCKSTEP_BENCH_BOR);
static_assert(static_cast<int>(Reduction::kBitXor) == LOCKSTEP_BENCH_BXOR);

struct NamedOp {
  lockstep_bench_op op;
  std::string_view name;
};
constexpr NamedOp kOps[] = {
    {LOCKSTEP_BENCH_ALL_REDUCE, "all_reduce"},
    {LOCKSTEP_BENCH_REDUCE, "reduce"},
    {LOCKSTEP_BENCH_BROADCAST, "broadcast"},
    {LOCKSTEP_BENCH_ALL_GATHER, "all_gather"},
    {LOCKSTEP_BENCH_REDUCE_SCATTER, "reduce_scatter"},
    {LOCKSTEP_BENCH_ALL_TO_ALL, "all_to_all"},
    {LOCKSTEP_BENCH_PING_PONG, "ping_pong"},
    {LOCKSTEP_BENCH_BARRIER, "barrier"},
    {LOCKSTEP_BENCH_GATHER, "gather"},
    {LOCKSTEP_BENCH_SCATTER, "scatter"},
    {LOCKSTEP_BENCH_ALL_GATHER_V, "all_gather_v"},
    {LOCKSTEP_BENCH_REDUCE_SCATTER_V, "reduce_scatter_v"},
    {LOCKSTEP_BENCH_ALL_TO_ALL_V, "all_to_all_v"},
    {LOCKSTEP_BENCH_BATCH, "batch"},
};

bool IsInParts(lockstep_bench_op op) {
  switch (op) {
    case LOCKSTEP_BENCH_ALL_GATHER:
    case LOCKSTEP_BENCH_ALL_GATHER_V:
    case LOCKSTEP_BENCH_REDUCE_SCATTER:
    case LOCKSTEP_BENCH_REDUCE_SCATTER_V:
    case LOCKSTEP_BENCH_ALL_TO_ALL:
    case LOCKSTEP_BENCH_ALL_TO_ALL_V:
    case LOCKSTEP_BENCH_GATHER:
    case LOCKSTEP_BENCH_SCATTER: return true;
    case LOCKSTEP_BENCH_ALL_REDUCE:
    case LOCKSTEP_BENCH_REDUCE:
    case LOCKSTEP_BENCH_BROADCAST:
    case LOCKSTEP_BENCH_PING_PONG:
    case LOCKSTEP_BENCH_BATCH:
    case LOCKSTEP_BENCH_BARRIER: return false;
  }
  return false;
}

}  // namespace

std::string_view BenchOpName(lockstep_bench_op op) {
  for (const NamedOp& one : kOps) {
    if (one.op == op) return one.name;
  }
  return "unknown";
}

std::optional<lockstep_bench_op> FindBenchOp(std::string_view name) {
  for (const NamedOp& one : kOps) {
    if (one.name == name) return one.op;
  }
  return std::nullopt;
}

std::string BenchOpNames() {
  std::string names;
  for (const NamedOp& one : kOps) names += (names.empty() ? "" : ", ") + std::string(one.name);
  return names;
}

std::optional<Dtype> FindDtype(std::string_view name) {
  for (size_t i = 1; i < collectives::kDtypeLimit; ++i) {
    if (DtypeName(static_cast<Dtype>(i)) == name) return static_cast<Dtype>(i);
  }
  return std::nullopt;
}

std::optional<Reduction> FindReduction(std::string_view name) {
  for (size_t i = 1; i < collectives::kReductionLimit; ++i) {
    if (ReductionName(static_cast<Reduction>(i)) == name) return static_cast<Reduction>(i);
  }
  return std::nullopt;
}

bool Reduces(lockstep_bench_op op) {
  return op == LOCKSTEP_BENCH_ALL_REDUCE || op == LOCKSTEP_BENCH_REDUCE ||
         op == LOCKSTEP_BENCH_REDUCE_SCATTER || op == LOCKSTEP_BENCH_REDUCE_SCATTER_V;
}

bool HasRoot(lockstep_bench_op op) {
  return op == LOCKSTEP_BENCH_REDUCE || op == LOCKSTEP_BENCH_BROADCAST ||
         op == LOCKSTEP_BENCH_GATHER || op == LOCKSTEP_BENCH_SCATTER;
}

bool HasInPlace(lockstep_bench_op op) {
  // The others are one or the other by nature.
  return Reduces(op) || op == LOCKSTEP_BENCH_ALL_GATHER || op == LOCKSTEP_BENCH_ALL_GATHER_V ||
         op == LOCKSTEP_BENCH_GATHER || op == LOCKSTEP_BENCH_SCATTER;
}

uint64_t PartCount(lockstep_bench_op op, Dtype dtype, int ranks, uint64_t bytes) {
  const uint64_t elements = bytes / DtypeBytes(dtype);
  return IsInParts(op) ? elements / static_cast<uint64_t>(ranks) : elements;
}

uint64_t SizeOf(lockstep_bench_op op, Dtype dtype, int ranks, uint64_t part_count) {
  const uint64_t bytes = part_count * DtypeBytes(dtype);
  return IsInParts(op) ? bytes * static_cast<uint64_t>(ranks) : bytes;
}

double BusFactor(lockstep_bench_op op, int ranks) {
  const double n = ranks;
  if (op == LOCKSTEP_BENCH_ALL_REDUCE) return 2 * (n - 1) / n;
  return IsInParts(op) ? (n - 1) / n : 1;  // of what lies in parts, one's own does not move
}

int MessagesPerSample(lockstep_bench_op op) { return op == LOCKSTEP_BENCH_PING_PONG ? 2 : 1; }

}  // namespace lockstep::launcher
