// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_STORAGE_FILE_SYSTEM_H_
#define LOCKSTEP_RUNTIME_STORAGE_FILE_SYSTEM_H_

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace lockstep::storage {

/// The file calls of what must stay whole, job directories and checkpoints: each of them can fail,
/// and a power cut can follow each. The seam at which tests make that happen. Implementations are
/// stateless and thread-safe. All calls block. Errors everywhere: errno's code, with the path.
class FileSystem {
 public:
  struct WriteOptions {
    mode_t mode = 0666;       // of a new file, less the umask
    bool is_durable = false;  // wait until the bytes would survive a power cut
  };

  virtual ~FileSystem() = default;

  /// For this user alone: mode 0700. AlreadyExists when there is something of that name.
  virtual base::Status MakeDirectory(const std::string& path) = 0;
  /// The folder with all above it, which may exist. A folder it makes survives a power cut.
  virtual base::Status MakeDirectories(const std::string& path) = 0;
  /// Makes or empties the file and writes `parts` one after the other; a symbolic link is refused.
  /// For the file's name in a power cut see SyncDirectory. On error a part may be there; the
  /// message says how much of how much.
  virtual base::Status WriteFile(const std::string& path,
                                 std::span<const std::span<const std::byte>> parts,
                                 WriteOptions options) = 0;
  /// Waits until what was made, renamed or removed in the folder would survive a power cut; OK at
  /// once where the file system knows no such thing.
  virtual base::Status SyncDirectory(const std::string& path) = 0;
  virtual base::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual base::Status RemoveFile(const std::string& path) = 0;
  /// The folder and all below it; OK when there is none. Symbolic links are removed, not followed.
  virtual base::Status RemoveTree(const std::string& path) = 0;
  /// Names in a folder, sorted, without "." and "..".
  virtual base::Result<std::vector<std::string>> ListDirectory(const std::string& path) = 0;
  /// InvalidArgument when it is no regular file, ResourceExhausted when it is longer than
  /// `bytes_max`.
  virtual base::Result<std::vector<std::byte>> ReadFile(const std::string& path,
                                                        size_t bytes_max) = 0;
};

class RealFileSystem final : public FileSystem {
 public:
  base::Status MakeDirectory(const std::string& path) override;
  base::Status MakeDirectories(const std::string& path) override;
  base::Status WriteFile(const std::string& path, std::span<const std::span<const std::byte>> parts,
                         WriteOptions options) override;
  base::Status SyncDirectory(const std::string& path) override;
  base::Status Rename(const std::string& from, const std::string& to) override;
  base::Status RemoveFile(const std::string& path) override;
  base::Status RemoveTree(const std::string& path) override;
  base::Result<std::vector<std::string>> ListDirectory(const std::string& path) override;
  base::Result<std::vector<std::byte>> ReadFile(const std::string& path, size_t bytes_max) override;
};

/// ReadFile's bytes as text.
base::Result<std::string> ReadText(FileSystem& files, const std::string& path, size_t bytes_max);

/// Replaces `path` by `bytes` so that a reader sees the old file or the new one, never a part; for
/// this user alone (mode 0600), nothing is synced. Needs `path`.tmp; one writer at a time. On error
/// the old file stands and no temporary one is left.
base::Status ReplaceFile(FileSystem& files, const std::string& path, std::string_view bytes);

}  // namespace lockstep::storage

#endif  // LOCKSTEP_RUNTIME_STORAGE_FILE_SYSTEM_H_
