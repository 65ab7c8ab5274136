// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_SHIM_RECORDED_VALUES_H_
#define LOCKSTEP_COLLECTIVES_SHIM_RECORDED_VALUES_H_
/* What records say of an op, as in collectives/types.h, which is C++. */

enum shim_kind {
  SHIM_NO_KIND = 0, /* the format has none for it: the tag names the function */
  SHIM_ALL_REDUCE = 1,
  SHIM_REDUCE = 2,
  SHIM_BROADCAST = 3,
  SHIM_ALL_GATHER = 4,
  SHIM_ALL_GATHER_V = 5,
  SHIM_REDUCE_SCATTER = 6,
  SHIM_REDUCE_SCATTER_V = 7,
  SHIM_ALL_TO_ALL = 8,
  SHIM_ALL_TO_ALL_V = 9,
  SHIM_GATHER = 10,
  SHIM_SCATTER = 11,
  SHIM_BARRIER = 12,
  SHIM_SEND_KIND = 13,
  SHIM_RECV_KIND = 14,
  SHIM_INIT_KIND = 16,
  SHIM_SPLIT = 17,
  SHIM_SHRINK = 18
};

enum shim_dtype {
  SHIM_NO_DTYPE = 0,
  SHIM_BOOL = 1,
  SHIM_U8 = 2,
  SHIM_I8 = 3,
  SHIM_I16 = 4,
  SHIM_I32 = 5,
  SHIM_I64 = 6,
  SHIM_U32 = 7,
  SHIM_U64 = 8,
  SHIM_F16 = 9,
  SHIM_BF16 = 10,
  SHIM_F32 = 11,
  SHIM_F64 = 12,
  SHIM_F8_E4M3 = 13,
  SHIM_F8_E5M2 = 14
};

enum shim_reduction {
  SHIM_NO_REDUCTION = 0,
  SHIM_SUM = 1,
  SHIM_PRODUCT = 2,
  SHIM_MIN = 3,
  SHIM_MAX = 4,
  SHIM_AVERAGE = 5,
  SHIM_PREMULTIPLIED_SUM = 6,
  SHIM_BIT_AND = 7,
  SHIM_BIT_OR = 8,
  SHIM_BIT_XOR = 9,
  /* From here on told apart in fingerprints alone. */
  SHIM_UNNAMED_REDUCTIONS = 16,
  SHIM_OF_THE_PROGRAM = 255
};

#endif /* LOCKSTEP_COLLECTIVES_SHIM_RECORDED_VALUES_H_ */
