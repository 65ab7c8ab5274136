// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/gradient/half_precision.h"

#include "runtime/base/check.h"

namespace lockstep::collectives {

#define LOCKSTEP_DECLARE_CONVERSIONS(variant)                                               \
  namespace variant {                                                                       \
  void Compress(Dtype to, const float* values, float scale, float* residual, uint16_t* out, \
                size_t count);                                                              \
  void Decompress(Dtype from, const uint16_t* values, float* out, size_t count);            \
  }
LOCKSTEP_DECLARE_CONVERSIONS(conversions_generic)
LOCKSTEP_DECLARE_CONVERSIONS(conversions_avx2)
LOCKSTEP_DECLARE_CONVERSIONS(conversions_avx512)
#undef LOCKSTEP_DECLARE_CONVERSIONS

std::vector<ConversionVariant> ConversionVariants() {
  std::vector<ConversionVariant> variants = {
      {"generic", &conversions_generic::Compress, &conversions_generic::Decompress}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2"))
    variants.push_back({"avx2", &conversions_avx2::Compress, &conversions_avx2::Decompress});
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    variants.push_back({"avx512", &conversions_avx512::Compress, &conversions_avx512::Decompress});
  }
#endif
  return variants;
}

namespace {

const ConversionVariant& Best() {
  static const ConversionVariant best = ConversionVariants().back();
  return best;
}

}  // namespace

void Compress(Dtype to, const float* values, float scale, float* residual, uint16_t* out,
              size_t count) {
  LOCKSTEP_CHECK(to == Dtype::kF16 || to == Dtype::kBf16, "a format of 16 bits");
  Best().compress(to, values, scale, residual, out, count);
}

void Decompress(Dtype from, const uint16_t* values, float* out, size_t count) {
  LOCKSTEP_CHECK(from == Dtype::kF16 || from == Dtype::kBf16, "a format of 16 bits");
  Best().decompress(from, values, out, count);
}

}  // namespace lockstep::collectives
