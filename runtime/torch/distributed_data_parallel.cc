// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/distributed_data_parallel.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "collectives/gradient/gradient_buckets.h"
#include "collectives/work.h"
#include "runtime/torch/agreement.h"
#include "runtime/torch/module_tensors.h"
#include "runtime/torch/torch_status.h"

namespace lockstep::train {
namespace {

using base::FailedPreconditionError;
using base::OkStatus;
using base::Result;
using base::Status;
using collectives::Dtype;
using collectives::GradientBuckets;
using collectives::Group;
using collectives::Reduction;

constexpr size_t kNamesInErrorMax = 5;

/// One parameter and its gradient, number `index` of the buckets.
struct Slot {
  NamedTensor parameter;
  size_t index = 0;
  at::Tensor gradient;  // the parameter's place in its bucket, in its shape and strides
  // Holds the node that the parameter itself only holds weakly. `auto`, for its type differs
  // between releases of LibTorch (shared_ptr, intrusive_ptr).
  decltype(torch::autograd::impl::grad_accumulator(std::declval<at::Tensor&>())) accumulator;
  uintptr_t hook = 0;
  bool touched = false;  // got a gradient since the last pass that was synchronized
  bool ready = false;    // and is put into its bucket
};

std::string Quoted(const std::string& name) { return "'" + name + "'"; }

std::string Quoted(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size() && i < kNamesInErrorMax; ++i) {
    out += (i > 0 ? ", " : "") + Quoted(names[i]);
  }
  if (names.size() > kNamesInErrorMax) {
    out += " and " + std::to_string(names.size() - kNamesInErrorMax) + " more";
  }
  return out;
}

/// A tensor over a place in the buckets. Not a view of one over the bucket: LibTorch's zero_grad
/// refuses gradients that are views ("Can't detach views in-place"). It keeps the memory alive.
at::Tensor GradientOver(const std::shared_ptr<std::byte>& memory, const at::Tensor& parameter) {
  // With strides other than the parameter's, autograd would replace it at every pass.
  const auto strides =
      parameter.is_non_overlapping_and_dense()
          ? parameter.strides().vec()
          : at::empty_like(parameter, at::MemoryFormat::Contiguous).strides().vec();
  return torch::from_blob(
      memory.get(), parameter.sizes(), strides, [memory](void*) {}, parameter.dtype());
}

Status CheckInMainMemory(const char* what, const std::vector<NamedTensor>& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (tensor.device().is_cpu() && tensor.layout() == at::kStrided) continue;
    return base::UnimplementedError(std::string(what) + " " + Quoted(name) + " is on " +
                                    tensor.device().str() +
                                    (tensor.layout() == at::kStrided ? "" : " and sparse") +
                                    "; only dense tensors on the CPU are supported");
  }
  return OkStatus();
}

/// The parameters as their gradients come: in the reverse order of registration, which is about the
/// order in which backward finishes them. A bucket holds neighbours of one dtype, so those of one
/// dtype are brought together as far as they fit into one bucket.
Result<std::vector<NamedTensor>> InOrderOfGradients(const std::vector<NamedTensor>& parameters,
                                                    const DistributedDataParallel::Config& config) {
  std::vector<std::vector<NamedTensor>> runs;
  std::map<Dtype, std::pair<size_t, size_t>> open;  // dtype -> its run and the bytes in that
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    const Result<Dtype> dtype = DtypeOf(parameter->tensor);
    if (!dtype.ok()) return dtype.status().WithFrame("parameter " + Quoted(parameter->name));
    const size_t bytes = parameter->tensor.nbytes();
    const auto found = open.find(*dtype);
    if (found == open.end() || found->second.second + bytes > config.bucket_bytes) {
      runs.emplace_back();
      open[*dtype] = {runs.size() - 1, 0};
    }
    auto& [index, bytes_in_it] = open[*dtype];
    runs[index].push_back(*parameter);
    bytes_in_it += bytes;
  }
  std::vector<NamedTensor> ordered;
  for (const auto& run : runs) ordered.insert(ordered.end(), run.begin(), run.end());
  return ordered;
}

