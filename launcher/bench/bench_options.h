// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_BENCH_OPTIONS_H_
#define LOCKSTEP_LAUNCHER_BENCH_BENCH_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "collectives/types.h"
#include "launcher/bench/bench_wire.h"
#include "runtime/base/clock.h"

namespace lockstep::launcher {

/// Who can be measured.
enum class BenchBackend : uint8_t {
  kHost,
  kTcp,
  kWide,
  kMpi,
  kNccl,
  kOpenMpi,
  kMpich,
  kGloo,
  kFloor,  // nobody's library: what any must at least do
};

/// Rounds without which no ratio is printed: the smallest of five is above the true median in one
/// of 32 cases.
inline constexpr int kValidRoundsMin = 5;

/// Enough for what is warm at all after them, and not too many of the smallest ops.
inline constexpr uint64_t kWarmupsByBytesMost = 4096;

/// What `lockstep bench` is asked for. A value.
struct BenchOptions {
  int ranks = 2;
  BenchBackend backend = BenchBackend::kHost;
  std::vector<BenchBackend> peers;
  bool registered = true;  // of ours: memory of AllocBuffer
  bool plain = false;      // of ours: memory of malloc
  // Network namespaces, by rank, in which ranks live; empty = they share ours.
  std::vector<std::string> namespaces;
  bool encrypts_data = false;  // of kTcp and kWide: and beside it unencrypted
  int tcp_flows = 1;           // of kTcp and kWide: above 1 beside the same with 1
  bool check_calls = false;    // of kMpi and kNccl: and beside it without
  std::string interface;       // of kTcp, kWide and their peers; "" = the loopback
  lockstep_bench_op op = LOCKSTEP_BENCH_ALL_REDUCE;
  collectives::Dtype dtype = collectives::Dtype::kF32;
  collectives::Reduction reduction = collectives::Reduction::kSum;  // kNone of ops that only move
  int root = 0;
  std::vector<uint64_t> sizes;  // bytes, ascending, not empty
  int warmups = 5;
  // At least, by all warm-ups of a round together, in at most kWarmupsByBytesMost of them.
  uint64_t warmup_bytes = 0;
  int iterations = 20;
  int rounds = 7;  // at least kValidRoundsMin
  bool check = true;
  bool statistics = false;  // of all iterations, not the median alone
  bool allow_pressure = false;
  base::Duration timeout = std::chrono::seconds(60);  // of one answer of a gang
  std::string json_path;                              // "" = none
  std::string plot_path;
  bool capabilities = false;              // print these and measure nothing
  std::vector<std::string> command_line;  // as typed, for the JSON
};

/// Whether what is measured is a network, and not this machine's memory.
inline bool OverTcp(const BenchOptions& options) {
  return options.backend == BenchBackend::kTcp || options.backend == BenchBackend::kWide;
}

std::string BenchBackendName(BenchBackend backend);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_BENCH_OPTIONS_H_
