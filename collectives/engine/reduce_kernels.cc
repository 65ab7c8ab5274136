// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/reduce_kernels.h"

namespace lockstep::collectives {

// Of the variants (reduce_kernels_impl.h).
namespace kernels_generic {
ReduceKernels Find(Dtype dtype, Reduction reduction);
DivideKernel FindDivide(Dtype dtype);
}  // namespace kernels_generic
namespace kernels_avx2 {
ReduceKernels Find(Dtype dtype, Reduction reduction);
DivideKernel FindDivide(Dtype dtype);
}  // namespace kernels_avx2
namespace kernels_avx512 {
ReduceKernels Find(Dtype dtype, Reduction reduction);
DivideKernel FindDivide(Dtype dtype);
}  // namespace kernels_avx512

std::vector<KernelVariant> KernelVariants() {
  std::vector<KernelVariant> variants = {
      {"generic", &kernels_generic::Find, &kernels_generic::FindDivide}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2"))
    variants.push_back({"avx2", &kernels_avx2::Find, &kernels_avx2::FindDivide});
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    variants.push_back({"avx512", &kernels_avx512::Find, &kernels_avx512::FindDivide});
  }
#endif
  return variants;
}

namespace {

const KernelVariant& Best() {
  static const KernelVariant best = KernelVariants().back();
  return best;
}

}  // namespace

ReduceKernels FindReduceKernels(Dtype dtype, Reduction reduction) {
  return Best().find(dtype, reduction);
}

DivideKernel FindDivideKernel(Dtype dtype) { return Best().find_divide(dtype); }

}  // namespace lockstep::collectives