/// Those of `parameters`, then a flag for each, which the mean turns into the fraction of ranks
/// that had a gradient for it; f64, since that is rounded by no Config::wire.
Result<std::unique_ptr<GradientBuckets>> MakeBuckets(
    const std::vector<NamedTensor>& parameters, Group& group,
    const DistributedDataParallel::Config& config) {
  std::vector<GradientBuckets::Gradient> gradients;
  for (const auto& [name, tensor] : parameters) {
    ASSIGN_OR_RETURN(const Dtype dtype, DtypeOf(tensor));
    gradients.push_back({name, static_cast<size_t>(tensor.numel()), dtype});
  }
  gradients.push_back({"which parameters had one", parameters.size(), Dtype::kF64});
  return GradientBuckets::Create(std::move(gradients), group,
                                 {.first_bucket_bytes = config.first_bucket_bytes,
                                  .bucket_bytes = config.bucket_bytes,
                                  .wire = config.wire,
                                  .error_feedback = config.error_feedback});
}

/// A reduction that a group refuses would end it with the first bucket.
Status CheckMeansExist(const std::vector<NamedTensor>& parameters, const Group& group) {
  for (const auto& [name, tensor] : parameters) {
    ASSIGN_OR_RETURN(const Dtype dtype, DtypeOf(tensor));
    if (group.CanReduce(dtype, Reduction::kAverage)) continue;
    return base::UnimplementedError("the group cannot average gradients of dtype " +
                                    std::string(collectives::DtypeName(dtype)) +
                                    ", as that of parameter " + Quoted(name));
  }
  return OkStatus();
}

/// FNV-1a over what all ranks must have in common. Source: Fowler, Noll, Vo.
int64_t LayoutHash(const std::vector<NamedTensor>& parameters,
                   const std::vector<NamedTensor>& buffers,
                   const DistributedDataParallel::Config& config) {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&hash](const std::string& text) {
    for (const char c : text + ";") hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  };
  const auto add_all = [&add](const std::vector<NamedTensor>& tensors) {
    for (const NamedTensor& tensor : tensors) {
      add(tensor.name);
      add(at::toString(tensor.tensor.scalar_type()));
      for (const int64_t extent : tensor.tensor.sizes()) add(std::to_string(extent));
      add(tensor.tensor.requires_grad() ? "trained" : "frozen");
    }
    add("end");
  };
  add_all(parameters);
  add_all(buffers);
  add(std::to_string(config.first_bucket_bytes));
  add(std::to_string(config.bucket_bytes));
  add(std::to_string(static_cast<int>(config.unused_parameters)) +
      std::to_string(config.broadcast_buffers) + std::to_string(config.error_feedback) +
      std::string(collectives::DtypeName(config.wire)));
  return static_cast<int64_t>(hash);
}

/// Before the first broadcast: modules that differ would meet there as ops that differ.
Status CheckLayoutsAgree(Group& group, int64_t mine) {
  std::vector<int64_t> all(static_cast<size_t>(group.size()));
  RETURN_IF_ERROR(group
                      .AllGather({&mine, 1, Dtype::kI64}, {all.data(), all.size(), Dtype::kI64},
                                 {.tag = "layout"})
                      ->Wait()
                      .WithFrame("while comparing the modules of all ranks"));
  std::string others;
  for (size_t member = 0; member < all.size(); ++member) {
    if (all[member] != all[0]) others += " " + WorldRankOf(group, member).ToString();
  }
  if (others.empty()) return OkStatus();
  return FailedPreconditionError("the modules of the ranks differ from that of rank " +
                                 WorldRankOf(group, 0).ToString() +
                                 " in a parameter's or buffer's name, shape, dtype or "
                                 "requires_grad, or in the Config, on rank" +
                                 others);
}

}  // namespace

struct DistributedDataParallel::Tensors {
  std::vector<NamedTensor> parameters, buffers;
  std::vector<NamedTensor> trained,
      frozen;  // of the parameters; the former as MakeBuckets wants them
};

/// Owns buckets and hooks; autograd calls the hooks on the thread that runs backward.
class DistributedDataParallel::Reducer {
 public:
  /// `trained` as they were given to MakeBuckets.
  Reducer(Group& group, Config config, std::unique_ptr<GradientBuckets> buckets,
          const std::vector<NamedTensor>& trained, std::vector<NamedTensor> frozen,
          std::vector<NamedTensor> buffers, const int& no_sync_depth)
      : group_(group),
        config_(config),
        frozen_(std::move(frozen)),
        buffers_(std::move(buffers)),
        no_sync_depth_(no_sync_depth),
        buckets_(std::move(buckets)),
        slots_(trained.size()) {
    for (size_t i = 0; i < slots_.size(); ++i) {
      Slot& slot = slots_[i];
      slot.parameter = trained[i];
      slot.index = i;
      slot.gradient = GradientOver(buckets_->SharedMemory(i), slot.parameter.tensor);
      AddHook(slot);
    }
  }

