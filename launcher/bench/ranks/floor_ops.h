// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_BENCH_RANKS_FLOOR_OPS_H_
#define LOCKSTEP_LAUNCHER_BENCH_RANKS_FLOOR_OPS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/engine/reduce_kernels.h"
#include "launcher/bench/ranks/floor_pair.h"
#include "launcher/bench/ranks/rank_harness.h"

namespace lockstep::launcher {

/// Who moves what of an op of two ranks. The first three between buffers that both have mapped
/// (FloorPair::Share), with one word before and one after: the least that lets nobody read what is
/// not there yet, or change what is still read.
enum class FloorMove : uint8_t {
  kPull,    // all but all_reduce: each fetches what it gets
  kPush,    // all_gather: each writes what it has into both outputs. FloorWay::leaves_to_reader:
            // all_to_all, broadcast too
  kHalves,  // all_reduce: each combines half of both inputs into both outputs. broadcast: the other
            // one fetches one half, the root writes the other one
  // The others are all_reduce alone, and need no buffers of Share().
  kWhole,     // each copies its input into shared memory, once, and combines there all of the
              // other's with its own. Of shared buffers for small sizes, since it saves a word
  kSlices,    // each copies into shared memory the half that the other combines, and of what it
              // combines the result, which the other copies out
  kAttached,  // each fetches half of the other's input, then half of its result, by
              // process_vm_readv: no copy through shared memory
};

/// Results past the caches: what is too large for them is written there at less cost.
struct FloorWay {
  FloorMove move = FloorMove::kPull;
  bool past_caches = false;
  // Also what is pushed only to stay in the writer's cache until the other reads it, and then costs
  // more than it has saved (//tests/bench:push_benchmark): no floor. That has all_gather alone, of
  // at least FloorOps::kPushedBytesMin.
  bool leaves_to_reader = false;
};

/// "pull", "whole-past-caches": as in the command line of lockstep-bench-floor.
std::optional<FloorWay> FindFloorWay(std::string_view name);

/// What any implementation of an op between two ranks of a machine must at least do: bytes are read
/// and written as often as the way needs, by the same kernels as Lockstep's, and the ranks meet in
/// one word before and one after. It records, compares, times, watches and refuses nothing, so it
/// is no backend; it is what backends are measured against. Results are right, and checked as
/// everybody's. Confined to one thread; borrows the pair.
///
/// An all_reduce of at most FloorPair::kInlineBytes is one line there and one back, by whichever
/// way: those that would only do the same once more refuse it.
class FloorOps {
 public:
  static constexpr size_t kPushedBytesMin = size_t{4} << 20;  // of an output

  FloorOps(FloorPair& pair, FloorWay way);

  /// As rank_harness.h says of run(): UNSUPPORTED where the way has no such op, on both alike.
  int Run(const lockstep_bench_call& call, char* error);

 private:
  using Inputs = std::array<const std::byte*, FloorPair::kRanks>;
  struct Reduced;  // an all_reduce or reduce_scatter, with its kernels

  const char* WhyNot(const lockstep_bench_call& call) const;
  int Reduce(const Reduced& op, char* error);
  void ReduceInline(const Reduced& op);
  void ReduceHalves(const Reduced& op);
  void ReducePart(const Reduced& op);
  void PassWhole(const Reduced& op);
  void PassSlices(const Reduced& op);
  int FetchHalves(const Reduced& op, char* error);
  void Move(const lockstep_bench_call& call, size_t part);
  void Broadcast(const lockstep_bench_call& call, size_t bytes);

  /// Rank by rank, so that both compute the same bits.
  Inputs InOrder(const std::byte* mine, const std::byte* other) const;
  void Copy(std::byte* to, const std::byte* from, size_t bytes) const;
  /// After Copy() past the caches, before the word that says so.
  void SayWritten(uint64_t word);
  /// Both have come, and everybody's buffers may be used from here on.
  void Meet();
  void Part();
  bool MayAttach();

  /// Where the next `bytes` of a stage go: around it, on both ranks alike.
  size_t TakeStage(size_t bytes);

  FloorPair& pair_;
  const FloorWay way_;
  uint64_t word_ = 0;  // the last that counts for both
  size_t staged_ = 0;  // in the stages
  std::vector<std::byte> fetched_;
  std::optional<bool> may_attach_;
  // Of the last op that reduced.
  uint32_t dtype_ = 0;
  uint32_t reduction_ = 0;
  collectives::ReduceKernels kernels_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_BENCH_RANKS_FLOOR_OPS_H_
