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
constexpr int kStepsOfTurn = 2;  // few: what else the machine does changes slowly

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
  Difference control;    // of another training without one
  double looks_percent;  // of a core
};

Cost Measure(int ranks, int rounds) {
  const clockid_t clock = ranks == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  std::vector<double> plain, percent, control;  // of rank 0
  RecordedGang gang(ranks);
  const double begun = Seconds(CLOCK_MONOTONIC);
  RingLooks looks(gang);
  gang.Run([&](const RecordedGang::Groups& groups) {
    const std::array<std::unique_ptr<examples::TrainingStep>, 3> trainings = {
        Training(*groups.plain), Training(*groups.recorded), Training(*groups.control)};
    const auto run = [&](size_t contender) {
      Check(groups.plain->Barrier()->Wait());
      const double begin = Seconds(clock);
      for (int step = 0; step < kStepsOfTurn; ++step) Check(trainings[contender]->Run());
      return (Seconds(clock) - begin) / kStepsOfTurn;
    };
    for (size_t contender = 0; contender < trainings.size(); ++contender) run(contender);
    for (int round = 0; round < rounds; ++round) {
      std::array<double, 3> seconds{};
      for (size_t turn = 0; turn < seconds.size(); ++turn) {
        const size_t contender = (static_cast<size_t>(round) + turn) % seconds.size();
        seconds[contender] = run(contender);
      }
      if (groups.plain->rank() != base::GroupRank(0)) continue;
      plain.push_back(1000 * seconds[0]);
      percent.push_back(100 * (seconds[1] - seconds[0]) / seconds[0]);
      control.push_back(100 * (seconds[2] - seconds[0]) / seconds[0]);
    }
  });
  const double used = looks.Stop();
  return {.step_ms = DifferenceOf(plain).median,
          .percent = DifferenceOf(percent),
          .control = DifferenceOf(control),
          .looks_percent = 100 * used / (Seconds(CLOCK_MONOTONIC) - begun)};
}

int Main(bool quick) {
  Report report(quick);
  report.PrintMachine();
  const int all_rounds = quick ? 27 : 603;
  std::printf("\nA step of examples/fashion_mnist, medians of rounds of %d steps in turns\n\n",
              kStepsOfTurn);
  std::printf(
      "| ranks | time of | step, not recorded | recorded: more | 95 %% of that | another that is "
      "not: more | looks |\n");
  std::printf("|---|---|---|---|---|---|---|---|\n");
  std::array<Cost, 2> costs;
  for (const int ranks : {1, 2}) {
    const int rounds = ranks == 1 ? all_rounds : all_rounds / 3;
    const Cost cost = costs[static_cast<size_t>(ranks - 1)] = Measure(ranks, rounds);
    std::printf(
        "| %d | %d | %s | %.2f ms | %.2f %% | %.2f to %.2f %% | %.2f to %.2f %% | %.4f %% of a "
        "core |\n",
        ranks, rounds, ranks == 1 ? "processor" : "clock", cost.step_ms, cost.percent.median,
        cost.percent.low, cost.percent.high, cost.control.low, cost.control.high,
        cost.looks_percent);
    std::fflush(stdout);
  }
  std::printf("\n");
  const Cost& judged = costs[0];
  const double most = judged.percent.median + judged.looks_percent;
  report.BarUnlessDisturbed({.what = "recording and looks, of a step",
                             .figure = FormatFigure(most) + " %",
                             .limit = "<= " + FormatFigure(kBarPercent) + " %",
                             .holds = most <= kBarPercent},
                            judged.control.high - judged.control.low > kBarPercent);
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  return lockstep::bench::Main(std::string_view(argv[argc - 1]) == "--quick");
}
