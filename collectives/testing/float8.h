// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_FLOAT8_H_
#define LOCKSTEP_COLLECTIVES_TESTING_FLOAT8_H_

#include <cstdint>

#include "collectives/types.h"

/// Numbers of 8 bits as GPUs have them, for tests: a sign, then 4 bits of exponent and 3 of
/// mantissa (f8e4m3: no infinity, one NaN), or 5 and 2 (f8e5m2: as a shortened f16). Pure
/// functions.
namespace lockstep::collectives::testing {

bool IsFloat8(Dtype dtype);
/// NaN for what no finite number is.
double LoadFloat8(Dtype dtype, uint8_t bits);
/// The nearest, of two equally near the even one; beyond the greatest number that.
uint8_t StoreFloat8(Dtype dtype, double value);

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_FLOAT8_H_
