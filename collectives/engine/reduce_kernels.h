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
/// Integers wrap around; kAverage divides the sum, as it has wrapped, by source_count (integers
/// truncate towards zero). A NaN of any source comes out as a NaN, of kMin and kMax too. f16 and
/// bf16 are combined in f32 and rounded once, to nearest even; every NaN of theirs comes out as
/// one. Of bools sum and max are `or`, product and min are `and`.
using ReduceKernel = void (*)(std::byte* out, const std::byte* const* in, const double* scales,
                              int source_count, size_t count);

/// The same result to each of `out`, which do not overlap one another; each may be one of `in`.
/// `past_caches`: for outputs that no cache would hold until somebody reads them. They are written
/// past the caches, where they are aligned to cache lines, and others may be told of them at once.
using ReduceToAllKernel = void (*)(std::byte* const* out, int out_count, bool past_caches,
                                   const std::byte* const* in, const double* scales,
                                   int source_count, size_t count);

struct ReduceKernels {
  ReduceKernel to_one = nullptr;
  ReduceToAllKernel to_all = nullptr;
};

/// Those for this processor. Null where there are none: f8; bit operations on floats; average and
/// premultiplied sum of bools.
ReduceKernels FindReduceKernels(Dtype dtype, Reduction reduction);
inline ReduceKernel FindReduceKernel(Dtype dtype, Reduction reduction) {
  return FindReduceKernels(dtype, reduction).to_one;
}

/// Whether combining in several steps rounds at each of them: f16 and bf16, but for minima and
/// maxima. One call of a kernel with all inputs of an element rounds once, and its average is
/// finite where its sum is not.
inline bool RoundsEachStep(Dtype dtype, Reduction reduction) {
  return (dtype == Dtype::kF16 || dtype == Dtype::kBf16) && reduction != Reduction::kNone &&
         reduction != Reduction::kMin && reduction != Reduction::kMax;
}

/// data[i] = data[i] / divisor, as kAverage ends a sum: for those who add up in several steps.
using DivideKernel = void (*)(std::byte* data, int divisor, size_t count);

/// Null where there is no kAverage.
DivideKernel FindDivideKernel(Dtype dtype);

/// The kernels of one instruction set; all give the same bits.
struct KernelVariant {
  const char* name;
  ReduceKernels (*find)(Dtype dtype, Reduction reduction);
  DivideKernel (*find_divide)(Dtype dtype);
};
/// Those that this processor can run, the best last.
std::vector<KernelVariant> KernelVariants();

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_REDUCE_KERNELS_H_
