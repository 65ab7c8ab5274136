// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/checkpoint/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::rank {
namespace {

using base::ErrnoStatus;
using base::OkStatus;
using base::Result;
using base::Status;
using base::UniqueFd;

Result<UniqueFd> Open(const std::string& path, int flags) {
  UniqueFd fd(static_cast<int>(TEMP_FAILURE_RETRY(open(path.c_str(), flags | O_CLOEXEC, 0666))));
  if (!fd.valid()) return ErrnoStatus(errno, "open " + path);
  return fd;
}

/// errno's; 0 when all was written. Adds what was to `written_bytes`.
int WriteAll(int fd, std::span<const std::byte> bytes, size_t& written_bytes) {
  while (!bytes.empty()) {
    const ssize_t written = TEMP_FAILURE_RETRY(write(fd, bytes.data(), bytes.size()));
    if (written < 0) return errno;
    bytes = bytes.subspan(static_cast<size_t>(written));
    written_bytes += static_cast<size_t>(written);
  }
  return 0;
}

Status Sync(int fd, const std::string& path) {
  if (TEMP_FAILURE_RETRY(fsync(fd)) != 0) return ErrnoStatus(errno, "fsync " + path);
  return OkStatus();
}

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

Status RealFileSystem::MakeDirectories(const std::string& path) {
  const std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  std::filesystem::path made;
  for (const auto& name : normal) {
    made /= name;
    if (name.empty() || mkdir(made.c_str(), 0777) == 0) {
      if (!name.empty()) RETURN_IF_ERROR(SyncDirectory(ParentOf(made.string())));
      continue;
    }
    const int error = errno;
    std::error_code ignored;
    if (!std::filesystem::is_directory(made, ignored)) {
      return ErrnoStatus(error, "mkdir " + made.string());
    }
  }
  return OkStatus();
}

Status RealFileSystem::WriteDurably(const std::string& path,
                                    std::span<const std::span<const std::byte>> parts) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_WRONLY | O_CREAT | O_TRUNC));
  size_t bytes = 0;
  for (const auto& part : parts) bytes += part.size();
  size_t written_bytes = 0;
  for (const auto& part : parts) {
    if (const int error = WriteAll(fd.get(), part, written_bytes); error != 0) {
      return ErrnoStatus(error, "write " + path + " (" + std::to_string(bytes) +
                                    " bytes, of which " + std::to_string(written_bytes) +
                                    " were written)");
    }
  }
  RETURN_IF_ERROR(Sync(fd.get(), path));
  // Some network file systems only say here that the quota is used up.
  if (close(fd.release()) != 0) return ErrnoStatus(errno, "close " + path);
  return OkStatus();
}

Status RealFileSystem::SyncDirectory(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY | O_DIRECTORY));
  return Sync(fd.get(), path);
}

Status RealFileSystem::Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(errno, "rename " + from + " to " + to);
  }
  return OkStatus();
}

Status RealFileSystem::RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return ErrnoStatus(error.value(), "remove " + path);
  return OkStatus();
}

Result<std::vector<std::string>> RealFileSystem::ListDirectory(const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return ErrnoStatus(error.value(), "list " + path);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<std::byte>> RealFileSystem::ReadFile(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY));
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "stat " + path);
  // A folder or a device of that name would say no useful size.
  if (!S_ISREG(info.st_mode)) return base::InvalidArgumentError(path + " is no regular file");
  std::vector<std::byte> bytes(static_cast<size_t>(info.st_size));
  size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t got =
        TEMP_FAILURE_RETRY(read(fd.get(), bytes.data() + size, bytes.size() - size));
    if (got < 0) return ErrnoStatus(errno, "read " + path);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace lockstep::rank
