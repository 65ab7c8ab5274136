// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_CHECKPOINT_CHECKPOINT_STORE_H_
#define LOCKSTEP_RUNTIME_RANK_CHECKPOINT_CHECKPOINT_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/rank/checkpoint/checkpoint_file.h"
#include "runtime/storage/file_system.h"

namespace lockstep::rank {

/// A folder of checkpoints, one by step; at every moment, also one of a crash or a power cut, each
/// of them is there as a whole or not at all:
///
///   DIRECTORY/step-120/state.safetensors
///   DIRECTORY/step-140.tmp/                 being written; swept away by the next Write
///
/// One writer at a time (rank 0); readers need no lock. Borrows the FileSystem. One thread at a
/// time. All calls block on the disk.
class CheckpointStore {
 public:
  struct Config {
    std::string directory;  // made when it does not exist
    int keep_last = 3;      // at least 1; whole ones: one that is damaged does not count
  };

  struct Loaded {
    int64_t step = 0;
    CheckpointFile file;
  };
  struct Search {
    std::optional<Loaded> found;        // none: there is no checkpoint
    std::vector<base::Status> refused;  // newer ones that are damaged or unreadable, newest first
  };

  /// Errors: InvalidArgument - a bad Config; those of FileSystem::MakeDirectories.
  static base::Result<std::unique_ptr<CheckpointStore>> Create(Config config,
                                                               storage::FileSystem& files);

  /// Makes step-STEP, in place of an old one of that number, then removes those that are older than
  /// the keep_last newest whole ones up to STEP. A checkpoint of a later step stays: it was
  /// refused, or is another run's. Which ones are whole this object knows of those that it wrote or
  /// found; any other it reads once, when removing an older one depends on it.
  /// On error every step that was there still is, STEP the old or the new one.
  /// Errors: those of WriteCheckpointFile and of the FileSystem, with the path: ResourceExhausted -
  /// disk or quota full: how much of how much, and what to do. When only the removal of old ones
  /// failed, the new one is safe.
  base::Status Write(int64_t step, const CheckpointMetadata& metadata,
                     std::vector<TensorView> tensors);

  /// The newest checkpoint that is whole.
  /// Errors: DataLoss - there are checkpoints and none is whole: starting afresh over them is for a
  /// person to decide; those of FileSystem::ListDirectory.
  base::Result<Search> FindNewest();

  const std::string& directory() const { return config_.directory; }

 private:
  CheckpointStore(Config config, storage::FileSystem& files)
      : config_(std::move(config)), files_(files) {}

  base::Status Add(int64_t step, const CheckpointMetadata& metadata,
                   std::vector<TensorView> tensors);
  base::Status Publish(int64_t step, const std::string& temporary);
  base::Status Sweep();
  std::string PathOf(int64_t step) const;
  base::Result<std::vector<int64_t>> Steps();
  base::Result<CheckpointFile> Read(int64_t step);
  bool IsWhole(int64_t step);
  base::Status RemoveOutdated(int64_t newest_step);

  const Config config_;
  storage::FileSystem& files_;
  std::map<int64_t, bool> is_whole_;  // by step, as far as it is known
};

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_CHECKPOINT_CHECKPOINT_STORE_H_
