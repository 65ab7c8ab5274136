// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_JOBS_FAULTY_FILE_SYSTEM_H_
#define LOCKSTEP_LAUNCHER_JOBS_FAULTY_FILE_SYSTEM_H_

#include <errno.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/errno_status.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {

/// For tests: the real file system, whose `failing_call`-th changing call (from 1; 0 = none) and
/// all later ones fail as on a full disk, where a write leaves half of its bytes; removing still
/// works there. Counts the calls. Confined to one thread.
class FaultyFileSystem final : public storage::FileSystem {
 public:
  explicit FaultyFileSystem(int failing_call) : failing_call_(failing_call) {}

  int calls() const { return calls_; }
  bool failed() const { return failing_call_ > 0 && calls_ >= failing_call_; }

  base::Status MakeDirectory(const std::string& path) override {
    return Fails() ? base::ErrnoStatus(ENOSPC, "make folder " + path) : real_.MakeDirectory(path);
  }
  base::Status MakeDirectories(const std::string& path) override {
    return Fails() ? base::ErrnoStatus(ENOSPC, "make folder " + path) : real_.MakeDirectories(path);
  }
  base::Status WriteFile(const std::string& path, std::span<const std::span<const std::byte>> parts,
                         WriteOptions options) override {
    if (!Fails()) return real_.WriteFile(path, parts, options);
    std::vector<std::span<const std::byte>> halves;
    for (const auto& part : parts) halves.push_back(part.first(part.size() / 2));
    (void)real_.WriteFile(path, halves, options);
    return base::ErrnoStatus(ENOSPC, "write " + path);
  }
  base::Status SyncDirectory(const std::string& path) override { return real_.SyncDirectory(path); }
  base::Status Rename(const std::string& from, const std::string& to) override {
    return Fails() ? base::ErrnoStatus(ENOSPC, "rename " + from) : real_.Rename(from, to);
  }
  base::Status RemoveFile(const std::string& path) override { return real_.RemoveFile(path); }
  base::Status RemoveTree(const std::string& path) override { return real_.RemoveTree(path); }
  base::Result<std::vector<std::string>> ListDirectory(const std::string& path) override {
    return real_.ListDirectory(path);
  }
  base::Result<std::vector<std::byte>> ReadFile(const std::string& path,
                                                size_t bytes_max) override {
    return real_.ReadFile(path, bytes_max);
  }

 private:
  bool Fails() {
    ++calls_;
    return failed();
  }

  const int failing_call_;
  int calls_ = 0;
  storage::RealFileSystem real_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_JOBS_FAULTY_FILE_SYSTEM_H_