  ~Reducer() {
    for (Slot& slot : slots_) slot.accumulator->del_post_hook(slot.hook);
  }

  Status Synchronize() {
    if (failure_.ok()) Record(CatchExceptions("averaging gradients", [this] { return Finish(); }));
    if (!failure_.ok()) return failure_;
    Status unused = CheckUsed();
    StartNextPass();
    RETURN_IF_ERROR(unused);
    if (config_.broadcast_buffers) Record(BroadcastTensors(group_, buffers_));
    return failure_;
  }

  /// The first error is final; the other ranks learn it instead of waiting for this one.
  void Record(const Status& status) {
    if (status.ok() || !failure_.ok()) return;
    failure_ = status;
    group_.Abort(status.WithSubject(
        {.rank = WorldRankOf(group_, static_cast<size_t>(group_.rank().value()))}));
  }
  const Status& failure() const { return failure_; }
  /// Without one that is of the flags alone.
  size_t bucket_count() const { return buckets_->bucket_of(slots_.size() - 1) + 1; }

 private:
  using Variables = std::vector<at::Tensor>;

  void AddHook(Slot& slot) {
    slot.accumulator = torch::autograd::impl::grad_accumulator(slot.parameter.tensor);
    slot.hook =
        slot.accumulator->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
            [this, &slot](const Variables& outputs, const Variables&) {
              OnGradient(slot);
              return outputs;
            }));
  }

  void OnGradient(Slot& slot) {
    if (no_sync_depth_ > 0) {
      slot.touched = true;
    } else if (failure_.ok()) {
      Record(CatchExceptions("taking a gradient", [&] { return TakeGradient(slot); }));
    }
  }

  Status TakeGradient(Slot& slot) {
    if (slot.ready) {
      return FailedPreconditionError("parameter " + Quoted(slot.parameter.name) +
                                     " got a second gradient before Synchronize; call it after "
                                     "each backward, or put all backward "
                                     "passes but the last under NoSync");
    }
    slot.touched = true;
    return PutIntoBucket(slot);
  }

  Status PutIntoBucket(Slot& slot) {
    RETURN_IF_ERROR(FillSlot(slot));
    slot.ready = true;
    return buckets_->Put(slot.index, slot.gradient.data_ptr());
  }

  /// Afterwards the slot holds the parameter's gradient, or zeros if it has none.
  static Status FillSlot(Slot& slot) {
    const c10::NoGradGuard no_grad;
    at::Tensor& gradient = slot.parameter.tensor.mutable_grad();
    if (!gradient.defined()) {
      slot.gradient.zero_();
      return OkStatus();
    }
    if (gradient.is_same(slot.gradient)) return OkStatus();  // accumulated in place
    if (gradient.layout() != at::kStrided) {
      return base::UnimplementedError("parameter " + Quoted(slot.parameter.name) +
                                      " got a sparse gradient");
    }
    if (gradient.scalar_type() != slot.gradient.scalar_type() ||
        gradient.sizes() != slot.gradient.sizes()) {
      return FailedPreconditionError(
          "the dtype or shape of parameter " + Quoted(slot.parameter.name) +
          " has changed since DistributedDataParallel was made; make a new one");
    }
    slot.gradient.copy_(gradient);
    gradient = slot.gradient;  // and the other memory is free again
    return OkStatus();
  }

  /// Sends what no hook has completed, and waits for all.
  Status Finish() {
    RETURN_IF_ERROR(CheckFrozen());
    const c10::NoGradGuard no_grad;
    for (Slot& slot : slots_) {
      if (!slot.ready) RETURN_IF_ERROR(PutIntoBucket(slot));
      flags()[slot.index] = slot.touched ? 1 : 0;
    }
    RETURN_IF_ERROR(buckets_->Put(slots_.size(), flags()));
    return buckets_->Finish();
  }

  double* flags() const { return reinterpret_cast<double*>(buckets_->memory(slots_.size())); }

  Status CheckFrozen() const {
    for (const NamedTensor& parameter : frozen_) {
      if (parameter.tensor.requires_grad()) {
        return FailedPreconditionError(
            "parameter " + Quoted(parameter.name) +
            " requires a gradient now, but did not when DistributedDataParallel was "
            "made; make a new one");
      }
    }
    return OkStatus();
  }

  /// After the reduction: the same on every rank, for the flags are.
  Status CheckUsed() {
    std::vector<std::string> unused;
    std::string here;
    for (Slot& slot : slots_) {
      const double ranks = flags()[slot.index] * group_.size();
      if (ranks > 0.5) slot.parameter.tensor.mutable_grad() = slot.gradient;
      if (ranks < group_.size() - 0.5) {
        unused.push_back(slot.parameter.name);
        if (!slot.touched) here = ", this one among them";
      }
    }
    if (unused.empty() || config_.unused_parameters == UnusedParameters::kAllow) return OkStatus();
    return FailedPreconditionError(
        "no gradient on some or all of the ranks" + here + " for " + std::to_string(unused.size()) +
        " of the parameters: " + Quoted(unused) +
        "; use them in every rank's loss, set requires_grad to false before "
        "DistributedDataParallel is made, or set unused_parameters to kAllow");
  }

  void StartNextPass() {
    for (Slot& slot : slots_) slot.touched = slot.ready = false;
  }

  Group& group_;
  const Config config_;
  const std::vector<NamedTensor> frozen_;
  const std::vector<NamedTensor> buffers_;
  const int& no_sync_depth_;
  const std::unique_ptr<GradientBuckets> buckets_;
  std::vector<Slot> slots_;  // they do not move: hooks point at them
  Status failure_;
};

