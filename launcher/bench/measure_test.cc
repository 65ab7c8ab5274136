// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/measure.h"

#include <gmock/gmock.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FakePressure final : public CpuPressure {
 public:
  std::optional<base::Duration> UsedByOthers() override { return used; }
  std::optional<base::Duration> used = base::Duration(0);
};

/// A machine on which each timed command takes one second, of which `busy` says what share somebody
/// waited; it is asked with the number of the timed command, from 0.
struct Machine {
  base::SimClock clock;
  FakePressure pressure;
  std::function<double(int)> busy = [](int) { return 0.0; };
  std::vector<std::string> turns;  // names, of timed commands
};

class FakeContestant final : public Contestant {
 public:
  FakeContestant(Machine& machine, std::string name, std::string peer, double us)
      : machine_(machine), us_(us) {
    contender_.name = std::move(name);
    contender_.peer = std::move(peer);
  }

  FakeContestant(Machine& machine, Contender contender, double us)
      : machine_(machine), contender_(std::move(contender)), us_(us) {}

  const Contender& contender() const override { return contender_; }
  std::string library() const override { return "a fake"; }
  base::Result<Answer> Ask(const lockstep_bench_command& command,
                           const std::string& doing) override {
    if (error && command.kind == LOCKSTEP_BENCH_TIME) return base::UnavailableError(*error + doing);
    Answer answer{.supported = command.in_place == 0 || has_in_place, .wrong = wrong};
    if (!answer.supported) answer.refusal = "it has no place";
    if (command.kind != LOCKSTEP_BENCH_TIME) return answer;
    warmups.push_back(command.warmups);
    const int number = static_cast<int>(machine_.turns.size());
    machine_.turns.push_back(contender_.name);
    machine_.clock.Advance(std::chrono::seconds(1));
    if (machine_.pressure.used) {
      *machine_.pressure.used += std::chrono::duration_cast<base::Duration>(
          std::chrono::duration<double>(machine_.busy(number)));
    }
    answer.slowest_us.assign(command.iterations, us_);
    answer.slowest_us.back() = 100 * us_;  // an outlier, which a median leaves out
    return answer;
  }

  bool has_in_place = false;
  uint64_t wrong = 0;
  std::optional<std::string> error;
  std::vector<uint32_t> warmups;  // of each time it was asked

 private:
  Machine& machine_;
  Contender contender_;
  const double us_;
};

BenchOptions Small() {
  BenchOptions options;
  options.sizes = {4096};
  options.iterations = 3;
  options.rounds = 5;
  return options;
}

base::Result<BenchResult> MeasureOn(Machine& machine, const BenchOptions& options,
                                    const std::vector<Contestant*>& contestants) {
  return Measure(options, contestants,
                 {.clock = machine.clock, .pressure = machine.pressure, .on_size = {}});
}

TEST(MeasureTest, AFloorIsThatOfItsKindOfBuffersAlone) {
  Machine machine;
  const auto of = [](BenchBackend backend, const char* name, const char* peer, bool registered) {
    return Contender{.backend = backend, .name = name, .peer = peer, .registered = registered};
  };
  FakeContestant ours(machine, of(BenchBackend::kHost, "host", "", true), 10);
  FakeContestant plain(machine, of(BenchBackend::kHost, "host plain", "", false), 20);
  FakeContestant floor(machine, of(BenchBackend::kFloor, "floor pull", "floor", true), 8);
  FakeContestant plain_floor(
      machine, of(BenchBackend::kFloor, "floor-plain whole", "floor-plain", false), 9);
  FakeContestant theirs(machine, of(BenchBackend::kMpich, "mpich", "mpich", false), 40);

  ASSERT_OK_AND_ASSIGN(const BenchResult result,
                       MeasureOn(machine, Small(), {&ours, &plain, &floor, &plain_floor, &theirs}));

  std::vector<std::string> pairs;
  for (const Ratio& ratio : result.sizes[0].ratios)
    pairs.push_back(result.contenders[ratio.ours].name + ", " + result.contenders[ratio.peer].peer);
  EXPECT_THAT(pairs, ElementsAre("host, floor", "host, mpich", "host plain, floor-plain",
                                 "host plain, mpich"));
}

