// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_C10D_TORCH_ABI_H_
#define LOCKSTEP_RUNTIME_TORCH_C10D_TORCH_ABI_H_
// All that the releases of torch differ in for a backend of c10d. Checked with 1.13 (Debian 12) and
// 2.15 (PyPI).

#include <torch/version.h>

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#if TORCH_VERSION_MAJOR >= 2
#include <torch/csrc/distributed/c10d/Backend.hpp>
#endif

/// For what came within 2.x.
#define LOCKSTEP_TORCH_IS_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) ||              \
   (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace lockstep::train {

#if TORCH_VERSION_MAJOR >= 2

/// What init_process_group wants: from 2.0 a ProcessGroup has a Backend for each kind of device.
using BackendBase = c10d::Backend;

/// The factor of a ReduceOp that is a premultiplied sum.
inline double FactorOf(const c10d::ReduceOp& op) {
  const auto* factor = static_cast<const c10d::NCCLPreMulSumSupplement*>(op.supplement_.get());
  return factor->tensor_factor.defined() ? factor->tensor_factor.item<double>()
                                         : factor->double_factor;
}

#else

using BackendBase = c10d::ProcessGroup;

inline double FactorOf(const c10d::ReduceOp& op) {
  const auto* factor = static_cast<const c10d::NCCLPreMulSumSupplement*>(op.supplement_.get());
  return factor->tensor_factors.empty() ? factor->double_factor
                                        : factor->tensor_factors[0].item<double>();
}

#endif

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_C10D_TORCH_ABI_H_
