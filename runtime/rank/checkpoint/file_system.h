// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_CHECKPOINT_FILE_SYSTEM_H_
#define LOCKSTEP_RUNTIME_RANK_CHECKPOINT_FILE_SYSTEM_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace lockstep::rank {

/// The file calls of checkpoints, each of which can fail, and each of which a power cut can follow:
/// the seam at which tests make them. Implementations are stateless and thread-safe. All calls
/// block. Errors everywhere: errno's code, with the path.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// The folder with all above it, which may exist. A folder it makes survives a power cut.
  virtual base::Status MakeDirectories(const std::string& path) = 0;
  /// Makes or empties the file, writes `parts` one after the other, and waits until the bytes would
  /// survive a power cut; for the file's name see SyncDirectory. On error a part may be there; the
  /// message says how much of how much.
  virtual base::Status WriteDurably(const std::string& path,
                                    std::span<const std::span<const std::byte>> parts) = 0;
  /// Waits until what was made, renamed or removed in the folder would survive a power cut.
  virtual base::Status SyncDirectory(const std::string& path) = 0;
  virtual base::Status Rename(const std::string& from, const std::string& to) = 0;
  /// The folder and all below it; OK when there is none. Symbolic links are not followed.
  virtual base::Status RemoveTree(const std::string& path) = 0;
  /// Names in a folder, sorted, without "." and "..".
  virtual base::Result<std::vector<std::string>> ListDirectory(const std::string& path) = 0;
  virtual base::Result<std::vector<std::byte>> ReadFile(const std::string& path) = 0;
};

class RealFileSystem final : public FileSystem {
 public:
  base::Status MakeDirectories(const std::string& path) override;
  base::Status WriteDurably(const std::string& path,
                            std::span<const std::span<const std::byte>> parts) override;
  base::Status SyncDirectory(const std::string& path) override;
  base::Status Rename(const std::string& from, const std::string& to) override;
  base::Status RemoveTree(const std::string& path) override;
  base::Result<std::vector<std::string>> ListDirectory(const std::string& path) override;
  base::Result<std::vector<std::byte>> ReadFile(const std::string& path) override;
};

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_CHECKPOINT_FILE_SYSTEM_H_
