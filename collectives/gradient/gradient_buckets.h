// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_GRADIENT_GRADIENT_BUCKETS_H_
#define LOCKSTEP_COLLECTIVES_GRADIENT_GRADIENT_BUCKETS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collectives/group.h"
#include "runtime/base/result.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// Averages the gradients of a training step over a group while the rest of them is still computed.
/// Gradients lie one after the other in buckets, in memory that the other members reach; a bucket
/// is reduced in one piece, on the group's own thread, as soon as it and all before it are full.
/// The same bits on every member; in every run, where the group's are (`bitwise_reproducible`).
///
/// One per module and group. Borrows the group, which outlives it, and should have it for itself
/// while a step is under way. One thread at a time calls. Each step: Put for each gradient, in any
/// order; then Finish; then the means are in `memory`, until the next Put. It may end in the middle
/// of a step: what is in flight keeps its memory.
///
///   ASSIGN_OR_RETURN(auto buckets,
///                    GradientBuckets::Create(gradients, group, {.wire = Dtype::kBf16}));
///   for (...) {
///     ...  // backward; as each gradient is ready:
///     RETURN_IF_ERROR(buckets->Put(index, gradient));
///     RETURN_IF_ERROR(buckets->Finish());
///     ...  // buckets->memory(index) holds the mean
///   }
class GradientBuckets {
 public:
  struct Gradient {
    std::string name;  // in errors
    size_t count = 0;  // elements; 0 is allowed
    Dtype dtype = Dtype::kF32;
  };

  /// The same on all members.
  struct Config {
    /// The first is small, so that the reduction starts early. Source: the defaults of PyTorch's
    /// DDP.
    size_t first_bucket_bytes = size_t{1} << 20;
    size_t bucket_bytes = size_t{25} << 20;
    /// As what f32 gradients travel: kF32; or kBf16 or kF16, half the bytes: each member's gradient
    /// is rounded once, all are added up in f32, and the mean is rounded once; on wide also that of
    /// each machine, over mpi each sum of two. f16 is divided by the size of the group before, so
    /// that no sum overflows where each gradient does not.
    Dtype wire = Dtype::kF32;
    /// What the rounding of a gradient lost is added to the same gradient of the next step. Costs
    /// its size in memory.
    bool error_feedback = false;
  };

  /// `gradients`: in the order in which a backward pass has them ready, which is usually that of
  /// the layers, reversed; a bucket holds neighbours of one dtype. Collective; blocks, at most the
  /// group's timeout. Errors: InvalidArgument - no gradients, a bucket size of 0, a wire dtype that
  /// is none of the three, error feedback without rounding; Unimplemented - a dtype that the group
  /// cannot average; FailedPrecondition - gradients or Config of other members differ, by rank;
  /// those of the group.
  static base::Result<std::unique_ptr<GradientBuckets>> Create(std::vector<Gradient> gradients,
                                                               Group& group, Config config);
  ~GradientBuckets();

  /// The place of a gradient, aligned to 64 bytes. May be written until its Put of this step, and
  /// read after Finish: a gradient that is computed right there is not copied.
  std::byte* memory(size_t gradient) const;
  /// The same, and keeps it: also beyond this object and its group.
  std::shared_ptr<std::byte> SharedMemory(size_t gradient) const;

  /// Gradient `gradient` of this step is ready: its elements are at `values`, which may be
  /// memory(gradient), and may be reused at once. Waits only while 256 buckets are in flight.
  /// Errors: FailedPrecondition - the
  /// second one of this step, by name; InvalidArgument - `values` overlaps the buckets otherwise;
  /// after an error of the group, that one.
  base::Status Put(size_t gradient, const void* values);

  /// Waits until all means are there; at most the group's timeout. Errors: FailedPrecondition -
  /// gradients without a Put, by name: they may still be put; those of the group, with the bucket's
  /// first gradient, which are final.
  base::Status Finish();

  size_t bucket_count() const;
  /// The bucket in which a gradient lies, from 0: they are reduced in that order.
  size_t bucket_of(size_t gradient) const { return places_[gradient].bucket; }

 private:
  struct Bucket;
  struct Place {
    size_t bucket;
    size_t offset;  // bytes in its memory
  };

  GradientBuckets(std::vector<Gradient> gradients, Group& group, Config config);

  base::Status Check() const;
  base::Status CheckOthersAgree();
  void Fill();
  base::Status Allocate();
  bool OverlapsBuckets(const void* values, size_t bytes) const;
  void Launch(size_t index);
  base::Status Await(size_t index);
  base::Status CheckAllPut() const;

  const std::vector<Gradient> gradients_;
  Group& group_;
  const Config config_;
  std::vector<Place> places_;                     // by gradient
  std::vector<std::shared_ptr<Bucket>> buckets_;  // each shared with its op in flight
  std::vector<bool> put_;                         // by gradient, in this step
  size_t next_bucket_ = 0;                        // those before are in flight
  base::Status failure_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_GRADIENT_GRADIENT_BUCKETS_H_
