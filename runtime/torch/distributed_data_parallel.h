// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_DISTRIBUTED_DATA_PARALLEL_H_
#define LOCKSTEP_RUNTIME_TORCH_DISTRIBUTED_DATA_PARALLEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "collectives/group.h"
#include "runtime/base/result.h"

namespace at {
class Tensor;
}
namespace torch::nn {
class Module;
}

namespace lockstep::train {

/// Keeps the replicas of a module on all ranks of a group equal: Create gives everybody rank 0's
/// parameters and buffers, and each Backward leaves the mean of all ranks' gradients in each
/// parameter's grad(), the same bits on every rank (and in every run, where the group's are:
/// `bitwise_reproducible`). Reduction of the gradients that are ready overlaps with the computing
/// of the others: in memory that the ranks of a machine share, and in 16 bits if wanted
/// (collectives/gradient).
///
/// One per module; several modules need a group each, or take turns. Borrows the module and the
/// group; both outlive it. One thread at a time, the one that runs backward. After its end the
/// module is an ordinary one again, its gradients stay valid.
///
///   ASSIGN_OR_RETURN(auto parallel, DistributedDataParallel::Create(*net, *group, {}));
///   auto optimizer = torch::optim::AdamW(net->parameters(), 1e-3);
///   for (...) {
///     optimizer.zero_grad();
///     RETURN_IF_ERROR(parallel->Backward(loss(net->forward(x), y)));
///     optimizer.step();
///   }
///
/// - Gradients accumulate over passes as in one process until zero_grad, in any of its spellings.
/// - grad() lies in memory of this object's buckets; with create_graph its history is lost.
/// - Parameters without requires_grad at Create are left alone. A tied one counts once.
/// - Ranks whose losses are sums: see rank/sampler for the weights that give the exact mean.
class DistributedDataParallel {
 public:
  /// A parameter that gets no gradient in a pass.
  enum class UnusedParameters : uint8_t {
    kRefuse,  // is an error that names it, on every rank
    kAllow,  // counts as zeros where another rank has a gradient, and stays as it is where none has
  };

  /// The same on all ranks.
  struct Config {
    /// A bucket of gradients is reduced in one piece as soon as it is full. The first is small, so
    /// that the reduction starts early. Source: the defaults of PyTorch's DDP.
    size_t first_bucket_bytes = size_t{1} << 20;
    size_t bucket_bytes = size_t{25} << 20;
    UnusedParameters unused_parameters = UnusedParameters::kRefuse;
    /// Synchronize also copies rank 0's buffers (running means and the like) to all.
    bool broadcast_buffers = true;
    /// As what f32 gradients travel: kF32; or kBf16 or kF16, half the bytes, each rounded once on
    /// its rank and their mean once more (collectives/gradient/gradient_buckets.h).
    collectives::Dtype wire = collectives::Dtype::kF32;
    /// What that rounding lost is added to the same gradient of the next pass; costs its memory.
    bool error_feedback = false;
  };

  /// Backward passes within its life stay local: gradients add up and no rank waits. It need not
  /// span the forward pass.
  class [[nodiscard]] NoSyncScope {
   public:
    explicit NoSyncScope(int& depth) : depth_(depth) { ++depth_; }
    ~NoSyncScope() { --depth_; }
    NoSyncScope(const NoSyncScope&) = delete;
    NoSyncScope& operator=(const NoSyncScope&) = delete;

   private:
    int& depth_;
  };

  /// Collective: an error of one rank is everybody's, and leaves the group whole. Blocks, at most
  /// the group's timeout. Errors: InvalidArgument - nothing to train, bucket sizes of 0, a
  /// wire dtype that is none of the three, or error feedback without rounding;
  /// FailedPrecondition - the modules of the ranks differ: which ranks; Unimplemented - a parameter
  /// or buffer that is not a dense one on the CPU, or a gradient whose dtype the group cannot
  /// average; Aborted - only other ranks have one of these; those of the group.
  static base::Result<std::unique_ptr<DistributedDataParallel>> Create(torch::nn::Module& module,
                                                                       collectives::Group& group,
                                                                       Config config);
  ~DistributedDataParallel();

  /// loss.backward(), then Synchronize(). Collective but under NoSync. Errors: what LibTorch
  /// throws; those of Synchronize. An error on one rank aborts the group, so that no rank waits for
  /// it.
  base::Status Backward(const at::Tensor& loss);

  /// For programs that call backward() themselves: once after each, but those under NoSync. Blocks
  /// until every gradient is the mean, at most the group's timeout.
  /// Errors: FailedPrecondition - parameters without a gradient (kRefuse), one with two since the
  /// last call, one whose requires_grad, dtype or shape has changed since Create, all by name;
  /// Unimplemented
  /// - a sparse gradient; those of the group, with the bucket's parameters. Gradients are
  /// unspecified then. Only after the first of these may training go on.
  base::Status Synchronize();

  NoSyncScope NoSync() { return NoSyncScope(no_sync_depth_); }

  size_t bucket_count() const;

 private:
  class Reducer;
  struct Tensors;

  DistributedDataParallel();

  static base::Status Prepare(torch::nn::Module& module, const collectives::Group& group,
                              const Config& config, Tensors& tensors);

  int no_sync_depth_ = 0;
  std::unique_ptr<Reducer> reducer_;
};

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_DISTRIBUTED_DATA_PARALLEL_H_
