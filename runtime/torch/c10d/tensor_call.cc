// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/c10d/tensor_call.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "runtime/torch/c10d/torch_abi.h"

namespace lockstep::train {
namespace {

std::optional<lockstep_dtype> DtypeOf(at::ScalarType type) {
#if LOCKSTEP_TORCH_IS_AT_LEAST(2, 1)
  if (type == at::ScalarType::Float8_e4m3fn) return LOCKSTEP_F8E4M3;
  if (type == at::ScalarType::Float8_e5m2) return LOCKSTEP_F8E5M2;
#endif
#if LOCKSTEP_TORCH_IS_AT_LEAST(2, 3)
  if (type == at::ScalarType::UInt32) return LOCKSTEP_U32;
  if (type == at::ScalarType::UInt64) return LOCKSTEP_U64;
#endif
  switch (type) {
    case at::kBool: return LOCKSTEP_BOOL;
    case at::kByte: return LOCKSTEP_U8;
    case at::kChar: return LOCKSTEP_I8;
    case at::kShort: return LOCKSTEP_I16;
    case at::kInt: return LOCKSTEP_I32;
    case at::kLong: return LOCKSTEP_I64;
    case at::kHalf: return LOCKSTEP_F16;
    case at::kBFloat16: return LOCKSTEP_BF16;
    case at::kFloat: return LOCKSTEP_F32;
    case at::kDouble: return LOCKSTEP_F64;
    default: return std::nullopt;
  }
}

lockstep_dtype CheckedDtype(const at::Tensor& tensor, const char* what) {
  if (tensor.layout() != at::kStrided)
    Throw(std::string(what) + " is a sparse tensor; make it dense");
  if (!tensor.device().is_cpu()) {
    Throw(std::string(what) + " is on " + tensor.device().str() +
          ", and the backend lockstep takes tensors in main memory; move it there, or use nccl");
  }
  const auto dtype = DtypeOf(tensor.scalar_type());
  if (!dtype.has_value()) {
    Throw(std::string(what) + " is of dtype " + at::toString(tensor.scalar_type()) +
          ", which the backend lockstep has no collectives for; send it as one of bool, the "
          "integers, float16, "
          "bfloat16, float32 or float64");
  }
  return *dtype;
}

/// Whatever autograd thinks of its tensors, a collective writes to their memory alone.
at::Tensor EmptyAs(const at::Tensor& tensor, int64_t elements) {
  return at::empty({elements}, tensor.options().requires_grad(false));
}

int64_t TotalOf(const std::vector<at::Tensor>& tensors) {
  int64_t total = 0;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.scalar_type() != tensors[0].scalar_type()) {
      Throw(std::string("a list of tensors mixes the dtypes ") +
            at::toString(tensors[0].scalar_type()) + " and " + at::toString(tensor.scalar_type()));
    }
    total += tensor.numel();
  }
  return total;
}

/// Copies each of `tensors` from or to its part of `flat`.
template <class Visit>
void ForEachPart(const std::vector<at::Tensor>& tensors, const at::Tensor& flat, Visit visit) {
  int64_t offset = 0;
  for (const at::Tensor& tensor : tensors) {
    visit(tensor, flat.narrow(0, offset, tensor.numel()).view(tensor.sizes()));
    offset += tensor.numel();
  }
}

}  // namespace

void Throw(const std::string& message) { throw std::runtime_error(message); }

lockstep_buffer BufferOf(const at::Tensor& tensor, const char* what) {
  const lockstep_dtype dtype = CheckedDtype(tensor, what);
  return {tensor.data_ptr(), static_cast<uint64_t>(tensor.numel()), dtype, LOCKSTEP_CPU, 0};
}

