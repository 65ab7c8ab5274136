// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/known_values.h"

#include <string.h>

#include "launcher/bench/bench_wire.h"

size_t lockstep_bench_dtype_bytes(uint32_t dtype) {
  switch (dtype) {
    case LOCKSTEP_BENCH_BOOL:
    case LOCKSTEP_BENCH_U8:
    case LOCKSTEP_BENCH_I8:
    case LOCKSTEP_BENCH_F8E4M3:
    case LOCKSTEP_BENCH_F8E5M2: return 1;
    case LOCKSTEP_BENCH_I16:
    case LOCKSTEP_BENCH_F16:
    case LOCKSTEP_BENCH_BF16: return 2;
    case LOCKSTEP_BENCH_I32:
    case LOCKSTEP_BENCH_U32:
    case LOCKSTEP_BENCH_F32: return 4;
    case LOCKSTEP_BENCH_I64:
    case LOCKSTEP_BENCH_U64:
    case LOCKSTEP_BENCH_F64: return 8;
    default: return 0;
  }
}

uint64_t lockstep_bench_part_of(const struct lockstep_bench_call* call, int part, int size) {
  if (part % 2 == 0 && part == size - 1) return call->count;
  const uint64_t less = call->count / 2;
  return part % 2 == 0 ? call->count - less : call->count + less;
}

uint64_t lockstep_bench_parts_before(const struct lockstep_bench_call* call, int part, int size) {
  uint64_t before = 0;
  for (int one = 0; one < part; ++one) before += lockstep_bench_part_of(call, one, size);
  return before;
}

uint64_t lockstep_bench_in_count(const struct lockstep_bench_call* call, int rank, int size) {
  switch (call->op) {
    case LOCKSTEP_BENCH_REDUCE_SCATTER:
    case LOCKSTEP_BENCH_REDUCE_SCATTER_V:
    case LOCKSTEP_BENCH_ALL_TO_ALL:
    case LOCKSTEP_BENCH_ALL_TO_ALL_V: return call->count * (uint64_t)size;
    case LOCKSTEP_BENCH_SCATTER: return rank == call->root ? call->count * (uint64_t)size : 0;
    case LOCKSTEP_BENCH_ALL_GATHER_V: return lockstep_bench_part_of(call, rank, size);
    case LOCKSTEP_BENCH_BROADCAST: return rank == call->root ? call->count : 0;
    case LOCKSTEP_BENCH_PING_PONG: return rank < 2 ? call->count : 0;
    case LOCKSTEP_BENCH_BARRIER: return 0;
    default: return call->count;
  }
}

uint64_t lockstep_bench_out_count(const struct lockstep_bench_call* call, int rank, int size) {
  switch (call->op) {
    case LOCKSTEP_BENCH_ALL_GATHER:
    case LOCKSTEP_BENCH_ALL_GATHER_V:
    case LOCKSTEP_BENCH_ALL_TO_ALL:
    case LOCKSTEP_BENCH_ALL_TO_ALL_V: return call->count * (uint64_t)size;
    case LOCKSTEP_BENCH_GATHER: return rank == call->root ? call->count * (uint64_t)size : 0;
    case LOCKSTEP_BENCH_REDUCE_SCATTER_V: return lockstep_bench_part_of(call, rank, size);
    case LOCKSTEP_BENCH_REDUCE: return rank == call->root ? call->count : 0;
    case LOCKSTEP_BENCH_PING_PONG: return rank < 2 ? call->count : 0;
    case LOCKSTEP_BENCH_BARRIER: return 0;
    default: return call->count;
  }
}

