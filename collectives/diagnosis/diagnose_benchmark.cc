// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <chrono>
#include <vector>

#include "collectives/diagnosis/diagnose.h"

namespace lockstep::collectives {
namespace {

constexpr uint64_t kOps = 4;  // of each rank

SeenOp AllReduce(uint64_t seq) {
  return {.group = base::GroupId(1),
          .seq = base::OpSeq(seq),
          .kind = OpKind::kAllReduce,
          .dtype = Dtype::kF32,
          .reduction = Reduction::kSum,
          .count = 4,
          .fingerprint = seq,
          .state = LOCKSTEP_RECORD_COMPLETED,
          .age = std::chrono::seconds(5)};
}

/// A world in whose last op all wait for the rank in the middle, which runs. Who is in it is said
/// by all, or by the first alone.
Evidence OneIsMissing(int size, bool all_say) {
  std::vector<base::Rank> members;
  for (int rank = 0; rank < size; ++rank) members.emplace_back(rank);
  Evidence evidence;
  for (int rank = 0; rank < size; ++rank) {
    SeenRank& seen = evidence.ranks.emplace_back();
    seen.rank = base::Rank(rank);
    seen.process.state = ProcessState::kRuns;
    seen.ring_read = true;
    seen.groups.push_back({.id = base::GroupId(1),
                           .name = "world",
                           .rank = base::GroupRank(rank),
                           .size = size,
                           .members = {}});
    if (all_say || rank == 0) seen.groups[0].members = members;
    for (uint64_t seq = 1; seq < kOps; ++seq) seen.ops.push_back(AllReduce(seq));
    if (rank == size / 2) continue;
    SeenOp& last = seen.ops.emplace_back(AllReduce(kOps));
    last.state = LOCKSTEP_RECORD_STARTED;
    last.caller_waits = true;
  }
  return evidence;
}

/// Of that the finding.
void BM_Diagnose_OneIsMissing(benchmark::State& state) {
  const auto size = static_cast<int>(state.range(0));
  const Evidence evidence = OneIsMissing(size, state.range(1) != 0);
  for ([[maybe_unused]] auto iteration : state) {
    const Finding finding = Diagnose(evidence);
    if (finding.culprits.size() != 1 || finding.culprits[0].rank != base::Rank(size / 2) ||
        finding.victims.size() + 1 != static_cast<size_t>(size))
      ::abort();
  }
}
BENCHMARK(BM_Diagnose_OneIsMissing)
    ->ArgNames({"ranks", "all_say"})
    ->Args({1'000, 1})
    ->Args({8'192, 1})
    ->Args({65'536, 1})
    ->Args({1'000, 0})
    ->Args({8'192, 0})
    ->Args({65'536, 0})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lockstep::collectives

BENCHMARK_MAIN();