Result<std::unique_ptr<DistributedDataParallel>> DistributedDataParallel::Create(
    torch::nn::Module& module, Group& group, Config config) {
  constexpr const char* kWhat = "making DistributedDataParallel";
  using Created = Result<std::unique_ptr<DistributedDataParallel>>;
  auto parallel = std::unique_ptr<DistributedDataParallel>(new DistributedDataParallel);
  Tensors tensors;
  const Status prepared =
      CatchExceptions(kWhat, [&] { return Prepare(module, group, config, tensors); });
  RETURN_IF_ERROR(Agree(group, prepared));
  return CatchExceptions(kWhat, [&]() -> Created {
    const auto& [parameters, buffers, trained, frozen] = tensors;
    RETURN_IF_ERROR(CheckLayoutsAgree(group, LayoutHash(parameters, buffers, config)));
    ASSIGN_OR_RETURN(auto buckets, MakeBuckets(trained, group, config));
    parallel->reducer_ = std::make_unique<Reducer>(group, config, std::move(buckets), trained,
                                                   frozen, buffers, parallel->no_sync_depth_);
    RETURN_IF_ERROR(BroadcastTensors(group, parameters));
    RETURN_IF_ERROR(BroadcastTensors(group, buffers));
    return std::move(parallel);
  });
}

/// What can fail on one rank alone.
Status DistributedDataParallel::Prepare(torch::nn::Module& module, const Group& group,
                                        const Config& config, Tensors& tensors) {
  tensors.parameters = ParametersOf(module);
  tensors.buffers = BuffersOf(module);
  if (config.first_bucket_bytes == 0 || config.bucket_bytes == 0) {
    return base::InvalidArgumentError("a bucket size of 0 bytes");
  }
  RETURN_IF_ERROR(CheckInMainMemory("parameter", tensors.parameters));
  RETURN_IF_ERROR(CheckInMainMemory("buffer", tensors.buffers));
  std::vector<NamedTensor> trained;
  for (const NamedTensor& parameter : tensors.parameters) {
    (parameter.tensor.requires_grad() ? trained : tensors.frozen).push_back(parameter);
  }
  if (trained.empty()) {
    return base::InvalidArgumentError("no parameter of the module requires a gradient");
  }
  ASSIGN_OR_RETURN(tensors.trained, InOrderOfGradients(trained, config));
  return CheckMeansExist(tensors.trained, group);
}

DistributedDataParallel::DistributedDataParallel() = default;
DistributedDataParallel::~DistributedDataParallel() = default;

Status DistributedDataParallel::Backward(const at::Tensor& loss) {
  reducer_->Record(CatchExceptions("computing gradients", [&loss] {
    loss.backward();
    return OkStatus();
  }));
  return no_sync_depth_ > 0 ? reducer_->failure() : Synchronize();
}

Status DistributedDataParallel::Synchronize() { return reducer_->Synchronize(); }

size_t DistributedDataParallel::bucket_count() const { return reducer_->bucket_count(); }

}  // namespace lockstep::train
