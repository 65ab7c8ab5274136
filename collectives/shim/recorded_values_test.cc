// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/shim/recorded_values.h"

#include <gtest/gtest.h>

#include "collectives/types.h"

namespace lockstep::collectives {
namespace {

template <typename Enum>
int Value(Enum value) {
  return static_cast<int>(value);
}

TEST(RecordedValuesTest, TheyAreThoseOfTheCollectives) {
  EXPECT_EQ(Value(SHIM_NO_KIND), Value(OpKind::kNone));
  EXPECT_EQ(Value(SHIM_ALL_REDUCE), Value(OpKind::kAllReduce));
  EXPECT_EQ(Value(SHIM_REDUCE), Value(OpKind::kReduce));
  EXPECT_EQ(Value(SHIM_BROADCAST), Value(OpKind::kBroadcast));
  EXPECT_EQ(Value(SHIM_ALL_GATHER), Value(OpKind::kAllGather));
  EXPECT_EQ(Value(SHIM_ALL_GATHER_V), Value(OpKind::kAllGatherV));
  EXPECT_EQ(Value(SHIM_REDUCE_SCATTER), Value(OpKind::kReduceScatter));
  EXPECT_EQ(Value(SHIM_REDUCE_SCATTER_V), Value(OpKind::kReduceScatterV));
  EXPECT_EQ(Value(SHIM_ALL_TO_ALL), Value(OpKind::kAllToAll));
  EXPECT_EQ(Value(SHIM_ALL_TO_ALL_V), Value(OpKind::kAllToAllV));
  EXPECT_EQ(Value(SHIM_GATHER), Value(OpKind::kGather));
  EXPECT_EQ(Value(SHIM_SCATTER), Value(OpKind::kScatter));
  EXPECT_EQ(Value(SHIM_BARRIER), Value(OpKind::kBarrier));
  EXPECT_EQ(Value(SHIM_SEND_KIND), Value(OpKind::kSend));
  EXPECT_EQ(Value(SHIM_RECV_KIND), Value(OpKind::kRecv));
  EXPECT_EQ(Value(SHIM_INIT_KIND), Value(OpKind::kInit));
  EXPECT_EQ(Value(SHIM_SPLIT), Value(OpKind::kSplit));
  EXPECT_EQ(Value(SHIM_SHRINK), Value(OpKind::kShrink));

  EXPECT_EQ(Value(SHIM_BOOL), Value(Dtype::kBool));
  EXPECT_EQ(Value(SHIM_U8), Value(Dtype::kU8));
  EXPECT_EQ(Value(SHIM_I8), Value(Dtype::kI8));
  EXPECT_EQ(Value(SHIM_I16), Value(Dtype::kI16));
  EXPECT_EQ(Value(SHIM_I32), Value(Dtype::kI32));
  EXPECT_EQ(Value(SHIM_I64), Value(Dtype::kI64));
  EXPECT_EQ(Value(SHIM_U32), Value(Dtype::kU32));
  EXPECT_EQ(Value(SHIM_U64), Value(Dtype::kU64));
  EXPECT_EQ(Value(SHIM_F16), Value(Dtype::kF16));
  EXPECT_EQ(Value(SHIM_BF16), Value(Dtype::kBf16));
  EXPECT_EQ(Value(SHIM_F32), Value(Dtype::kF32));
  EXPECT_EQ(Value(SHIM_F64), Value(Dtype::kF64));
  EXPECT_EQ(Value(SHIM_F8_E4M3), Value(Dtype::kF8E4m3));
  EXPECT_EQ(Value(SHIM_F8_E5M2), Value(Dtype::kF8E5m2));

  EXPECT_EQ(Value(SHIM_NO_REDUCTION), Value(Reduction::kNone));
  EXPECT_EQ(Value(SHIM_SUM), Value(Reduction::kSum));
  EXPECT_EQ(Value(SHIM_PRODUCT), Value(Reduction::kProduct));
  EXPECT_EQ(Value(SHIM_MIN), Value(Reduction::kMin));
  EXPECT_EQ(Value(SHIM_MAX), Value(Reduction::kMax));
  EXPECT_EQ(Value(SHIM_AVERAGE), Value(Reduction::kAverage));
  EXPECT_EQ(Value(SHIM_PREMULTIPLIED_SUM), Value(Reduction::kPremultipliedSum));
  EXPECT_EQ(Value(SHIM_BIT_AND), Value(Reduction::kBitAnd));
  EXPECT_EQ(Value(SHIM_BIT_OR), Value(Reduction::kBitOr));
  EXPECT_EQ(Value(SHIM_BIT_XOR), Value(Reduction::kBitXor));
  EXPECT_GE(Value(SHIM_UNNAMED_REDUCTIONS), Value(kReductionLimit));
}

}  // namespace
}  // namespace lockstep::collectives
