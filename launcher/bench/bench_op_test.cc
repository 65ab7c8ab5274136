// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/bench_op.h"

#include <gtest/gtest.h>

namespace lockstep::launcher {
namespace {

using collectives::Dtype;

TEST(BenchOpTest, NamesLeadBackToTheirOps) {
  for (int op = LOCKSTEP_BENCH_ALL_REDUCE; op <= LOCKSTEP_BENCH_BATCH; ++op) {
    const auto one = static_cast<lockstep_bench_op>(op);
    EXPECT_EQ(FindBenchOp(BenchOpName(one)), one);
    EXPECT_NE(BenchOpNames().find(BenchOpName(one)), std::string::npos);
  }
  EXPECT_EQ(FindBenchOp("allreduce"), std::nullopt);
  EXPECT_EQ(FindDtype("bf16"), Dtype::kBf16);
  EXPECT_EQ(FindDtype("float"), std::nullopt);
  EXPECT_EQ(FindReduction("premul_sum"), collectives::Reduction::kPremultipliedSum);
  EXPECT_EQ(FindReduction("none"), std::nullopt);
}

TEST(BenchOpTest, SizesAreThoseOfTheLongerBuffer) {
  EXPECT_EQ(PartCount(LOCKSTEP_BENCH_ALL_REDUCE, Dtype::kF32, 4, 4096), 1024u);
  EXPECT_EQ(PartCount(LOCKSTEP_BENCH_ALL_GATHER, Dtype::kF32, 4, 4096), 256u);
  EXPECT_EQ(SizeOf(LOCKSTEP_BENCH_ALL_GATHER, Dtype::kF32, 4, 256), 4096u);
  EXPECT_EQ(PartCount(LOCKSTEP_BENCH_SCATTER, Dtype::kF32, 4, 4096), 256u);
  EXPECT_EQ(SizeOf(LOCKSTEP_BENCH_ALL_TO_ALL_V, Dtype::kF32, 4, 256), 4096u);
  EXPECT_EQ(PartCount(LOCKSTEP_BENCH_BATCH, Dtype::kF32, 4, 4096), 1024u);
  EXPECT_EQ(SizeOf(LOCKSTEP_BENCH_BROADCAST, Dtype::kF64, 4, 256), 2048u);
}

TEST(BenchOpTest, WhatDoesNotDivideIsRoundedDown) {
  EXPECT_EQ(PartCount(LOCKSTEP_BENCH_ALL_TO_ALL, Dtype::kF32, 3, 4096), 341u);
  EXPECT_EQ(SizeOf(LOCKSTEP_BENCH_ALL_TO_ALL, Dtype::kF32, 3, 341), 4092u);
  EXPECT_EQ(PartCount(LOCKSTEP_BENCH_REDUCE_SCATTER, Dtype::kF64, 2, 8), 0u);
}

TEST(BenchOpTest, BusFactorsAreThoseOfARing) {
  EXPECT_DOUBLE_EQ(BusFactor(LOCKSTEP_BENCH_ALL_REDUCE, 2), 1);
  EXPECT_DOUBLE_EQ(BusFactor(LOCKSTEP_BENCH_ALL_REDUCE, 4), 1.5);
  EXPECT_DOUBLE_EQ(BusFactor(LOCKSTEP_BENCH_REDUCE_SCATTER, 4), 0.75);
  EXPECT_DOUBLE_EQ(BusFactor(LOCKSTEP_BENCH_ALL_TO_ALL, 4), 0.75);
  EXPECT_DOUBLE_EQ(BusFactor(LOCKSTEP_BENCH_BROADCAST, 4), 1);
  EXPECT_DOUBLE_EQ(BusFactor(LOCKSTEP_BENCH_GATHER, 4), 0.75);
  EXPECT_DOUBLE_EQ(BusFactor(LOCKSTEP_BENCH_SCATTER, 4), 0.75);
  EXPECT_DOUBLE_EQ(BusFactor(LOCKSTEP_BENCH_REDUCE_SCATTER_V, 4), 0.75);
  EXPECT_DOUBLE_EQ(BusFactor(LOCKSTEP_BENCH_BATCH, 4), 1);
  EXPECT_EQ(MessagesPerSample(LOCKSTEP_BENCH_PING_PONG), 2);
  EXPECT_EQ(MessagesPerSample(LOCKSTEP_BENCH_BARRIER), 1);
}

}  // namespace
}  // namespace lockstep::launcher