TEST(MeasureTest, AllTakeTurnsInEveryRound) {
  Machine machine;
  FakeContestant ours(machine, "host", "", 10);
  FakeContestant theirs(machine, "openmpi", "openmpi", 30);

  ASSERT_OK_AND_ASSIGN(const BenchResult result, MeasureOn(machine, Small(), {&ours, &theirs}));

  ASSERT_THAT(machine.turns, SizeIs(10));
  for (size_t i = 0; i < machine.turns.size(); ++i)
    EXPECT_EQ(machine.turns[i], i % 2 == 0 ? "host" : "openmpi");
  ASSERT_THAT(result.sizes, SizeIs(1));
  EXPECT_DOUBLE_EQ(*result.sizes[0].cells[0][0].time_us, 10);
  ASSERT_THAT(result.sizes[0].ratios, SizeIs(1));
  EXPECT_DOUBLE_EQ(result.sizes[0].ratios[0].times.median, 3);
  EXPECT_DOUBLE_EQ(result.sizes[0].ratios[0].times.low, 3);
  EXPECT_EQ(result.sizes_without_ratio(), 0);
}

TEST(MeasureTest, WarmupsAreMoreUntilTheyAreOfTheBytesAskedFor) {
  Machine machine;
  FakeContestant ours(machine, "host", "", 10);
  BenchOptions options = Small();
  options.sizes = {4, 4096, 3 << 20, 16 << 20};
  options.rounds = 5;
  options.warmups = 1;
  options.warmup_bytes = 4 << 20;

  EXPECT_THAT(MeasureOn(machine, options, {&ours}), IsOk());

  std::vector<uint32_t> expected;
  for (const uint32_t each : {4096, 1024, 2, 1}) expected.insert(expected.end(), 5, each);
  EXPECT_EQ(ours.warmups, expected);
}

TEST(MeasureTest, TheBestKnobsOfAPeerCount) {
  Machine machine;
  FakeContestant ours(machine, "host", "", 10);
  FakeContestant slow(machine, "openmpi", "openmpi", 50);
  FakeContestant best(machine, "openmpi ring", "openmpi", 20);
  FakeContestant other(machine, "mpich", "mpich", 40);

  ASSERT_OK_AND_ASSIGN(const BenchResult result,
                       MeasureOn(machine, Small(), {&ours, &slow, &best, &other}));

  ASSERT_THAT(result.sizes[0].ratios, SizeIs(2));
  EXPECT_EQ(result.sizes[0].ratios[0].peer, 2u);
  EXPECT_DOUBLE_EQ(result.sizes[0].ratios[0].times.median, 2);
  EXPECT_EQ(result.sizes[0].ratios[1].peer, 3u);
  const std::vector<RatioSummary> summaries = Summarize(result);
  ASSERT_THAT(summaries, SizeIs(2));
  EXPECT_EQ(summaries[0].peer, "openmpi");
  EXPECT_DOUBLE_EQ(summaries[0].mean, 2);
}

TEST(MeasureTest, DisturbedRoundsDoNotCount) {
  Machine machine;
  machine.busy = [](int number) { return number / 2 == 3 ? 0.5 : 0.0; };  // the fourth round
  FakeContestant ours(machine, "host", "", 10);
  FakeContestant theirs(machine, "openmpi", "openmpi", 30);
  BenchOptions options = Small();
  options.rounds = 6;

  ASSERT_OK_AND_ASSIGN(const BenchResult result, MeasureOn(machine, options, {&ours, &theirs}));

  EXPECT_EQ(result.sizes[0].counted_rounds, 5);
  EXPECT_FALSE(result.sizes[0].rounds[3].valid);
  EXPECT_THAT(result.sizes[0].ratios, SizeIs(1));
  EXPECT_THAT(result.sizes[0].cells[0][0].all_us, SizeIs(5 * 3));
}

TEST(MeasureTest, TooFewGoodRoundsMakeNoRatio) {
  Machine machine;
  machine.busy = [](int number) { return number == 0 ? 0.9 : 0.0; };
  FakeContestant ours(machine, "host", "", 10);
  FakeContestant theirs(machine, "openmpi", "openmpi", 30);

  ASSERT_OK_AND_ASSIGN(const BenchResult result, MeasureOn(machine, Small(), {&ours, &theirs}));

  EXPECT_EQ(result.sizes[0].counted_rounds, 4);
  EXPECT_THAT(result.sizes[0].ratios, IsEmpty());
  EXPECT_EQ(result.sizes_without_ratio(), 1);
  EXPECT_TRUE(result.sizes[0].cells[0][0].time_us.has_value()) << "times are shown all the same";
  EXPECT_FALSE(result.marked);
}

TEST(MeasureTest, AllowedPressureIsMarked) {
  Machine machine;
  machine.busy = [](int) { return 0.9; };
  FakeContestant ours(machine, "host", "", 10);
  FakeContestant theirs(machine, "openmpi", "openmpi", 30);
  BenchOptions options = Small();
  options.allow_pressure = true;

  ASSERT_OK_AND_ASSIGN(const BenchResult result, MeasureOn(machine, options, {&ours, &theirs}));

  EXPECT_THAT(result.sizes[0].ratios, SizeIs(1));
  EXPECT_TRUE(result.marked);
}

