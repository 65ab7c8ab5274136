// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_C10D_TENSOR_CALL_H_
#define LOCKSTEP_RUNTIME_TORCH_C10D_TENSOR_CALL_H_

#include <torch/csrc/distributed/c10d/Types.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "collectives/c/lockstep_collectives.h"

namespace lockstep::train {

/// The memory of a contiguous tensor. Errors, here and below, are thrown, as c10d wants them
/// (std::runtime_error, Python's RuntimeError): a tensor that is sparse, elsewhere than in main
/// memory, or of a dtype that collectives do not know, named together with `what` it is.
lockstep_buffer BufferOf(const at::Tensor& tensor, const char* what);

/// The reduction of `op`, and the factor of a premultiplied sum (1 else).
std::pair<lockstep_reduction, double> ReductionOf(const c10d::ReduceOp& op);

[[noreturn]] void Throw(const std::string& message);

/// The tensors of one call: those that are not contiguous, or that c10d has as a list where a
/// collective has one buffer, are copied into tensors that are, and results are copied back when
/// the op has ended. Keeps all of them alive. A value, moved into the Work.
class TensorCall {
 public:
  /// To read.
  lockstep_buffer In(const at::Tensor& tensor);
  /// To read, in one buffer one after the other.
  lockstep_buffer In(const std::vector<at::Tensor>& tensors);
  /// To write.
  lockstep_buffer Out(const at::Tensor& tensor);
  lockstep_buffer Out(const std::vector<at::Tensor>& tensors);
  /// To read and write.
  lockstep_buffer InOut(const at::Tensor& tensor);

  /// What the caller gets to see as the Work's result.
  void AddResult(const at::Tensor& tensor) { results_.push_back(tensor); }
  const std::vector<at::Tensor>& results() const { return results_; }

  /// Once, after the op: puts results where the caller wants them.
  void CopyBack();

 private:
  struct Copy {
    at::Tensor to;
    at::Tensor from;
  };

  std::vector<at::Tensor> kept_;
  std::vector<Copy> copies_;
  std::vector<at::Tensor> results_;
};

/// The number of elements of each.
std::vector<size_t> CountsOf(const std::vector<at::Tensor>& tensors);
bool AllEqual(const std::vector<size_t>& counts);

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_C10D_TENSOR_CALL_H_
