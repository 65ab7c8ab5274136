// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/file_system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

base::Status ErrorCodeStatus(const std::error_code& error, const std::string& what) {
  return error ? base::ErrnoStatus(error.value(), what) : base::OkStatus();
}

}  // namespace

base::Status RealFileSystem::MakeDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return base::OkStatus();
  return base::ErrnoStatus(errno, "make folder " + path);
}

base::Status RealFileSystem::WriteFile(const std::string& path, std::string_view bytes) {
  const base::UniqueFd fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return base::ErrnoStatus(errno, "open " + path);
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::ErrnoStatus(errno, "write " + path);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return base::OkStatus();
}

base::Status RealFileSystem::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return base::OkStatus();
  return base::ErrnoStatus(errno, "rename " + from + " to " + to);
}

base::Status RealFileSystem::RemoveFile(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return base::OkStatus();
  return base::ErrnoStatus(errno, "remove " + path);
}

base::Status RealFileSystem::RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  return ErrorCodeStatus(error, "remove folder " + path);
}

base::Result<std::string> RealFileSystem::ReadFile(const std::string& path, size_t bytes_max) {
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return base::ErrnoStatus(errno, "open " + path);
  std::string text;
  while (true) {
    char buffer[16384];
    const ssize_t count = ::read(fd.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::ErrnoStatus(errno, "read " + path);
    if (count == 0) return text;
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > bytes_max) {
      return base::ResourceExhaustedError("read " + path + ": it is longer than " +
                                          std::to_string(bytes_max) + " bytes");
    }
  }
}

base::Result<std::vector<std::string>> RealFileSystem::ListDirectory(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(path, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  RETURN_IF_ERROR(ErrorCodeStatus(error, "list folder " + path));
  std::sort(names.begin(), names.end());
  return names;
}

base::Status WriteAtomically(FileSystem& files, const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  base::Status status = files.WriteFile(temporary, bytes);
  if (status.ok()) status = files.Rename(temporary, path);
  // The first error is the one that counts; a temporary file that stays as well is replaced by the
  // next write.
  if (!status.ok()) (void)files.RemoveFile(temporary);
  return status;
}

}  // namespace lockstep::launcher
