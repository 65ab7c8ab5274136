// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_OPTIMIZER_STATE_H_
#define LOCKSTEP_RUNTIME_TORCH_OPTIMIZER_STATE_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/torch/module_tensors.h"

namespace torch::optim {
class Optimizer;
}

namespace lockstep::train {

/// An optimizer's state by the names of parameters. LibTorch's own codec is of no use here: it
/// writes addresses, matches parameters by position, and 1.13 forgets the options.
struct OptimizerState {
  std::vector<NamedTensor> tensors;  // "conv.weight/exp_avg"; what exists so far
  // "kind" = "AdamW", "groups" = "1", "0.lr" = "0.003", ...
  std::map<std::string, std::string> options;
};

/// SGD, Adam and AdamW. `parameters` gives the names. The tensors alias the optimizer's own.
/// Errors: Unimplemented - another optimizer; InvalidArgument - it holds a parameter without a
/// name.
base::Result<OptimizerState> CaptureOptimizerState(const torch::optim::Optimizer& optimizer,
                                                   const std::vector<NamedTensor>& parameters);

/// Checks that `state` fits the optimizer, and returns what then puts it in (a copy); the optimizer
/// and `state` must live until that has run. Errors: FailedPrecondition - another kind, other
/// parameter groups, or a tensor of another shape or dtype, by name; those of
/// CaptureOptimizerState.
base::Result<std::function<void()>> PrepareOptimizerRestore(
    torch::optim::Optimizer& optimizer, const std::vector<NamedTensor>& parameters,
    const OptimizerState& state);

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_OPTIMIZER_STATE_H_
