// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_REDUCE_KERNELS_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_REDUCE_KERNELS_H_

#include <cstddef>
#include <vector>

#include "collectives/types.h"

namespace lockstep::collectives {

/// out[i] = ((in[0][i] op in[1][i]) op in[2][i]) ..., always in this order, so that every rank and
/// every run gets the same bits. Pointers need no alignment; `out` may be one of `in`, but may not
/// overlap any of them otherwise. `scales`, by source, are read for kPremultipliedSum alone; the
/// products with integers saturate.
///
/// Integers wrap around; kAverage divides the sum by source_count (integers truncate towards zero);
/// kMin and kMax of a NaN keep the earlier source's value. f16 and bf16 are combined in f32 and
/// rounded once, to nearest even; every NaN of theirs comes out as one. Of bools sum and max are `or`, product and min are `and`.
using ReduceKernel = void (*)(std::byte* out, const std::byte* const* in, const double* scales,
                              int source_count, size_t count);

/// The one for this processor. Null where there is none: f8; bit operations on floats; average and
/// premultiplied sum of bools.
ReduceKernel FindReduceKernel(Dtype dtype, Reduction reduction);

/// data[i] = data[i] / divisor, as kAverage ends a sum: for those who add up in several steps.
using DivideKernel = void (*)(std::byte* data, int divisor, size_t count);

/// Null where there is no kAverage.
DivideKernel FindDivideKernel(Dtype dtype);

/// The kernels of one instruction set; all give the same bits.
struct KernelVariant {
  const char* name;
  ReduceKernel (*find)(Dtype dtype, Reduction reduction);
  DivideKernel (*find_divide)(Dtype dtype);
};
/// Those that this processor can run, the best last.
std::vector<KernelVariant> KernelVariants();

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_REDUCE_KERNELS_H_
