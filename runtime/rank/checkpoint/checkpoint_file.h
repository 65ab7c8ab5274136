// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_CHECKPOINT_CHECKPOINT_FILE_H_
#define LOCKSTEP_RUNTIME_RANK_CHECKPOINT_CHECKPOINT_FILE_H_

// The byte format: a safetensors file, which any reader of those opens, with checksums.
//
//   u64 little endian   N, the length of the header
//   N bytes             JSON, padded with spaces so that the data begins at a multiple of 4,096:
//                       {"__metadata__":{"step":"120",...},
//                        "model/conv.weight":{"dtype":"F32","shape":[16,1,5,5],
//                                             "data_offsets":[0,1600]},
//                        ...
//                        "lockstep.crc32c":{"dtype":"U8","shape":[12],"data_offsets":[1608,1620]}}
//   data                the tensors in the order of their offsets; no holes, little endian,
//                       row-major
//
// The last tensor, lockstep.crc32c, holds one u32 little endian for the header (its eight length
// bytes included), then one for each tensor before it in the order of the data: their CRC32C. So
// every bit of the file is checked. Names and metadata are UTF-8.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/types.h"
#include "runtime/base/result.h"
#include "runtime/storage/file_system.h"

namespace lockstep::rank {

/// A named array in somebody else's memory; bytes.size() is what dtype and shape say.
struct TensorView {
  std::string name;
  collectives::Dtype dtype = collectives::Dtype::kF32;
  std::vector<int64_t> shape;  // empty: a scalar
  std::span<const std::byte> bytes;
};

using CheckpointMetadata = std::map<std::string, std::string>;

/// What a checkpoint file holds, read and found whole. Owns its bytes. Moves, does not copy.
/// Thread-safe as far as it is const.
class CheckpointFile {
 public:
  /// Takes the bytes of a file, checks its form and every checksum.
  /// Errors: DataLoss - no such file or a damaged one: what and where; Unimplemented - a dtype of
  /// safetensors that this build does not know.
  static base::Result<CheckpointFile> Parse(std::vector<std::byte> bytes);

  CheckpointFile(CheckpointFile&&) = default;
  CheckpointFile& operator=(CheckpointFile&&) = default;
  CheckpointFile(const CheckpointFile&) = delete;
  CheckpointFile& operator=(const CheckpointFile&) = delete;

  const CheckpointMetadata& metadata() const { return metadata_; }
  /// In the order of the data, without lockstep.crc32c. The views live as long as this object.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  /// Null when there is none of that name.
  const TensorView* Find(std::string_view name) const;
  /// The whole file.
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  CheckpointFile() = default;

  std::vector<std::byte> bytes_;
  CheckpointMetadata metadata_;
  std::vector<TensorView> tensors_;
};

/// Writes such a file and waits until its bytes would survive a power cut (its name: see
/// storage::FileSystem::SyncDirectory). The larger element sizes come first, so that all data is
/// aligned. Errors: InvalidArgument - two tensors of one name, a reserved name, or a size that is
/// not what dtype and shape say; those of storage::FileSystem::WriteFile.
base::Status WriteCheckpointFile(storage::FileSystem& files, const std::string& path,
                                 const CheckpointMetadata& metadata,
                                 std::vector<TensorView> tensors);

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_CHECKPOINT_CHECKPOINT_FILE_H_
