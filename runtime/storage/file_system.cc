// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/storage/file_system.h"

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

namespace lockstep::storage {
namespace {

base::Result<base::UniqueFd> Open(const std::string& path, int flags, mode_t mode = 0) {
  base::UniqueFd fd(
      static_cast<int>(TEMP_FAILURE_RETRY(open(path.c_str(), flags | O_CLOEXEC, mode))));
  if (!fd.valid()) return base::ErrnoStatus(errno, "open " + path);
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

base::Status Sync(int fd, const std::string& path) {
  if (TEMP_FAILURE_RETRY(fsync(fd)) != 0) return base::ErrnoStatus(errno, "fsync " + path);
  return base::OkStatus();
}

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

base::Status RealFileSystem::MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return base::OkStatus();
  return base::ErrnoStatus(errno, "make folder " + path);
}

base::Status RealFileSystem::MakeDirectories(const std::string& path) {
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
      return base::ErrnoStatus(error, "make folder " + made.string());
    }
  }
  return base::OkStatus();
}

base::Status RealFileSystem::WriteFile(const std::string& path,
                                       std::span<const std::span<const std::byte>> parts,
                                       WriteOptions options) {
  ASSIGN_OR_RETURN(base::UniqueFd fd,
                   Open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, options.mode));
  size_t bytes = 0;
  for (const auto& part : parts) bytes += part.size();
  size_t written_bytes = 0;
  for (const auto& part : parts) {
    if (const int error = WriteAll(fd.get(), part, written_bytes); error != 0) {
      return base::ErrnoStatus(error, "write " + path + " (" + std::to_string(bytes) +
                                          " bytes, of which " + std::to_string(written_bytes) +
                                          " were written)");
    }
  }
  if (options.is_durable) RETURN_IF_ERROR(Sync(fd.get(), path));
  // Some network file systems only say here that the quota is used up.
  if (close(fd.release()) != 0) return base::ErrnoStatus(errno, "close " + path);
  return base::OkStatus();
}

base::Status RealFileSystem::SyncDirectory(const std::string& path) {
  ASSIGN_OR_RETURN(base::UniqueFd fd, Open(path, O_RDONLY | O_DIRECTORY));
  // Some network file systems (CIFS) have no such call: their servers order names themselves.
  if (TEMP_FAILURE_RETRY(fsync(fd.get())) == 0 || errno == EINVAL) return base::OkStatus();
  return base::ErrnoStatus(errno, "fsync " + path);
}

base::Status RealFileSystem::Rename(const std::string& from, const std::string& to) {
  // Renaming over a file makes ext4 write the new one to the disk at once (auto_da_alloc: some
  // milliseconds), which nobody asked for; to exchange the two and remove the old one does not.
  struct stat old;
  if (lstat(to.c_str(), &old) == 0 && S_ISREG(old.st_mode) &&
      renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    return RemoveFile(from);
  }
  if (rename(from.c_str(), to.c_str()) != 0) {
    return base::ErrnoStatus(errno, "rename " + from + " to " + to);
  }
  return base::OkStatus();
}

base::Status RealFileSystem::RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) != 0) return base::ErrnoStatus(errno, "remove " + path);
  return base::OkStatus();
}

base::Status RealFileSystem::RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return base::ErrnoStatus(error.value(), "remove folder " + path);
  return base::OkStatus();
}

base::Result<std::vector<std::string>> RealFileSystem::ListDirectory(const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return base::ErrnoStatus(error.value(), "list folder " + path);
  std::sort(names.begin(), names.end());
  return names;
}

base::Result<std::vector<std::byte>> RealFileSystem::ReadFile(const std::string& path,
                                                              size_t bytes_max) {
  ASSIGN_OR_RETURN(base::UniqueFd fd,
                   Open(path, O_RDONLY | O_NONBLOCK));  // a pipe's writer may never come
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return base::ErrnoStatus(errno, "stat " + path);
  if (!S_ISREG(info.st_mode)) return base::InvalidArgumentError(path + " is no regular file");
  // The size is a guess: the file may grow meanwhile. One more byte to meet its end.
  std::vector<std::byte> bytes(std::min(static_cast<size_t>(info.st_size), bytes_max) + 1);
  size_t size = 0;
  while (true) {
    const ssize_t got =
        TEMP_FAILURE_RETRY(read(fd.get(), bytes.data() + size, bytes.size() - size));
    if (got < 0) return base::ErrnoStatus(errno, "read " + path);
    if (got == 0) break;
    size += static_cast<size_t>(got);
    if (size > bytes_max) {
      return base::ResourceExhaustedError("read " + path + ": it is longer than " +
                                          std::to_string(bytes_max) + " bytes");
    }
    if (size == bytes.size()) bytes.resize(2 * size);
  }
  bytes.resize(size);
  return bytes;
}

base::Result<std::string> ReadText(FileSystem& files, const std::string& path, size_t bytes_max) {
  ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, files.ReadFile(path, bytes_max));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

base::Status ReplaceFile(FileSystem& files, const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  const std::span<const std::byte> parts[] = {std::as_bytes(std::span(bytes))};
  base::Status status = files.WriteFile(temporary, parts, {.mode = 0600});
  if (status.ok()) status = files.Rename(temporary, path);
  // The first error is the one that counts; a temporary file that stays as well is replaced by the
  // next write.
  if (!status.ok()) (void)files.RemoveFile(temporary);
  return status;
}

}  // namespace lockstep::storage
