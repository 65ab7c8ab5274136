// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_JOBS_FILE_SYSTEM_H_
#define LOCKSTEP_LAUNCHER_JOBS_FILE_SYSTEM_H_

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace lockstep::launcher {

/// The file calls of a job directory, each of which can fail: the seam at which tests make them.
/// Implementations are stateless and thread-safe. Errors everywhere: errno's code, with the path.
/// Nothing is synced.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// AlreadyExists when there is something of that name.
  virtual base::Status MakeDirectory(const std::string& path) = 0;  // mode 0700
  /// Makes or empties the file (mode 0600) and writes `bytes`; on error a part of them may be
  /// there.
  virtual base::Status WriteFile(const std::string& path, std::string_view bytes) = 0;
  virtual base::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual base::Status RemoveFile(const std::string& path) = 0;
  /// The folder and all below it; symbolic links are removed, not followed.
  virtual base::Status RemoveTree(const std::string& path) = 0;
  /// ResourceExhausted when it is longer than `bytes_max`.
  virtual base::Result<std::string> ReadFile(const std::string& path, size_t bytes_max) = 0;
  /// Names in a folder, sorted, without "." and "..".
  virtual base::Result<std::vector<std::string>> ListDirectory(const std::string& path) = 0;
};

class RealFileSystem final : public FileSystem {
 public:
  base::Status MakeDirectory(const std::string& path) override;
  base::Status WriteFile(const std::string& path, std::string_view bytes) override;
  base::Status Rename(const std::string& from, const std::string& to) override;
  base::Status RemoveFile(const std::string& path) override;
  base::Status RemoveTree(const std::string& path) override;
  base::Result<std::string> ReadFile(const std::string& path, size_t bytes_max) override;
  base::Result<std::vector<std::string>> ListDirectory(const std::string& path) override;
};

/// Replaces `path` by `bytes` so that a reader sees the old file or the new one, never a part.
/// Needs `path`.tmp; one writer at a time. On error the old file stands and no temporary one is
/// left.
base::Status WriteAtomically(FileSystem& files, const std::string& path, std::string_view bytes);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_JOBS_FILE_SYSTEM_H_
