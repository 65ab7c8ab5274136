// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <chrono>
#include <vector>

#include "launcher/agent/live_status.h"
#include "launcher/agent/metrics_text.h"

namespace lockstep::launcher {
namespace {

using collectives::Evidence;
using collectives::SeenOp;
using collectives::SeenRank;

constexpr uint64_t kOps = 32;  // of each rank, as many as are read of a thousand
constexpr int kPerGroup = 8;

/// The world, and groups of eight in which all ops but the last are over.
Evidence Gang(int size) {
  std::vector<base::Rank> world;
  for (int rank = 0; rank < size; ++rank) world.emplace_back(rank);
  Evidence evidence;
  for (int rank = 0; rank < size; ++rank) {
    SeenRank& seen = evidence.ranks.emplace_back();
    seen.rank = base::Rank(rank);
    seen.ring_read = true;
    seen.groups.push_back({.id = base::GroupId(1),
                           .name = "world",
                           .rank = base::GroupRank(rank),
                           .size = size,
                           .members = world});
    const int first = rank / kPerGroup * kPerGroup;
    const base::GroupId pair(static_cast<uint64_t>(2 + first));
    seen.groups.push_back({.id = pair,
                           .name = "tp",
                           .rank = base::GroupRank(rank - first),
                           .size = kPerGroup,
                           .members = std::vector<base::Rank>(world.begin() + first,
                                                              world.begin() + first + kPerGroup)});
    for (uint64_t op = 1; op <= kOps; ++op) {
      SeenOp& called = seen.ops.emplace_back();
      called.group = op % 2 == 0 ? base::GroupId(1) : pair;
      called.seq = base::OpSeq((op + 1) / 2);
      called.kind = collectives::OpKind::kAllReduce;
      called.call_site = "train.cc:42";
      called.state = op == kOps ? LOCKSTEP_RECORD_STARTED : LOCKSTEP_RECORD_COMPLETED;
      called.caller_waits = op == kOps;
    }
  }
  return evidence;
}

/// What a status with `live` costs the agent beside the reading of rings.
void BM_LiveStatus_Ranks(benchmark::State& state) {
  const Evidence evidence = Gang(static_cast<int>(state.range(0)));
  for ([[maybe_unused]] auto iteration : state) {
    const proto::StatusReply live = LiveStatusOf(evidence, collectives::GroupHeads(evidence));
    if (live.groups_size() == 0 || live.ranks_size() != state.range(0)) ::abort();
  }
}
BENCHMARK(BM_LiveStatus_Ranks)->Arg(8)->Arg(64)->Arg(1024)->Unit(benchmark::kMillisecond);

void BM_MetricsText_Ranks(benchmark::State& state) {
  const Evidence evidence = Gang(static_cast<int>(state.range(0)));
  proto::StatusReply status = LiveStatusOf(evidence, collectives::GroupHeads(evidence));
  // As a job of which everything is known has them.
  for (proto::RankStatus& rank : *status.mutable_ranks()) {
    rank.set_life("alive");
    rank.set_step(4711);
    rank.set_samples_per_second(640.5);
    rank.mutable_pace()->set_steps_per_second(3.25);
    rank.mutable_pace()->set_in_ops_share(0.31);
    rank.mutable_pace()->set_bytes_per_second(1.5e9);
    rank.mutable_pace()->set_lateness_ns(125'000);
  }
  for ([[maybe_unused]] auto iteration : state) {
    if (MetricsText(status).size() < 400 * static_cast<size_t>(state.range(0))) ::abort();
  }
}
BENCHMARK(BM_MetricsText_Ranks)->Arg(8)->Arg(64)->Arg(1024)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lockstep::launcher

BENCHMARK_MAIN();
