// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/testing/float8.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lockstep::collectives::testing {
namespace {

TEST(Float8Test, BitsAreThoseOfTheFormats) {
  EXPECT_EQ(LoadFloat8(Dtype::kF8E4m3, 0x38), 1);
  EXPECT_EQ(LoadFloat8(Dtype::kF8E5m2, 0x3c), 1);
  EXPECT_EQ(LoadFloat8(Dtype::kF8E4m3, 0x7e), 448);
  EXPECT_EQ(LoadFloat8(Dtype::kF8E5m2, 0x7b), 57344);
  EXPECT_EQ(LoadFloat8(Dtype::kF8E4m3, 0x01), std::ldexp(1, -9));
  EXPECT_EQ(LoadFloat8(Dtype::kF8E5m2, 0x81), -std::ldexp(1, -16));
  EXPECT_TRUE(std::isnan(LoadFloat8(Dtype::kF8E4m3, 0x7f)));
  EXPECT_TRUE(std::isnan(LoadFloat8(Dtype::kF8E5m2, 0x7c)));
}

TEST(Float8Test, EveryNumberComesBack) {
  for (const Dtype dtype : {Dtype::kF8E4m3, Dtype::kF8E5m2}) {
    for (int bits = 0; bits < 256; ++bits) {
      const double value = LoadFloat8(dtype, static_cast<uint8_t>(bits));
      if (std::isnan(value) || bits == 0x80) continue;  // of two zeros one
      EXPECT_EQ(StoreFloat8(dtype, value), bits);
    }
  }
}

TEST(Float8Test, WhatLiesBetweenGoesToTheNearest) {
  EXPECT_EQ(LoadFloat8(Dtype::kF8E4m3, StoreFloat8(Dtype::kF8E4m3, 17)), 16);
  EXPECT_EQ(LoadFloat8(Dtype::kF8E4m3, StoreFloat8(Dtype::kF8E4m3, 19)), 20);
  EXPECT_EQ(LoadFloat8(Dtype::kF8E5m2, StoreFloat8(Dtype::kF8E5m2, 10.9)), 10);
  EXPECT_EQ(LoadFloat8(Dtype::kF8E5m2, StoreFloat8(Dtype::kF8E5m2, -11.1)), -12);
  EXPECT_EQ(LoadFloat8(Dtype::kF8E4m3, StoreFloat8(Dtype::kF8E4m3, 1e6)), 448);
}

}  // namespace
}  // namespace lockstep::collectives::testing
