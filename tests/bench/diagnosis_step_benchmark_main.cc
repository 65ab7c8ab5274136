// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// diagnosis_step_benchmark [--quick]: what recording and looking cost a training step: that of
// examples/fashion_mnist (64 pictures a rank, gradients averaged, one more sum), with groups that
// are recorded and ranks that are looked at four times a second, and without, in turns within one
// process. The pictures are random, which takes as long.
#include <time.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/group.h"
#include "collectives/work.h"
#include "examples/fashion_mnist/training_step.h"
#include "runtime/base/check.h"
#include "tests/bench/contest.h"
#include "tests/bench/recorded_gang.h"

namespace lockstep::bench {
namespace {

constexpr double kBarPercent = 0.5;
constexpr int kStepsOfTurn = 10;

double Seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

void Check(const base::Status& status) { LOCKSTEP_CHECK(status.ok(), status.ToString().c_str()); }

std::unique_ptr<examples::TrainingStep> Training(collectives::Group& group) {
  auto made = examples::TrainingStep::Create(group);
  Check(made.status());
  return *std::move(made);
}

struct Cost {
  double step_ms = 0;    // without, of a step
  Difference percent;    // more with the recorder
  double looks_percent;  // of a core
};

Cost Measure(int ranks, int rounds) {
  const clockid_t clock = ranks == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  std::vector<double> plain, percent;  // of rank 0
  RecordedGang gang(ranks);
  const double begun = Seconds(CLOCK_MONOTONIC);
  RingLooks looks(gang);
  gang.Run([&](const RecordedGang::Groups& groups) {
    const auto without = Training(*groups.plain), with = Training(*groups.recorded);
    const auto run = [&](bool is_recorded) {
      examples::TrainingStep& training = is_recorded ? *with : *without;
      Check(groups.plain->Barrier()->Wait());
      const double begin = Seconds(clock);
      for (int step = 0; step < kStepsOfTurn; ++step) Check(training.Run());
      return (Seconds(clock) - begin) / kStepsOfTurn;
    };
    run(false);
    run(true);
    for (int round = 0; round < rounds; ++round) {
      const bool first = round % 2 == 1;
      const double one = run(first), other = run(!first);
      if (groups.plain->rank() != base::GroupRank(0)) continue;
      const double base = first ? other : one;
      plain.push_back(1000 * base);
      percent.push_back(100 * (first ? one - other : other - one) / base);
    }
  });
  const double used = looks.Stop();
  return {.step_ms = DifferenceOf(plain).median,
          .percent = DifferenceOf(percent),
          .looks_percent = 100 * used / (Seconds(CLOCK_MONOTONIC) - begun)};
}

int Main(bool quick) {
  Report report(quick);
  report.PrintMachine();
  const int rounds = quick ? 9 : 151;
  std::printf("\nA step of examples/fashion_mnist, medians of %d rounds of %d steps in turns\n\n",
              rounds, kStepsOfTurn);
  std::printf(
      "| ranks | time of | step, not recorded | recorded: more | 95 %% of that | looks |\n");
  std::printf("|---|---|---|---|---|---|\n");
  std::array<Cost, 2> costs;
  for (const int ranks : {1, 2}) {
    const Cost cost = costs[static_cast<size_t>(ranks - 1)] = Measure(ranks, rounds);
    std::printf("| %d | %s | %.2f ms | %.2f %% | %.2f to %.2f %% | %.4f %% of a core |\n", ranks,
                ranks == 1 ? "processor" : "clock", cost.step_ms, cost.percent.median,
                cost.percent.low, cost.percent.high, cost.looks_percent);
    std::fflush(stdout);
  }
  std::printf("\n");
  const Cost& judged = costs[0];
  const double most = judged.percent.median + judged.looks_percent;
  report.BarUnlessDisturbed({.what = "recording and looks, of a step",
                             .figure = FormatFigure(most) + " %",
                             .limit = "<= " + FormatFigure(kBarPercent) + " %",
                             .holds = most <= kBarPercent},
                            judged.percent.high - judged.percent.low > kBarPercent);
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  return lockstep::bench::Main(std::string_view(argv[argc - 1]) == "--quick");
}
