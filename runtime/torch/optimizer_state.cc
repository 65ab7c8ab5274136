// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/optimizer_state.h"

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/sgd.h>
#include <torch/types.h>

#include <charconv>
#include <memory>
#include <sstream>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace lockstep::train {
namespace {

using base::FailedPreconditionError;
using base::OkStatus;
using base::Result;
using base::Status;
using torch::optim::Optimizer;
using Options = std::map<std::string, std::string>;

// The fields of each optimizer, by reference: visit(name, field).

template <class Visit>
void VisitOptions(torch::optim::SGDOptions& options, Visit visit) {
  visit("lr", options.lr());
  visit("momentum", options.momentum());
  visit("dampening", options.dampening());
  visit("weight_decay", options.weight_decay());
  visit("nesterov", options.nesterov());
}

template <class AdamLike, class Visit>
void VisitOptions(AdamLike& options, Visit visit) {
  visit("lr", options.lr());
  visit("beta1", std::get<0>(options.betas()));
  visit("beta2", std::get<1>(options.betas()));
  visit("eps", options.eps());
  visit("weight_decay", options.weight_decay());
  visit("amsgrad", options.amsgrad());
}

template <class Visit>
void VisitState(torch::optim::SGDParamState& state, Visit visit) {
  visit("momentum_buffer", state.momentum_buffer());
}

template <class AdamLike, class Visit>
void VisitState(AdamLike& state, Visit visit) {
  visit("step", state.step());
  visit("exp_avg", state.exp_avg());
  visit("exp_avg_sq", state.exp_avg_sq());
  visit("max_exp_avg_sq", state.max_exp_avg_sq());
}

struct Sgd {
  using Options = torch::optim::SGDOptions;
  using State = torch::optim::SGDParamState;
  static constexpr const char* kKind = "SGD";
};
struct Adam {
  using Options = torch::optim::AdamOptions;
  using State = torch::optim::AdamParamState;
  static constexpr const char* kKind = "Adam";
};
struct AdamW {
  using Options = torch::optim::AdamWOptions;
  using State = torch::optim::AdamWParamState;
  static constexpr const char* kKind = "AdamW";
};

/// run(Kind()) with what fits the optimizer.
template <class Run>
auto ForKind(const Optimizer& optimizer, Run run) -> decltype(run(Sgd())) {
  if (dynamic_cast<const torch::optim::SGD*>(&optimizer) != nullptr) return run(Sgd());
  if (dynamic_cast<const torch::optim::AdamW*>(&optimizer) != nullptr) return run(AdamW());
  if (dynamic_cast<const torch::optim::Adam*>(&optimizer) != nullptr) return run(Adam());
  return base::UnimplementedError(
      "the state of this optimizer cannot be saved; SGD, Adam and AdamW can");
}

/// The parameter's key in optimizer.state(): its address, which up to LibTorch 2.0 is printed.
template <class StateMap>
typename StateMap::key_type KeyOf(const at::Tensor& parameter) {
  if constexpr (std::is_same_v<typename StateMap::key_type, std::string>) {
    std::ostringstream text;
    text << parameter.unsafeGetTensorImpl();
    return text.str();
  } else {
    return parameter.unsafeGetTensorImpl();
  }
}

std::string Format(bool value) { return value ? "true" : "false"; }

std::string Format(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof(text), value)
                    .ptr};  // the shortest that reads back the same
}

bool Parse(const std::string& text, bool& value) {
  value = text == "true";
  return value || text == "false";
}

bool Parse(const std::string& text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// The names of each group's parameters, one a line.
Result<std::vector<std::string>> GroupNames(const Optimizer& optimizer,
                                            const std::vector<NamedTensor>& parameters) {
  std::unordered_map<const void*, std::string> names;
  for (const NamedTensor& parameter : parameters) {
    names.emplace(parameter.tensor.unsafeGetTensorImpl(), parameter.name);
  }
  std::vector<std::string> groups;
  for (const auto& group : optimizer.param_groups()) {
    std::string& lines = groups.emplace_back();
    for (const at::Tensor& parameter : group.params()) {
      const auto found = names.find(parameter.unsafeGetTensorImpl());
      if (found == names.end()) {
        return base::InvalidArgumentError(
            "the optimizer holds a parameter that is not the module's: number " +
            std::to_string(&parameter - group.params().data()) + " of group " +
            std::to_string(groups.size() - 1));
      }
      lines += found->second + "\n";
    }
  }
  return groups;
}

Options ExpectedOptions(const char* kind, const std::vector<std::string>& group_names) {
  Options options = {{"kind", kind}, {"groups", std::to_string(group_names.size())}};
  for (size_t i = 0; i < group_names.size(); ++i)
    options[std::to_string(i) + ".parameters"] = group_names[i];
  return options;
}

template <class Kind>
void CaptureOptions(const Optimizer& optimizer, Options& out) {
  for (size_t i = 0; i < optimizer.param_groups().size(); ++i) {
    // Only read; LibTorch's own const accessors return by value or reference, depending on the
    // release.
    auto& options = const_cast<typename Kind::Options&>(
        static_cast<const typename Kind::Options&>(optimizer.param_groups()[i].options()));
    VisitOptions(options, [&](const char* name, auto& field) {
      out[std::to_string(i) + "." + name] = Format(field);
    });
  }
}

template <class Kind>
void CaptureTensors(const Optimizer& optimizer, const std::vector<NamedTensor>& parameters,
                    std::vector<NamedTensor>& out) {
  using StateMap = std::remove_cvref_t<decltype(optimizer.state())>;
  for (const NamedTensor& parameter : parameters) {
    const auto found = optimizer.state().find(KeyOf<StateMap>(parameter.tensor));
    if (found == optimizer.state().end()) continue;  // frozen, or no step so far
    VisitState(
        static_cast<typename Kind::State&>(*found->second), [&](const char* name, auto& field) {
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, at::Tensor>) {
            if (field.defined()) out.push_back({parameter.name + "/" + name, field});
          } else {
            out.push_back({parameter.name + "/" + name, torch::scalar_tensor(field, at::kLong)});
          }
        });
  }
}

