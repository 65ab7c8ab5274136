// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/socket_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/unix_socket.h"

namespace lockstep::net {

base::Status EnsurePrivateDirectory(const std::string& path, uid_t uid) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return base::ErrnoStatus(errno, "make folder " + path);
  const base::UniqueFd folder(
      ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.valid()) {
    if (errno == ELOOP || errno == ENOTDIR) {
      return base::PermissionDeniedError("use folder " + path +
                                         ": it is a symbolic link or a file; remove it");
    }
    return base::ErrnoStatus(errno, "open folder " + path);
  }
  struct stat status{};
  if (::fstat(folder.get(), &status) != 0)
    return base::ErrnoStatus(errno, "look at folder " + path);
  if (status.st_uid != uid) {
    return base::PermissionDeniedError(
        "use folder " + path + ": it belongs to user " + std::to_string(status.st_uid) +
        ", not to " + std::to_string(uid) + "; have it removed, or set XDG_RUNTIME_DIR");
  }
  if ((status.st_mode & 0077) != 0 && ::fchmod(folder.get(), 0700) != 0) {
    return base::ErrnoStatus(errno, "close folder " + path + " to others");
  }
  return base::OkStatus();
}

std::string TemporarySocketDirectory(uid_t uid, std::string_view temporary_root) {
  return std::string(temporary_root) + "/lockstep-" + std::to_string(uid);
}

base::Result<std::string> SocketDirectory(std::string_view xdg_runtime_dir, uid_t uid,
                                          size_t name_bytes_max, std::string_view temporary_root) {
  const std::string path = std::string(xdg_runtime_dir) + "/lockstep";
  if (path.starts_with('/') && !xdg_runtime_dir.empty() &&
      path.size() + 1 + name_bytes_max <= kUnixPathBytesMax) {
    // Any trouble there has a cure: the other place. A stale variable after `su` is the usual one.
    if (EnsurePrivateDirectory(path, uid).ok() && ::access(path.c_str(), W_OK | X_OK) == 0)
      return path;
  }
  std::string temporary = TemporarySocketDirectory(uid, temporary_root);
  RETURN_IF_ERROR(EnsurePrivateDirectory(temporary, uid));
  return temporary;
}

}  // namespace lockstep::net
