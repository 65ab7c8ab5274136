// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_CHECKPOINTER_H_
#define LOCKSTEP_RUNTIME_TORCH_CHECKPOINTER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectives/group.h"
#include "runtime/base/result.h"
#include "runtime/rank/checkpoint/checkpoint_store.h"
#include "runtime/rank/sampler/distributed_sampler.h"
#include "runtime/storage/file_system.h"

namespace torch::nn {
class Module;
}
namespace torch::optim {
class Optimizer;
}

namespace lockstep::train {

/// Saves a training and puts it back, so that the run goes on as if it had never stopped:
/// parameters, buffers, optimizer (state and options), the random number generator of every rank,
/// sampler, step. Rank 0 alone touches the disk, and sends what it reads to the others: the
/// checkpoint folder need not be shared, and no two ranks can start from different steps. One per
/// training, on each rank. All calls are collective, made by all ranks at the same step, and block:
/// on the disk at rank 0, elsewhere at most the group's timeout. An error of rank 0 is everybody's.
/// One thread at a time, the one that trains.
///
///   ASSIGN_OR_RETURN(auto checkpointer, Checkpointer::Create({directory},
///                                                            {*net, optimizer, sampler},
///                                                            *group, files));
///   ASSIGN_OR_RETURN(const auto restored, checkpointer->Restore());
///   for (int64_t step = restored.step; ...;) {
///     ...
///     if (++step % 100 == 0) RETURN_IF_ERROR(checkpointer->Save(step));
///   }
///
/// Layout of a file: rank/checkpoint/checkpoint_file.h. Tensors: "model/NAME" (parameters and
/// buffers), "optimizer/PARAMETER/FIELD", "rng/cpu" (a row for each rank). Metadata:
/// "lockstep.format" (1), "lockstep.step", "lockstep.world_size", "lockstep.sampler.*",
/// "lockstep.optimizer.*".
class Checkpointer {
 public:
  using Config = rank::CheckpointStore::Config;

  /// What is saved. Borrowed; outlives the Checkpointer. A training without some part of it has no
  /// use for Save's promise, so all are required.
  struct Parts {
    torch::nn::Module& module;
    torch::optim::Optimizer& optimizer;
    rank::DistributedSampler& sampler;
  };

  struct Restored {
    bool found = false;  // false: nothing was there, nothing was touched
    int64_t step = 0;
    /// Why newer checkpoints were passed over, newest first; told on rank 0 alone.
    std::vector<base::Status> refused;
  };

  /// Errors: those of CheckpointStore::Create and of the group.
  static base::Result<std::unique_ptr<Checkpointer>> Create(Config config, Parts parts,
                                                            collectives::Group& group,
                                                            storage::FileSystem& files);
  ~Checkpointer();

  /// After it returns OK, the checkpoint survives a power cut. Nothing is done when `step` is the
  /// one last saved or restored. On error the training and the older checkpoints are as they were.
  /// Errors: those of CheckpointStore::Write, Unimplemented - an optimizer or dtype that cannot be
  /// saved; on the other ranks Aborted, which says that rank 0 failed.
  base::Status Save(int64_t step);

  /// Puts back the newest whole checkpoint. All ranks first find that it fits; on error nothing has
  /// changed on any rank, unless the error says that a part has (memory ran out in between).
  /// Errors: DataLoss - none is whole; FailedPrecondition - saved by another number of ranks,
  /// another model or optimizer, or a newer format, by name; InvalidArgument - the sampler's, of
  /// another data set or global batch; on the other ranks Aborted.
  base::Result<Restored> Restore();

 private:
  Checkpointer(Parts parts, collectives::Group& group);

  base::Status Write(int64_t step, const std::vector<std::byte>& generators);
  base::Status Share(std::optional<rank::CheckpointFile>& file);
  /// What brings the parts to the file's state; changes nothing itself.
  base::Result<std::vector<std::function<void()>>> Prepare(const rank::CheckpointFile& file,
                                                           int64_t& step);

  Parts parts_;
  collectives::Group& group_;
  std::unique_ptr<rank::CheckpointStore> store_;  // rank 0's; null elsewhere
  int64_t last_step_ = -1;                        // saved or restored
};

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_CHECKPOINTER_H_