Status CheckOptions(const Options& expected, const Options& found) {
  for (const auto& [key, value] : expected) {
    const auto entry = found.find(key);
    if (entry == found.end() || entry->second != value) {
      return FailedPreconditionError("the state is of another optimizer: its '" + key + "' is '" +
                                     (entry == found.end() ? "" : entry->second) +
                                     "', here it is '" + value + "'");
    }
  }
  return OkStatus();
}

/// One group's options with the values of `from`.
template <class Kind>
Result<typename Kind::Options> ReadOptions(const Options& from, size_t group,
                                           typename Kind::Options options) {
  Status status;
  VisitOptions(options, [&](const char* name, auto& field) {
    const auto entry = from.find(std::to_string(group) + "." + name);
    if (entry == from.end() || !Parse(entry->second, field)) {
      status = FailedPreconditionError(
          "the optimizer's option '" + std::to_string(group) + "." + name + "' is " +
          (entry == from.end() ? "missing" : "'" + entry->second + "'"));
    }
  });
  RETURN_IF_ERROR(status);
  return options;
}

/// One parameter's state from `tensors`; null when they hold none of it.
template <class Kind>
Result<std::unique_ptr<typename Kind::State>> ReadState(
    const std::map<std::string, at::Tensor>& tensors, const NamedTensor& parameter) {
  auto state = std::make_unique<typename Kind::State>();
  Status status;
  size_t found = 0;
  VisitState(*state, [&](const char* name, auto& field) {
    const auto entry = tensors.find(parameter.name + "/" + name);
    if (entry == tensors.end()) return;
    ++found;
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, at::Tensor>) {
      if (entry->second.sizes() == parameter.tensor.sizes() &&
          entry->second.scalar_type() == parameter.tensor.scalar_type()) {
        // In the parameter's strides.
        field = at::empty_like(parameter.tensor).copy_(entry->second);
      } else {
        status = FailedPreconditionError("the optimizer's '" + entry->first +
                                         "' is of another shape or dtype than its parameter");
      }
    } else if (entry->second.numel() == 1 && entry->second.scalar_type() == at::kLong) {
      field = entry->second.item<int64_t>();
    } else {
      status = FailedPreconditionError("the optimizer's '" + entry->first + "' is no single int64");
    }
  });
  RETURN_IF_ERROR(status);
  return found > 0 ? std::move(state) : nullptr;
}

template <class Kind>
Result<std::function<void()>> Prepare(Optimizer& optimizer,
                                      const std::vector<NamedTensor>& parameters,
                                      const OptimizerState& from) {
  const c10::NoGradGuard no_grad;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, GroupNames(optimizer, parameters));
  RETURN_IF_ERROR(CheckOptions(ExpectedOptions(Kind::kKind, names), from.options));

  std::map<std::string, at::Tensor> tensors;
  for (const NamedTensor& tensor : from.tensors) tensors.emplace(tensor.name, tensor.tensor);
  using StateMap = std::remove_cvref_t<decltype(optimizer.state())>;
  using ByKey =
      std::vector<std::pair<typename StateMap::key_type, std::unique_ptr<typename Kind::State>>>;
  auto states = std::make_shared<ByKey>();  // shared because std::function must be copyable
  for (const NamedTensor& parameter : parameters) {
    ASSIGN_OR_RETURN(auto state, ReadState<Kind>(tensors, parameter));
    if (state != nullptr) states->emplace_back(KeyOf<StateMap>(parameter.tensor), std::move(state));
  }
  std::vector<typename Kind::Options> options;
  for (size_t i = 0; i < names.size(); ++i) {
    auto& current = static_cast<typename Kind::Options&>(optimizer.param_groups()[i].options());
    ASSIGN_OR_RETURN(auto read, ReadOptions<Kind>(from.options, i, current));
    options.push_back(std::move(read));
  }

  return std::function<void()>([&optimizer, states, options] {
    for (size_t i = 0; i < options.size(); ++i) {
      static_cast<typename Kind::Options&>(optimizer.param_groups()[i].options()) = options[i];
    }
    optimizer.state().clear();
    for (auto& [key, state] : *states) optimizer.state()[key] = std::move(state);
  });
}

}  // namespace

Result<OptimizerState> CaptureOptimizerState(const Optimizer& optimizer,
                                             const std::vector<NamedTensor>& parameters) {
  return ForKind(optimizer, [&](auto kind) -> Result<OptimizerState> {
    using Kind = decltype(kind);
    ASSIGN_OR_RETURN(const std::vector<std::string> names, GroupNames(optimizer, parameters));
    OptimizerState state;
    state.options = ExpectedOptions(Kind::kKind, names);
    CaptureOptions<Kind>(optimizer, state.options);
    CaptureTensors<Kind>(optimizer, parameters, state.tensors);
    return state;
  });
}

Result<std::function<void()>> PrepareOptimizerRestore(Optimizer& optimizer,
                                                      const std::vector<NamedTensor>& parameters,
                                                      const OptimizerState& state) {
  return ForKind(optimizer, [&](auto kind) -> Result<std::function<void()>> {
    return Prepare<decltype(kind)>(optimizer, parameters, state);
  });
}

}  // namespace lockstep::train