std::pair<lockstep_reduction, double> ReductionOf(const c10d::ReduceOp& op) {
  switch (op.op_) {
    case c10d::ReduceOp::SUM: return {LOCKSTEP_SUM, 1};
    case c10d::ReduceOp::AVG: return {LOCKSTEP_AVERAGE, 1};
    case c10d::ReduceOp::PRODUCT: return {LOCKSTEP_PRODUCT, 1};
    case c10d::ReduceOp::MIN: return {LOCKSTEP_MIN, 1};
    case c10d::ReduceOp::MAX: return {LOCKSTEP_MAX, 1};
    case c10d::ReduceOp::BAND: return {LOCKSTEP_BIT_AND, 1};
    case c10d::ReduceOp::BOR: return {LOCKSTEP_BIT_OR, 1};
    case c10d::ReduceOp::BXOR: return {LOCKSTEP_BIT_XOR, 1};
    case c10d::ReduceOp::PREMUL_SUM: return {LOCKSTEP_PREMULTIPLIED_SUM, FactorOf(op)};
    default: break;
  }
  Throw("the backend lockstep knows no reduction number " +
        std::to_string(static_cast<int>(op.op_)));
}

lockstep_buffer TensorCall::In(const at::Tensor& tensor) {
  const at::NoGradGuard no_grad;
  CheckedDtype(tensor, "an input");
  kept_.push_back(tensor.contiguous());
  return BufferOf(kept_.back(), "an input");
}

lockstep_buffer TensorCall::In(const std::vector<at::Tensor>& tensors) {
  if (tensors.size() == 1) return In(tensors[0]);
  const at::NoGradGuard no_grad;
  for (const at::Tensor& tensor : tensors) CheckedDtype(tensor, "an input");
  const at::Tensor flat = EmptyAs(tensors.at(0), TotalOf(tensors));
  ForEachPart(tensors, flat,
              [](const at::Tensor& tensor, const at::Tensor& part) { part.copy_(tensor); });
  kept_.push_back(flat);
  return BufferOf(flat, "an input");
}

lockstep_buffer TensorCall::Out(const at::Tensor& tensor) {
  CheckedDtype(tensor, "an output");
  if (tensor.is_contiguous()) {
    kept_.push_back(tensor);
  } else {
    kept_.push_back(EmptyAs(tensor, tensor.numel()));
    copies_.push_back({tensor, kept_.back().view(tensor.sizes())});
  }
  return BufferOf(kept_.back(), "an output");
}

lockstep_buffer TensorCall::Out(const std::vector<at::Tensor>& tensors) {
  if (tensors.size() == 1) return Out(tensors[0]);
  for (const at::Tensor& tensor : tensors) CheckedDtype(tensor, "an output");
  const at::Tensor flat = EmptyAs(tensors.at(0), TotalOf(tensors));
  ForEachPart(tensors, flat, [this](const at::Tensor& tensor, at::Tensor part) {
    copies_.push_back({tensor, std::move(part)});
  });
  kept_.push_back(flat);
  return BufferOf(flat, "an output");
}

lockstep_buffer TensorCall::InOut(const at::Tensor& tensor) {
  const at::NoGradGuard no_grad;
  CheckedDtype(tensor, "a tensor");
  if (tensor.is_contiguous()) {
    kept_.push_back(tensor);
  } else {
    kept_.push_back(tensor.contiguous());
    copies_.push_back({tensor, kept_.back()});
  }
  return BufferOf(kept_.back(), "a tensor");
}

void TensorCall::CopyBack() {
  const at::NoGradGuard no_grad;
  for (const Copy& copy : copies_) copy.to.copy_(copy.from);
  copies_.clear();
}

std::vector<size_t> CountsOf(const std::vector<at::Tensor>& tensors) {
  std::vector<size_t> counts;
  for (const at::Tensor& tensor : tensors) counts.push_back(static_cast<size_t>(tensor.numel()));
  return counts;
}

bool AllEqual(const std::vector<size_t>& counts) {
  return std::all_of(counts.begin(), counts.end(),
                     [&](size_t count) { return count == counts[0]; });
}

}  // namespace lockstep::train
