// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/floor_ops.h"

#include <gmock/gmock.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "collectives/host/shm/local_segments.h"
#include "launcher/bench/bench_wire.h"
#include "launcher/bench/ranks/floor_pair.h"
#include "launcher/bench/ranks/known_values.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int kRanks = FloorPair::kRanks;
constexpr size_t kBufferBytes = size_t{512} << 10;
constexpr std::byte kGuard{0xdb};

/// What a rank made of a call.
struct Outcome {
  int code = LOCKSTEP_BENCH_FAILED;
  uint64_t wrong = 0;
  bool wrote_beyond = false;
  std::string error;
};

/// Two ranks, which are threads, between memory that both have mapped or of malloc.
class Ranks {
 public:
  Ranks(const std::string& way, bool shared, bool leaves_to_reader = false,
        size_t buffer_bytes = kBufferBytes)
      : buffer_bytes_(buffer_bytes) {
    Together([&](size_t rank) {
      pairs_[rank] = FloorPair::Create(segments_, static_cast<int>(rank)).value();
      FloorWay floor = FindFloorWay(way).value();
      floor.leaves_to_reader = leaves_to_reader;
      ops_[rank] = std::make_unique<FloorOps>(*pairs_[rank], floor);
      if (shared) {
        memory_[rank] = pairs_[rank]->Share(2 * buffer_bytes_).value();
        return;
      }
      own_[rank].resize(2 * buffer_bytes_);
      memory_[rank] = own_[rank].data();
    });
  }

  std::array<Outcome, kRanks> Run(const lockstep_bench_call& asked) {
    std::array<Outcome, kRanks> outcomes;
    Together([&](size_t rank) { outcomes[rank] = RunOne(asked, rank); });
    return outcomes;
  }

 private:
  template <class Body>
  static void Together(const Body& body) {
    std::thread other([&] { body(1); });
    body(0);
    other.join();
  }

  Outcome RunOne(lockstep_bench_call call, size_t index) {
    const int rank = static_cast<int>(index);
    std::byte* const out = memory_[index] + buffer_bytes_;
    const size_t unit = lockstep_bench_dtype_bytes(call.dtype);
    call.in = memory_[index];
    call.out = out;
    if (call.op == LOCKSTEP_BENCH_BROADCAST || call.in_place != 0) call.in = out;
    const size_t part = call.count * unit * index;
    if (call.in_place != 0 && call.op == LOCKSTEP_BENCH_ALL_GATHER) call.in = out + part;
    if (call.in_place != 0 && call.op == LOCKSTEP_BENCH_REDUCE_SCATTER) call.out = out + part;
    const size_t bytes = lockstep_bench_out_count(&call, rank, kRanks) * unit;
    std::fill_n(out, buffer_bytes_, kGuard);
    lockstep_bench_fill(&call, rank, kRanks);
    // The harness's own barrier: nobody begins before the other's values are there.
    (void)pairs_[index]->Exchange(out, 0);
    Outcome outcome;
    char error[LOCKSTEP_BENCH_ERROR_BYTES] = {};
    outcome.code = ops_[index]->Run(call, error);
    outcome.error = error;
    (void)pairs_[index]->Exchange(out, 0);
    outcome.wrong = lockstep_bench_count_wrong(&call, rank, kRanks);
    const bool ends_there = call.in_place == 0 || call.op != LOCKSTEP_BENCH_REDUCE_SCATTER;
    outcome.wrote_beyond = ends_there && out[bytes] != kGuard;
    return outcome;
  }

  const size_t buffer_bytes_;  // of the input; the output is behind it
  collectives::LocalSegments segments_;
  std::array<std::unique_ptr<FloorPair>, kRanks> pairs_;
  std::array<std::unique_ptr<FloorOps>, kRanks> ops_;
  std::array<std::vector<std::byte>, kRanks> own_;
  std::array<std::byte*, kRanks> memory_{};
};

lockstep_bench_call CallOf(uint32_t op, uint64_t count, bool in_place = false) {
  const bool reduces = op == LOCKSTEP_BENCH_ALL_REDUCE || op == LOCKSTEP_BENCH_REDUCE_SCATTER;
  return {.op = op,
          .dtype = LOCKSTEP_BENCH_F64,
          .reduction = reduces ? LOCKSTEP_BENCH_SUM : LOCKSTEP_BENCH_NONE,
          .in_place = in_place ? 1u : 0u,
          .count = count};
}

