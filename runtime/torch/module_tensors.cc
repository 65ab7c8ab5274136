// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/module_tensors.h"

#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

#include <array>
#include <cstring>
#include <span>
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

constexpr size_t kPieceBytesMax = size_t{1} << 20;  // but for a tensor that is larger alone

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

Status BroadcastBytes(collectives::Group& group, void* data, size_t bytes) {
  return group.Broadcast({data, bytes, Dtype::kU8}, base::GroupRank(0), {.tag = "start state"})
      ->Wait();
}

/// Of several tensors a copy goes out, for an op costs more than a few kilobytes.
Status BroadcastPiece(collectives::Group& group, std::span<const NamedTensor> piece, size_t bytes) {
  std::vector<at::Tensor> contiguous;
  for (const NamedTensor& tensor : piece) contiguous.push_back(tensor.tensor.detach().contiguous());
  if (piece.size() == 1) {
    RETURN_IF_ERROR(BroadcastBytes(group, contiguous[0].data_ptr(), bytes));
  } else {
    std::vector<std::byte> copy(bytes);
    std::byte* place = copy.data();
    for (const at::Tensor& tensor : contiguous) {
      if (tensor.nbytes() > 0) std::memcpy(place, tensor.data_ptr(), tensor.nbytes());
      place += tensor.nbytes();
    }
    RETURN_IF_ERROR(BroadcastBytes(group, copy.data(), bytes));
    place = copy.data();
    for (const at::Tensor& tensor : contiguous) {
      if (tensor.nbytes() > 0) std::memcpy(tensor.data_ptr(), place, tensor.nbytes());
      place += tensor.nbytes();
    }
  }
  for (size_t i = 0; i < piece.size(); ++i) {
    const at::Tensor& target = piece[i].tensor;
    if (!contiguous[i].is_alias_of(target)) target.detach().copy_(contiguous[i]);
  }
  return OkStatus();
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
  for (size_t begin = 0; begin < tensors.size();) {
    size_t bytes = tensors[begin].tensor.nbytes();
    size_t end = begin + 1;
    while (end < tensors.size() && bytes + tensors[end].tensor.nbytes() <= kPieceBytesMax) {
      bytes += tensors[end++].tensor.nbytes();
    }
    const std::span<const NamedTensor> piece = std::span(tensors).subspan(begin, end - begin);
    RETURN_IF_ERROR(BroadcastPiece(group, piece, bytes)
                        .WithFrame("while broadcasting " + std::to_string(piece.size()) +
                                   " tensors from '" + piece.front().name + "' to '" +
                                   piece.back().name + "'"));
    begin = end;
  }
  return OkStatus();
}

}  // namespace lockstep::train
