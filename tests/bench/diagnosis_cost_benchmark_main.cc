// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// diagnosis_cost_benchmark [--quick]: what recording costs an op: all_reduce of a group that is
// recorded against one that is not, in turns within one process. A rank's record takes the same
// instructions whoever else there is, so a group of one, where nobody waits for anybody, tells it
// exactly, in processor time; groups of two tell what of it is seen.
#include <time.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/work.h"
#include "runtime/base/check.h"
#include "tests/bench/contest.h"
#include "tests/bench/recorded_gang.h"

namespace lockstep::bench {
namespace {

using collectives::Buffer;
using collectives::Dtype;
using collectives::Group;

constexpr double kBarNs = 100;
constexpr std::array<size_t, 6> kSizes = {8, 64, 1 << 10, 16 << 10, 128 << 10, 1 << 20};

double Nanoseconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void Check(const base::Status& status) { LOCKSTEP_CHECK(status.ok(), status.ToString().c_str()); }

struct Cost {
  double plain_ns = 0;  // of an op, the median of the rounds
  Difference more_ns;   // with the recorder
  Difference control;   // of another group without one
};

Cost Measure(int ranks, size_t bytes, int rounds) {
  const clockid_t clock = ranks == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  const int ops = bytes <= 1024 ? 1000 : bytes <= 16 << 10 ? 200 : 20;
  std::vector<double> plain, more, control;  // of rank 0
  RecordedGang gang(ranks);
  gang.Run([&](const RecordedGang::Groups& groups) {
    std::vector<float> in(bytes / sizeof(float), 1), out(in.size());
    const std::array<Group*, 3> contenders = {groups.plain.get(), groups.recorded.get(),
                                              groups.control.get()};
    const auto run = [&](size_t contender) {
      Group& group = *contenders[contender];
      Check(group.Barrier()->Wait());
      const double begin = Nanoseconds(clock);
      for (int op = 0; op < ops; ++op) {
        Check(group
                  .AllReduce({in.data(), in.size(), Dtype::kF32},
                             {out.data(), out.size(), Dtype::kF32}, collectives::Reduction::kSum)
                  ->Wait());
      }
      return (Nanoseconds(clock) - begin) / ops;
    };
    for (size_t contender = 0; contender < contenders.size(); ++contender) run(contender);
    for (int round = 0; round < rounds; ++round) {
      std::array<double, 3> ns{};
      for (size_t turn = 0; turn < ns.size(); ++turn) {
        const size_t contender = (static_cast<size_t>(round) + turn) % ns.size();
        ns[contender] = run(contender);
      }
      if (groups.plain->rank() != base::GroupRank(0)) continue;
      plain.push_back(ns[0]);
      more.push_back(ns[1] - ns[0]);
      control.push_back(ns[2] - ns[0]);
    }
  });
  return {.plain_ns = DifferenceOf(plain).median,
          .more_ns = DifferenceOf(more),
          .control = DifferenceOf(control)};
}

int Main(bool quick) {
  Report report(quick);
  report.PrintMachine();
  const int rounds = quick ? 9 : 201;
  double most = 0, widest = 0;
  for (const int ranks : {1, 2}) {
    std::printf("\nall_reduce(f32, sum), %d rank%s, %s an op, medians of %d rounds in turns\n\n",
                ranks, ranks == 1 ? "" : "s", ranks == 1 ? "ns of processor" : "ns", rounds);
    std::printf(
        "| bytes | not recorded | recorded: more | 95 %% of that | another that is not: more |\n");
    std::printf("|---|---|---|---|---|\n");
    for (const size_t bytes : kSizes) {
      const Cost cost = Measure(ranks, bytes, rounds);
      std::printf("| %zu | %.0f | %.0f | %.0f to %.0f | %.0f to %.0f |\n", bytes, cost.plain_ns,
                  cost.more_ns.median, cost.more_ns.low, cost.more_ns.high, cost.control.low,
                  cost.control.high);
      std::fflush(stdout);
      // Of larger ones two groups differ by more anyway, as the last column tells.
      if (ranks > 1 || bytes > 16 << 10) continue;
      most = std::max(most, cost.more_ns.median);
      widest = std::max(widest, cost.more_ns.high - cost.more_ns.low);
    }
  }
  std::printf("\n");
  report.BarUnlessDisturbed({.what = "a recorded op of 8 bytes to 16 KiB",
                             .figure = FormatFigure(most) + " ns more",
                             .limit = "<= " + FormatFigure(kBarNs) + " ns",
                             .holds = most <= kBarNs},
                            widest > kBarNs);
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  return lockstep::bench::Main(std::string_view(argv[argc - 1]) == "--quick");
}
