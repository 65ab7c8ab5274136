// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_MODULE_TENSORS_H_
#define LOCKSTEP_RUNTIME_TORCH_MODULE_TENSORS_H_

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "collectives/group.h"
#include "runtime/base/result.h"

namespace torch::nn {
class Module;
}

namespace lockstep::train {

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// In the order of registration, parameters of submodules by their full name ("features.0.weight").
/// A tensor registered under several names (tied weights) comes once, under the first.
std::vector<NamedTensor> ParametersOf(const torch::nn::Module& module);
std::vector<NamedTensor> BuffersOf(const torch::nn::Module& module);

/// Unimplemented for a dtype that collectives and checkpoints have no name for (complex,
/// quantized).
base::Result<collectives::Dtype> DtypeOf(const at::Tensor& tensor);
base::Result<at::ScalarType> ScalarTypeOf(collectives::Dtype dtype);

/// Copies the tensors of group rank 0 into everybody's, of whatever dtype and strides, small ones
/// in one op. Collective; shapes and dtypes must be the same on all ranks. Blocks, at most the
/// group's timeout for each mebibyte and each larger tensor. Errors: the group's, with the tensors'
/// names.
base::Status BroadcastTensors(collectives::Group& group, const std::vector<NamedTensor>& tensors);

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_MODULE_TENSORS_H_
