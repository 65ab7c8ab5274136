// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/module_tensors.h"

#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

#include <array>
#include <memory>
#include <unordered_set>
#include <utility>

#include "collectives/work.h"

namespace lockstep::train {
namespace {

using base::OkStatus;
using base::Result;
using base::Status;
using collectives::Dtype;

constexpr std::array<std::pair<at::ScalarType, Dtype>, 10> kDtypes = {{
    {at::kBool, Dtype::kBool},
    {at::kByte, Dtype::kU8},
    {at::kChar, Dtype::kI8},
    {at::kShort, Dtype::kI16},
    {at::kInt, Dtype::kI32},
    {at::kLong, Dtype::kI64},
    {at::kHalf, Dtype::kF16},
    {at::kBFloat16, Dtype::kBf16},
    {at::kFloat, Dtype::kF32},
    {at::kDouble, Dtype::kF64},
}};

template <class Items>
std::vector<NamedTensor> Distinct(const Items& items) {
  std::vector<NamedTensor> tensors;
  std::unordered_set<const void*> seen;
  for (const auto& item : items) {
    const at::Tensor& tensor = item.value();
    if (tensor.defined() && seen.insert(tensor.unsafeGetTensorImpl()).second) {
      tensors.push_back({item.key(), tensor});
    }
  }
  return tensors;
}

}  // namespace

std::vector<NamedTensor> ParametersOf(const torch::nn::Module& module) {
  return Distinct(module.named_parameters());
}

std::vector<NamedTensor> BuffersOf(const torch::nn::Module& module) {
  return Distinct(module.named_buffers());
}

Result<Dtype> DtypeOf(const at::Tensor& tensor) {
  for (const auto& [scalar_type, dtype] : kDtypes) {
    if (scalar_type == tensor.scalar_type()) return dtype;
  }
  return base::UnimplementedError(std::string("tensors of dtype ") +
                                  at::toString(tensor.scalar_type()));
}

Result<at::ScalarType> ScalarTypeOf(Dtype dtype) {
  for (const auto& [scalar_type, known] : kDtypes) {
    if (known == dtype) return scalar_type;
  }
  return base::UnimplementedError("LibTorch has no tensors of dtype " +
                                  std::string(collectives::DtypeName(dtype)));
}

Status BroadcastTensors(collectives::Group& group, const std::vector<NamedTensor>& tensors) {
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> contiguous;
  std::vector<std::shared_ptr<collectives::Work>> works;
  for (const NamedTensor& tensor : tensors) {
    contiguous.push_back(tensor.tensor.detach().contiguous());
    const at::Tensor& bytes = contiguous.back();
    works.push_back(group.Broadcast({bytes.data_ptr(), bytes.nbytes(), Dtype::kU8}, base::Rank(0),
                                    {.tag = "start state"}));
  }
  Status first_error;
  for (size_t i = 0; i < tensors.size(); ++i) {  // all of them: their buffers must outlive them
    const Status status = works[i]->Wait();
    if (!status.ok() && first_error.ok()) {
      first_error = status.WithFrame("while broadcasting '" + tensors[i].name + "' from rank 0");
    }
    if (status.ok() && !contiguous[i].is_alias_of(tensors[i].tensor)) {
      tensors[i].tensor.detach().copy_(contiguous[i]);
    }
  }
  return first_error;
}

}  // namespace lockstep::train