/* The finalizer of splitmix64, so that neighbours, ranks and parts all differ. */
static uint64_t mixed(int rank, uint64_t index) {
  uint64_t z = (index + 1) * 0x9e3779b97f4a7c15u + (uint64_t)rank * 0xd1342543de82ef95u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* An f32 that holds a small whole number exactly, as its bits. */
static uint32_t float_bits(int64_t value) {
  const float real = (float)value;
  uint32_t bits;
  memcpy(&bits, &real, sizeof bits);
  return bits;
}

/* Of 0 to 2048, exactly. */
static uint16_t half_bits(int64_t value) {
  if (value == 0) return 0;
  const uint32_t bits = float_bits(value);
  return (uint16_t)(((bits >> 23) - 127 + 15) << 10 | ((bits >> 13) & 0x3ff));
}

static int is_f8(uint32_t dtype) {
  return dtype == LOCKSTEP_BENCH_F8E4M3 || dtype == LOCKSTEP_BENCH_F8E5M2;
}

/* Of f8e4m3 0 to 16, of f8e5m2 0 to 8, and powers of two up to 256, exactly. */
static uint8_t eighth_bits(uint32_t dtype, int64_t value) {
  if (value == 0) return 0;
  const uint32_t bits = float_bits(value);
  if (dtype == LOCKSTEP_BENCH_F8E4M3)
    return (uint8_t)(((bits >> 23) - 127 + 7) << 3 | ((bits >> 20) & 7));
  return (uint8_t)(((bits >> 23) - 127 + 15) << 2 | ((bits >> 21) & 3));
}

/* `value` modulo what the dtype holds, as it lies in memory. */
static void store(uint32_t dtype, int64_t value, void* to) {
  const double wide = (double)value;
  const uint32_t single = float_bits(value);
  const uint8_t eighth = eighth_bits(dtype, value);
  const uint16_t half = dtype == LOCKSTEP_BENCH_BF16 ? (uint16_t)(single >> 16) : half_bits(value);
  switch (dtype) {
    case LOCKSTEP_BENCH_F64: memcpy(to, &wide, sizeof wide); return;
    case LOCKSTEP_BENCH_F32: memcpy(to, &single, sizeof single); return;
    case LOCKSTEP_BENCH_F16:
    case LOCKSTEP_BENCH_BF16: memcpy(to, &half, sizeof half); return;
    case LOCKSTEP_BENCH_F8E4M3:
    case LOCKSTEP_BENCH_F8E5M2: memcpy(to, &eighth, sizeof eighth); return;
    default: memcpy(to, &value, lockstep_bench_dtype_bytes(dtype)); return; /* little-endian */
  }
}

/* In numbers of 8 bits few sums are exact: of 64 ranks four add a one to an element, others to the
 * next, and what is compared is below 2^3. */
static int64_t small_contribution(const struct lockstep_bench_call* call, int rank,
                                  uint64_t index) {
  switch (call->reduction) {
    case LOCKSTEP_BENCH_MIN:
    case LOCKSTEP_BENCH_MAX: return (int64_t)(mixed(rank, index) & 7);
    default: return ((uint64_t)rank + index) % 16 == 0;
  }
}

/* Of two neighbours one lies as far above the average as the other below it; who has none is at it.
 * So there is no remainder, and what one rank has is not yet the result. */
static int64_t averaged_contribution(int rank, int size, uint64_t index) {
  const int64_t average = (int64_t)(mixed(0, index) & 1);
  const uint64_t pair = mixed(rank / 2, index) >> 1;
  if (average == 0 || (rank ^ 1) >= size || (pair & 1) == 0) return average;
  return (pair >> 1 & 1) == (uint64_t)(rank & 1) ? average + 1 : average - 1;
}

/* What `rank` contributes to element `index` of a reduction. Sums of up to 64 ranks stay below
 * 2^7, which even bf16 and i8 hold. */
static int64_t contribution(const struct lockstep_bench_call* call, int rank, int size,
                            uint64_t index) {
  const uint64_t bits = mixed(rank, index);
  if (call->dtype == LOCKSTEP_BENCH_BOOL) return (int64_t)(bits & 1);
  if (is_f8(call->dtype) && call->reduction != LOCKSTEP_BENCH_PROD &&
      call->reduction != LOCKSTEP_BENCH_AVG)
    return small_contribution(call, rank, index);
  switch (call->reduction) {
    case LOCKSTEP_BENCH_PROD: return rank < 6 ? 1 + (int64_t)(bits & 1) : 1;
    case LOCKSTEP_BENCH_AVG: return averaged_contribution(rank, size, index);
    case LOCKSTEP_BENCH_MIN:
    case LOCKSTEP_BENCH_MAX:
    case LOCKSTEP_BENCH_BAND:
    case LOCKSTEP_BENCH_BOR:
    case LOCKSTEP_BENCH_BXOR: return (int64_t)(bits & 0x7f);
    default: return (int64_t)(bits & 1);
  }
}

static int64_t combined(const struct lockstep_bench_call* call, int64_t a, int64_t b) {
  const int is_bool = call->dtype == LOCKSTEP_BENCH_BOOL;
  switch (call->reduction) {
    case LOCKSTEP_BENCH_PROD: return a * b;
    case LOCKSTEP_BENCH_MIN: return a < b ? a : b;
    case LOCKSTEP_BENCH_MAX: return a > b ? a : b;
    case LOCKSTEP_BENCH_BAND: return a & b;
    case LOCKSTEP_BENCH_BOR: return a | b;
    case LOCKSTEP_BENCH_BXOR: return a ^ b;
    default: return is_bool ? a | b : a + b;
  }
}

static int64_t reduced(const struct lockstep_bench_call* call, int size, uint64_t index) {
  int64_t value = contribution(call, 0, size, index);
  for (int rank = 1; rank < size; ++rank)
    value = combined(call, value, contribution(call, rank, size, index));
  if (call->reduction == LOCKSTEP_BENCH_AVG) value /= size;
  if (call->reduction == LOCKSTEP_BENCH_PREMUL_SUM) value *= (int64_t)LOCKSTEP_BENCH_PREMUL_SCALE;
  return value;
}

/* Elements of ops that only move are any bytes: those that `rank` has at `index`. */
static void moved(uint32_t dtype, int rank, uint64_t index, void* to) {
  const uint64_t bits = mixed(rank, index);
  memcpy(to, &bits, lockstep_bench_dtype_bytes(dtype));
}

void lockstep_bench_fill(const struct lockstep_bench_call* call, int rank, int size) {
  const size_t bytes = lockstep_bench_dtype_bytes(call->dtype);
  const uint64_t count = lockstep_bench_in_count(call, rank, size);
  char* to = call->in;
  for (uint64_t i = 0; i < count; ++i, to += bytes) {
    if (call->reduction == LOCKSTEP_BENCH_NONE) {
      moved(call->dtype, rank, i, to);
    } else {
      store(call->dtype, contribution(call, rank, size, i), to);
    }
  }
}

/* Element `i` of the output of an op whose parts differ. */
static void expected_of_uneven(const struct lockstep_bench_call* call, int rank, int size,
                               uint64_t i, void* to) {
  const int exchanged = call->op == LOCKSTEP_BENCH_ALL_TO_ALL_V;
  int from = 0;
  for (;; ++from) { /* whose part it is in; `i` is then the place in that */
    const uint64_t part =
        lockstep_bench_part_of(call, exchanged ? (from + rank) % size : from, size);
    if (i < part) break;
    i -= part;
  }
  for (int other = 0; exchanged && other < rank; ++other)
    i += lockstep_bench_part_of(call, (from + other) % size, size);
  moved(call->dtype, from, i, to);
}

/* The bytes of element `i` of the output of `rank`. */
static void expected(const struct lockstep_bench_call* call, int rank, int size, uint64_t i,
                     void* to) {
  const uint64_t part = call->count == 0 ? 0 : i / call->count;
  switch (call->op) {
    case LOCKSTEP_BENCH_ALL_REDUCE:
    case LOCKSTEP_BENCH_REDUCE: store(call->dtype, reduced(call, size, i), to); return;
    case LOCKSTEP_BENCH_REDUCE_SCATTER:
      store(call->dtype, reduced(call, size, (uint64_t)rank * call->count + i), to);
      return;
    case LOCKSTEP_BENCH_REDUCE_SCATTER_V:
      store(call->dtype, reduced(call, size, lockstep_bench_parts_before(call, rank, size) + i),
            to);
      return;
    case LOCKSTEP_BENCH_BROADCAST: moved(call->dtype, call->root, i, to); return;
    case LOCKSTEP_BENCH_SCATTER:
      moved(call->dtype, call->root, (uint64_t)rank * call->count + i, to);
      return;
    case LOCKSTEP_BENCH_ALL_GATHER_V:
    case LOCKSTEP_BENCH_ALL_TO_ALL_V: expected_of_uneven(call, rank, size, i, to); return;
    case LOCKSTEP_BENCH_BATCH: moved(call->dtype, (rank + size - 1) % size, i, to); return;
    case LOCKSTEP_BENCH_GATHER:
    case LOCKSTEP_BENCH_ALL_GATHER: moved(call->dtype, (int)part, i % call->count, to); return;
    case LOCKSTEP_BENCH_ALL_TO_ALL:
      moved(call->dtype, (int)part, (uint64_t)rank * call->count + i % call->count, to);
      return;
    default: moved(call->dtype, 1 - rank, i, to); return; /* PING_PONG */
  }
}

uint64_t lockstep_bench_count_wrong(const struct lockstep_bench_call* call, int rank, int size) {
  const size_t bytes = lockstep_bench_dtype_bytes(call->dtype);
  const uint64_t count = lockstep_bench_out_count(call, rank, size);
  const char* at = call->out;
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < count; ++i, at += bytes) {
    char right[8];
    expected(call, rank, size, i, right);
    if (memcmp(at, right, bytes) != 0) ++wrong;
  }
  return wrong;
}

uint64_t lockstep_bench_word_of_ones(uint32_t dtype) {
  const size_t bytes = lockstep_bench_dtype_bytes(dtype);
  uint64_t word = 0;
  for (size_t at = 0; bytes != 0 && at < sizeof word; at += bytes) {
    store(dtype, 1, (char*)&word + at);
  }
  return word;
}
