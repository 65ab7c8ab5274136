// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_GRADIENT_HALF_PRECISION_H_
#define LOCKSTEP_COLLECTIVES_GRADIENT_HALF_PRECISION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "collectives/types.h"

namespace lockstep::collectives {

/// out[i] = values[i] * scale, rounded once, to nearest even. With `residual` (error feedback) what
/// the rounding lost at i the last time is added before, and what it loses now replaces it: over
/// many calls nothing is lost, only late. A value beyond what f16 can hold becomes infinite, and
/// leaves no residual, as do infinities and NaN. `to` is kF16 or kBf16. The three do not overlap.
void Compress(Dtype to, const float* values, float scale, float* residual, uint16_t* out,
              size_t count);

/// out[i] = values[i], exactly.
void Decompress(Dtype from, const uint16_t* values, float* out, size_t count);

/// The loops of one instruction set; all give the same bits.
struct ConversionVariant {
  const char* name;
  void (*compress)(Dtype to, const float* values, float scale, float* residual, uint16_t* out,
                   size_t count);
  void (*decompress)(Dtype from, const uint16_t* values, float* out, size_t count);
};
/// Those that this processor can run, the best last, which the functions above take.
std::vector<ConversionVariant> ConversionVariants();

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_GRADIENT_HALF_PRECISION_H_