void ExpectRight(Ranks& ranks, const lockstep_bench_call& call, const std::string& what) {
  for (const Outcome& outcome : ranks.Run(call)) {
    EXPECT_EQ(outcome.code, LOCKSTEP_BENCH_OK) << what << ": " << outcome.error;
    EXPECT_EQ(outcome.wrong, 0u) << what << " of " << call.count;
    EXPECT_FALSE(outcome.wrote_beyond) << what << " of " << call.count;
  }
}

struct Case {
  uint32_t op;
  bool shared;
  std::string way;
};

class FloorOpsTest : public ::testing::TestWithParam<Case> {};

// One after the other, so that counters, lines and stages that have been used are used again.
TEST_P(FloorOpsTest, EveryElementIsRight) {
  const Case& one = GetParam();
  Ranks ranks(one.way, one.shared, true);
  for (const uint64_t count : {7u, 16u, 513u, 8192u, 8193u, 20'001u}) {
    if (one.shared && one.way == "whole" && count > 8192) continue;
    ExpectRight(ranks, CallOf(one.op, count), one.way);
    const bool has_in_place =
        one.op != LOCKSTEP_BENCH_BROADCAST && one.op != LOCKSTEP_BENCH_ALL_TO_ALL;
    if (has_in_place) ExpectRight(ranks, CallOf(one.op, count, true), one.way + " in place");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Of, FloorOpsTest,
    ::testing::Values(Case{LOCKSTEP_BENCH_ALL_REDUCE, true, "halves"},
                      Case{LOCKSTEP_BENCH_ALL_REDUCE, true, "halves-past-caches"},
                      Case{LOCKSTEP_BENCH_ALL_REDUCE, true, "whole"},
                      Case{LOCKSTEP_BENCH_ALL_REDUCE, false, "whole"},
                      Case{LOCKSTEP_BENCH_ALL_REDUCE, false, "whole-past-caches"},
                      Case{LOCKSTEP_BENCH_ALL_REDUCE, false, "slices"},
                      Case{LOCKSTEP_BENCH_ALL_REDUCE, false, "slices-past-caches"},
                      Case{LOCKSTEP_BENCH_ALL_REDUCE, false, "attached"},
                      Case{LOCKSTEP_BENCH_REDUCE_SCATTER, true, "pull"},
                      Case{LOCKSTEP_BENCH_REDUCE_SCATTER, true, "pull-past-caches"},
                      Case{LOCKSTEP_BENCH_ALL_GATHER, true, "pull"},
                      Case{LOCKSTEP_BENCH_ALL_GATHER, true, "pull-past-caches"},
                      Case{LOCKSTEP_BENCH_ALL_GATHER, true, "push"},
                      Case{LOCKSTEP_BENCH_ALL_GATHER, true, "push-past-caches"},
                      Case{LOCKSTEP_BENCH_ALL_TO_ALL, true, "pull"},
                      Case{LOCKSTEP_BENCH_ALL_TO_ALL, true, "pull-past-caches"},
                      Case{LOCKSTEP_BENCH_ALL_TO_ALL, true, "push"},
                      Case{LOCKSTEP_BENCH_ALL_TO_ALL, true, "push-past-caches"},
                      Case{LOCKSTEP_BENCH_BROADCAST, true, "pull"},
                      Case{LOCKSTEP_BENCH_BROADCAST, true, "pull-past-caches"},
                      Case{LOCKSTEP_BENCH_BROADCAST, true, "push"},
                      Case{LOCKSTEP_BENCH_BROADCAST, true, "push-past-caches"},
                      Case{LOCKSTEP_BENCH_BROADCAST, true, "halves"},
                      Case{LOCKSTEP_BENCH_BROADCAST, true, "halves-past-caches"}));

// More than the stages hold, in windows of which the last is shorter.
TEST(FloorOpsOfStagesTest, StagesAreUsedAgainFromTheirBegin) {
  for (const char* const way : {"whole", "slices"}) {
    Ranks ranks(way, false);
    const lockstep_bench_call call = CallOf(LOCKSTEP_BENCH_ALL_REDUCE, 50'000);
    const int times = static_cast<int>(2 * FloorPair::kStageBytes / (50'000 * sizeof(double)));
    for (int time = 0; time <= times; ++time) ExpectRight(ranks, call, way);
  }
}

TEST(FloorOpsOfALineTest, FewBytesGoInALineByOneWayOfEachKind) {
  for (const bool shared : {true, false}) {
    Ranks ranks(shared ? "halves" : "whole", shared);
    for (const uint64_t count : {1u, 2u, 6u, 1u}) {
      for (int time = 0; time < 3; ++time)
        ExpectRight(ranks, CallOf(LOCKSTEP_BENCH_ALL_REDUCE, count), "in a line");
      ExpectRight(ranks, CallOf(LOCKSTEP_BENCH_ALL_REDUCE, count, true), "in a line, in place");
    }
    Ranks again(shared ? "whole" : "slices", shared);
    for (const Outcome& outcome : again.Run(CallOf(LOCKSTEP_BENCH_ALL_REDUCE, 2))) {
      EXPECT_EQ(outcome.code, LOCKSTEP_BENCH_UNSUPPORTED);
      EXPECT_THAT(outcome.error, HasSubstr("go in a line, by any way"));
    }
  }
}

TEST(FloorOpsOfALineTest, OtherTypesAndReductionsAreRightAndThoseWithoutAKernelAreRefused) {
  Ranks ranks("halves", true);
  lockstep_bench_call call = CallOf(LOCKSTEP_BENCH_ALL_REDUCE, 5000);
  call.dtype = LOCKSTEP_BENCH_BF16;
  call.reduction = LOCKSTEP_BENCH_PREMUL_SUM;
  ExpectRight(ranks, call, "bf16, premultiplied");
  call.dtype = LOCKSTEP_BENCH_F8E4M3;
  EXPECT_EQ(ranks.Run(call)[1].code, LOCKSTEP_BENCH_UNSUPPORTED);
}

TEST(FloorOpsRefusalTest, WhatAWayHasNotIsRefusedOnBoth) {
  Ranks ranks("slices", false);
  for (const auto& outcome : ranks.Run(CallOf(LOCKSTEP_BENCH_ALL_TO_ALL, 100))) {
    EXPECT_EQ(outcome.code, LOCKSTEP_BENCH_UNSUPPORTED);
    EXPECT_EQ(outcome.error, "this way has no such op");
  }
  Ranks apart("halves", false);
  EXPECT_THAT(apart.Run(CallOf(LOCKSTEP_BENCH_ALL_REDUCE, 100))[0].error,
              HasSubstr("buffers that both map"));
}

TEST(FloorOpsRefusalTest, NoFloorIsPushedThatOnlyItsReaderPaysFor) {
  Ranks ranks("push", true, false, FloorOps::kPushedBytesMin + FloorPair::kLineBytes);
  for (const uint32_t op :
       {LOCKSTEP_BENCH_ALL_GATHER, LOCKSTEP_BENCH_ALL_TO_ALL, LOCKSTEP_BENCH_BROADCAST}) {
    for (const Outcome& outcome : ranks.Run(CallOf(op, 1000))) {
      EXPECT_EQ(outcome.code, LOCKSTEP_BENCH_UNSUPPORTED);
      EXPECT_THAT(outcome.error, HasSubstr("left to who reads the output"));
    }
  }
  constexpr size_t kPart = FloorOps::kPushedBytesMin / kRanks / sizeof(double);
  EXPECT_EQ(ranks.Run(CallOf(LOCKSTEP_BENCH_ALL_GATHER, kPart - 1))[0].code,
            LOCKSTEP_BENCH_UNSUPPORTED);
  ExpectRight(ranks, CallOf(LOCKSTEP_BENCH_ALL_GATHER, kPart), "push");
}

TEST(FloorOpsRefusalTest, ItIsOfTwoRanks) {
  collectives::LocalSegments segments;
  EXPECT_THAT(FloorPair::Create(segments, 2), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(FloorPair::Create(segments, -1), StatusIs(Code::kInvalidArgument));
}

TEST(FloorWayTest, WaysAreNamed) {
  EXPECT_EQ(FindFloorWay("push")->move, FloorMove::kPush);
  EXPECT_FALSE(FindFloorWay("push")->past_caches);
  EXPECT_EQ(FindFloorWay("slices-past-caches")->move, FloorMove::kSlices);
  EXPECT_TRUE(FindFloorWay("slices-past-caches")->past_caches);
  for (const char* const name : {"", "past-caches", "-past-caches", "pulls", "pull-past"})
    EXPECT_FALSE(FindFloorWay(name)) << name;
}

}  // namespace
}  // namespace lockstep::launcher