TEST(MeasureTest, UnjudgedRoundsAllCount) {
  Machine machine;
  machine.pressure.used = std::nullopt;
  machine.busy = [](int) { return 0.9; };
  FakeContestant ours(machine, "host", "", 10);
  FakeContestant theirs(machine, "openmpi", "openmpi", 30);

  ASSERT_OK_AND_ASSIGN(const BenchResult result, MeasureOn(machine, Small(), {&ours, &theirs}));

  EXPECT_THAT(result.sizes[0].ratios, SizeIs(1));
  EXPECT_FALSE(result.judges_pressure);
  EXPECT_FALSE(result.marked);
}

TEST(MeasureTest, AModeThatAPeerLacksIsLeftOut) {
  Machine machine;
  FakeContestant ours(machine, "host", "", 10);
  ours.has_in_place = true;
  FakeContestant theirs(machine, "openmpi", "openmpi", 30);

  ASSERT_OK_AND_ASSIGN(const BenchResult result, MeasureOn(machine, Small(), {&ours, &theirs}));

  EXPECT_TRUE(result.sizes[0].cells[0][1].time_us.has_value());
  EXPECT_FALSE(result.sizes[0].cells[1][1].supported);
  ASSERT_THAT(result.sizes[0].ratios, SizeIs(1));
  EXPECT_EQ(result.sizes[0].ratios[0].mode, BenchMode::kOutOfPlace);
}

TEST(MeasureTest, WhatDidNotRunIsToldWithItsReason) {
  Machine machine;
  FakeContestant ours(machine, "host", "", 10);
  ours.has_in_place = true;
  FakeContestant theirs(machine, "openmpi", "openmpi", 30);
  BenchOptions options = Small();
  options.sizes = {4096, 8192};

  ASSERT_OK_AND_ASSIGN(const BenchResult result, MeasureOn(machine, options, {&ours, &theirs}));

  EXPECT_EQ(result.checked(), 6);
  const std::vector<Refusal> refusals = RefusalsOf(result);
  ASSERT_THAT(refusals, SizeIs(1));
  EXPECT_EQ(refusals[0].contender, 1u);
  EXPECT_EQ(refusals[0].mode, BenchMode::kInPlace);
  EXPECT_EQ(refusals[0].why, "it has no place");
  EXPECT_EQ(refusals[0].sizes, 2);
}

TEST(MeasureTest, AModeThatAnOpHasNotIsNoRefusal) {
  Machine machine;
  FakeContestant ours(machine, "host", "", 10);
  BenchOptions options = Small();
  options.op = LOCKSTEP_BENCH_ALL_TO_ALL;
  options.reduction = collectives::Reduction::kNone;

  EXPECT_THAT(RefusalsOf(MeasureOn(machine, options, {&ours}).value()), IsEmpty());
}

TEST(MeasureTest, APingPongsSampleIsTwoMessages) {
  Machine machine;
  FakeContestant ours(machine, "host", "", 10);
  BenchOptions options = Small();
  options.op = LOCKSTEP_BENCH_PING_PONG;
  options.reduction = collectives::Reduction::kNone;

  ASSERT_OK_AND_ASSIGN(const BenchResult result, MeasureOn(machine, options, {&ours}));

  EXPECT_DOUBLE_EQ(*result.sizes[0].cells[0][0].time_us, 5);
  EXPECT_EQ(result.sizes_without_ratio(), 0) << "nobody to compare with";
}

TEST(MeasureTest, WrongElementsOfAllAreCounted) {
  Machine machine;
  FakeContestant ours(machine, "host", "", 10);
  FakeContestant theirs(machine, "openmpi", "openmpi", 30);
  theirs.wrong = 7;
  BenchOptions options = Small();

  EXPECT_EQ(MeasureOn(machine, options, {&ours, &theirs}).value().wrong(), 7u);
  options.check = false;
  EXPECT_EQ(MeasureOn(machine, options, {&ours, &theirs}).value().wrong(), 0u);
}

TEST(MeasureTest, WhatAGangSaysOfItsRanksEndsTheRun) {
  Machine machine;
  FakeContestant ours(machine, "host", "", 10);
  ours.error = "rank 1 ended in the middle of ";

  EXPECT_THAT(MeasureOn(machine, Small(), {&ours}),
              StatusIs(Code::kUnavailable,
                       HasSubstr("rank 1 ended in the middle of all_reduce of 4096 bytes")));
}

}  // namespace
}  // namespace lockstep::launcher
