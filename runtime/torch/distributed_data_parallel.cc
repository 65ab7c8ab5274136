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
using collectives::Group;
using collectives::Reduction;
using collectives::Work;

constexpr int64_t kSlotAlignmentBytes = 64;  // vector loops then never straddle two parameters
constexpr size_t kNamesInErrorMax = 5;
// Each op of a group looks at all that are queued behind it: a long queue makes every one slow.
constexpr size_t kInFlightMax = 256;

/// One parameter's part of a bucket.
struct Slot {
  NamedTensor parameter;
  at::Tensor gradient;  // the parameter's place in the bucket, in its shape and strides
  // Holds the node that the parameter itself only holds weakly. `auto`, for its type differs
  // between releases of LibTorch (shared_ptr, intrusive_ptr).
  decltype(torch::autograd::impl::grad_accumulator(std::declval<at::Tensor&>())) accumulator;
  uintptr_t hook = 0;
  bool touched = false;  // got a gradient since the last pass that was synchronized
  bool ready = false;    // and lies in the bucket
};

/// Gradients of one dtype that are reduced in one piece. Memory: the slots, then one flag for each,
/// which the mean turns into the fraction of ranks that had a gradient for it.
struct Bucket {
  at::Tensor memory;
  Dtype dtype = Dtype::kF32;
  std::vector<Slot> slots;
  size_t pending = 0;  // slots that are not ready
  std::shared_ptr<Work> work;
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

int64_t AlignedElements(const at::Tensor& parameter) {
  const auto alignment = kSlotAlignmentBytes / static_cast<int64_t>(parameter.element_size());
  return (parameter.numel() + alignment - 1) / alignment * alignment;
}

/// A tensor over `bucket`'s memory. Not a view of it: LibTorch's zero_grad refuses gradients that
/// are views ("Can't detach views in-place"). It keeps the memory alive.
at::Tensor GradientOver(const at::Tensor& memory, int64_t offset, const at::Tensor& parameter) {
  char* data =
      static_cast<char*>(memory.data_ptr()) + offset * static_cast<int64_t>(memory.element_size());
  // With strides other than the parameter's, autograd would replace it at every pass.
  const auto strides =
      parameter.is_non_overlapping_and_dense()
          ? parameter.strides().vec()
          : at::empty_like(parameter, at::MemoryFormat::Contiguous).strides().vec();
  return torch::from_blob(data, parameter.sizes(), strides, [memory](void*) {}, parameter.dtype());
}

void Allocate(Bucket& bucket) {
  int64_t elements = static_cast<int64_t>(bucket.slots.size());
  for (const Slot& slot : bucket.slots) elements += AlignedElements(slot.parameter.tensor);
  bucket.memory =
      at::zeros({elements}, bucket.slots[0].parameter.tensor.options().requires_grad(false));
  int64_t offset = 0;
  for (Slot& slot : bucket.slots) {
    slot.gradient = GradientOver(bucket.memory, offset, slot.parameter.tensor);
    offset += AlignedElements(slot.parameter.tensor);
  }
  bucket.pending = bucket.slots.size();
}

at::Tensor FlagsOf(const Bucket& bucket) {
  const auto count = static_cast<int64_t>(bucket.slots.size());
  return bucket.memory.narrow(0, bucket.memory.numel() - count, count);
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

/// In the reverse order of registration, which is about the order in which backward finishes them.
Result<std::vector<Bucket>> FillBuckets(const std::vector<NamedTensor>& parameters,
                                        const DistributedDataParallel::Config& config) {
  std::vector<Bucket> buckets;
  std::map<Dtype, std::pair<size_t, size_t>> open;  // dtype -> its bucket and the bytes in that
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    const Result<Dtype> dtype = DtypeOf(parameter->tensor);
    if (!dtype.ok()) return dtype.status().WithFrame("parameter " + Quoted(parameter->name));
    const size_t bytes = parameter->tensor.nbytes();
    const auto found = open.find(*dtype);
    const size_t limit = found != open.end() && found->second.first > 0 ? config.bucket_bytes
                                                                        : config.first_bucket_bytes;
    if (found == open.end() || found->second.second + bytes > limit) {
      buckets.emplace_back().dtype = *dtype;
      open[*dtype] = {buckets.size() - 1, 0};
    }
    auto& [index, bytes_in_it] = open[*dtype];
    buckets[index].slots.emplace_back().parameter = *parameter;
    bytes_in_it += bytes;
  }
  return buckets;
}

/// A reduction that a group refuses would end it with the first bucket.
Status CheckMeansExist(const std::vector<Bucket>& buckets, const Group& group) {
  for (const Bucket& bucket : buckets) {
    if (group.CanReduce(bucket.dtype, Reduction::kAverage)) continue;
    return base::UnimplementedError("the group cannot average gradients of dtype " +
                                    std::string(collectives::DtypeName(bucket.dtype)) +
                                    ", as that of parameter " +
                                    Quoted(bucket.slots.front().parameter.name));
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
      std::to_string(config.broadcast_buffers));
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

/// Owns buckets and hooks; autograd calls the hooks on the thread that runs backward.
class DistributedDataParallel::Reducer {
 public:
  Reducer(Group& group, Config config, std::vector<Bucket> buckets, std::vector<NamedTensor> frozen,
          std::vector<NamedTensor> buffers, const int& no_sync_depth)
      : group_(group),
        config_(config),
        frozen_(std::move(frozen)),
        buffers_(std::move(buffers)),
        no_sync_depth_(no_sync_depth),
        buckets_(std::move(buckets)) {
    for (Bucket& bucket : buckets_) {
      Allocate(bucket);
      for (Slot& slot : bucket.slots) AddHook(bucket, slot);
    }
  }

  ~Reducer() {
    for (Bucket& bucket : buckets_) {
      for (Slot& slot : bucket.slots) slot.accumulator->del_post_hook(slot.hook);
      // An op in flight needs its memory until it ends; nobody needs to wait for that here.
      if (bucket.work != nullptr)
        bucket.work->OnComplete([memory = bucket.memory](const Status&) {});
    }
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
  size_t bucket_count() const { return buckets_.size(); }

 private:
  using Variables = std::vector<at::Tensor>;

  void AddHook(Bucket& bucket, Slot& slot) {
    slot.accumulator = torch::autograd::impl::grad_accumulator(slot.parameter.tensor);
    slot.hook =
        slot.accumulator->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
            [this, &bucket, &slot](const Variables& outputs, const Variables&) {
              OnGradient(bucket, slot);
              return outputs;
            }));
  }

  void OnGradient(Bucket& bucket, Slot& slot) {
    if (no_sync_depth_ > 0) {
      slot.touched = true;
    } else if (failure_.ok()) {
      Record(CatchExceptions("taking a gradient", [&] { return TakeGradient(bucket, slot); }));
    }
  }

  Status TakeGradient(Bucket& bucket, Slot& slot) {
    if (slot.ready) {
      return FailedPreconditionError("parameter " + Quoted(slot.parameter.name) +
                                     " got a second gradient before Synchronize; call it after "
                                     "each backward, or put all backward "
                                     "passes but the last under NoSync");
    }
    slot.touched = true;
    RETURN_IF_ERROR(PutIntoBucket(slot));
    slot.ready = true;
    --bucket.pending;
    // In the order of the buckets, on every rank: a bucket that is full early waits for those
    // before.
    while (next_bucket_ < buckets_.size() && buckets_[next_bucket_].pending == 0) {
      RETURN_IF_ERROR(LaunchNext());
    }
    return OkStatus();
  }

  /// Afterwards the slot holds the parameter's gradient, or zeros if it has none.
  static Status PutIntoBucket(Slot& slot) {
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

  Status LaunchNext() {
    if (next_bucket_ >= kInFlightMax) RETURN_IF_ERROR(WaitFor(next_bucket_ - kInFlightMax));
    Bucket& bucket = buckets_[next_bucket_];
    const at::Tensor flags = FlagsOf(bucket).fill_(1);
    for (size_t i = 0; i < bucket.slots.size(); ++i) {
      if (!bucket.slots[i].touched) flags[static_cast<int64_t>(i)] = 0;
    }
    const collectives::Buffer buffer{bucket.memory.data_ptr(),
                                     static_cast<size_t>(bucket.memory.numel()), bucket.dtype};
    bucket.work = group_.AllReduce(buffer, buffer, Reduction::kAverage,
                                   {.tag = "bucket " + std::to_string(next_bucket_)});
    ++next_bucket_;
    return OkStatus();
  }

  Status WaitFor(size_t index) {
    Bucket& bucket = buckets_[index];
    if (bucket.work == nullptr) return OkStatus();
    RETURN_IF_ERROR(bucket.work->Wait().WithFrame("while averaging the gradients of bucket " +
                                                  std::to_string(index) + ", which begins with " +
                                                  Quoted(bucket.slots.front().parameter.name)));
    bucket.work = nullptr;
    return OkStatus();
  }

  /// Sends what no hook has completed, and waits for all.
  Status Finish() {
    RETURN_IF_ERROR(CheckFrozen());
    const c10::NoGradGuard no_grad;
    while (next_bucket_ < buckets_.size()) {
      for (Slot& slot : buckets_[next_bucket_].slots) {
        if (!slot.ready) RETURN_IF_ERROR(PutIntoBucket(slot));
      }
      RETURN_IF_ERROR(LaunchNext());
    }
    for (size_t i = 0; i < buckets_.size(); ++i) RETURN_IF_ERROR(WaitFor(i));
    return OkStatus();
  }

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
    for (Bucket& bucket : buckets_) {
      const at::Tensor fractions = FlagsOf(bucket).to(at::kDouble);
      for (size_t i = 0; i < bucket.slots.size(); ++i) {
        Slot& slot = bucket.slots[i];
        const double ranks = fractions.data_ptr<double>()[i] * group_.size();
        if (ranks > 0.5) slot.parameter.tensor.mutable_grad() = slot.gradient;
        if (ranks < group_.size() - 0.5) {
          unused.push_back(slot.parameter.name);
          if (!slot.touched) here = ", this one among them";
        }
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
    next_bucket_ = 0;
    for (Bucket& bucket : buckets_) {
      bucket.pending = bucket.slots.size();
      for (Slot& slot : bucket.slots) slot.touched = slot.ready = false;
    }
  }

  Group& group_;
  const Config config_;
  const std::vector<NamedTensor> frozen_;
  const std::vector<NamedTensor> buffers_;
  const int& no_sync_depth_;
  std::vector<Bucket> buckets_;  // neither these nor their slots move: hooks point at them
  size_t next_bucket_ = 0;       // those before are being reduced
  Status failure_;
};

Result<std::unique_ptr<DistributedDataParallel>> DistributedDataParallel::Create(
    torch::nn::Module& module, Group& group, Config config) {
  constexpr const char* kWhat = "making DistributedDataParallel";
  using Created = Result<std::unique_ptr<DistributedDataParallel>>;
  auto parallel = std::unique_ptr<DistributedDataParallel>(new DistributedDataParallel);
  std::vector<NamedTensor> parameters, buffers;
  const Status prepared = CatchExceptions(kWhat, [&] {
    parameters = ParametersOf(module);
    buffers = BuffersOf(module);
    return parallel->Prepare(parameters, buffers, group, config);
  });
  RETURN_IF_ERROR(Agree(group, prepared));
  return CatchExceptions(kWhat, [&]() -> Created {
    RETURN_IF_ERROR(CheckLayoutsAgree(group, LayoutHash(parameters, buffers, config)));
    RETURN_IF_ERROR(BroadcastTensors(group, parameters));
    RETURN_IF_ERROR(BroadcastTensors(group, buffers));
    return std::move(parallel);
  });
}

/// What can fail on one rank alone.
Status DistributedDataParallel::Prepare(const std::vector<NamedTensor>& parameters,
                                        const std::vector<NamedTensor>& buffers, Group& group,
                                        const Config& config) {
  if (config.first_bucket_bytes == 0 || config.bucket_bytes == 0) {
    return base::InvalidArgumentError("a bucket size of 0 bytes");
  }
  RETURN_IF_ERROR(CheckInMainMemory("parameter", parameters));
  RETURN_IF_ERROR(CheckInMainMemory("buffer", buffers));
  std::vector<NamedTensor> trained, frozen;
  for (const NamedTensor& parameter : parameters) {
    (parameter.tensor.requires_grad() ? trained : frozen).push_back(parameter);
  }
  if (trained.empty()) {
    return base::InvalidArgumentError("no parameter of the module requires a gradient");
  }
  ASSIGN_OR_RETURN(std::vector<Bucket> buckets, FillBuckets(trained, config));
  RETURN_IF_ERROR(CheckMeansExist(buckets, group));
  reducer_ = std::make_unique<Reducer>(group, config, std::move(buckets), std::move(frozen),
                                       buffers, no_sync_depth_);
  return OkStatus();
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
