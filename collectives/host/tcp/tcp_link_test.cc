// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_link.h"

#include <gtest/gtest.h>

namespace lockstep::collectives {
namespace {

TEST(TcpLinkTest, FiguresAreKeptToTheNearestPowerOfTwo) {
  const TcpLink link = TcpLink::Measured(18, 1100);

  EXPECT_EQ(link.latency_us(), 16);
  EXPECT_EQ(link.bytes_per_us(), 1024);
  EXPECT_EQ(TcpLink::FromCode(link.code()).latency_us(), 16);
  EXPECT_EQ(link.Describe(), "16 us and 1.02 GB/s");
}

TEST(TcpLinkTest, WhatIsBeyondTheScaleIsAtItsEnd) {
  EXPECT_EQ(TcpLink::Measured(0.01, 0.5).latency_us(), 1);
  EXPECT_EQ(TcpLink::Measured(0.01, 0.5).bytes_per_us(), 8);
  EXPECT_EQ(TcpLink::Measured(1e9, 1e9).latency_us(), 16384);
  EXPECT_EQ(TcpLink::Measured(1e9, 1e9).bytes_per_us(), 8 * 16384);
}

TEST(TcpLinkTest, OfSeveralTheSlowestCounts) {
  const TcpLink far = TcpLink::Measured(64, 4096), thin = TcpLink::Measured(2, 128);

  const TcpLink worse = far.Worse(thin);

  EXPECT_EQ(worse.latency_us(), 64);
  EXPECT_EQ(worse.bytes_per_us(), 128);
  EXPECT_EQ(thin.Worse(far).code(), worse.code());
  EXPECT_EQ(TcpLink().Worse(far).code(), far.code());
  EXPECT_FALSE(TcpLink().Worse(TcpLink()).measured());
}

TEST(TcpLinkTest, ACodeOfHalfAMeasurementIsNone) {
  EXPECT_FALSE(TcpLink::FromCode(0x50).measured());
  EXPECT_FALSE(TcpLink::FromCode(0x05).measured());
  EXPECT_EQ(TcpLink().Describe(), "32 us and 1.02 GB/s, assumed");
}

}  // namespace
}  // namespace lockstep::collectives
