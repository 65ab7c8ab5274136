// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_SOCKET_DIRECTORY_H_
#define LOCKSTEP_RUNTIME_NET_SOCKET_DIRECTORY_H_

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace lockstep::net {

/// The folder for sockets of user `uid`, made with mode 0700 when it is missing:
/// `xdg_runtime_dir`/lockstep when that is an absolute path that is ours and writable, and short
/// enough for sockets whose names have `name_bytes_max` bytes (a socket's address has room for
/// 107); else TemporarySocketDirectory. `xdg_runtime_dir` is the variable's value, "" when unset.
/// Callable from any thread. Errors: PermissionDenied - the folder under `temporary_root` is a
/// symbolic link, is no folder, belongs to somebody else or is open to others and cannot be closed:
/// somebody may be waiting for our sockets there; else errno's code.
base::Result<std::string> SocketDirectory(std::string_view xdg_runtime_dir, uid_t uid,
                                          size_t name_bytes_max,
                                          std::string_view temporary_root = "/tmp");

/// `temporary_root`/lockstep-<uid>, whether it exists or not: the place that the last log-out of a
/// user does not remove, as it does XDG_RUNTIME_DIR.
std::string TemporarySocketDirectory(uid_t uid, std::string_view temporary_root = "/tmp");

/// Makes `path` with mode 0700, or checks that it is a real folder of ours that nobody else can
/// enter. Errors: as SocketDirectory.
base::Status EnsurePrivateDirectory(const std::string& path, uid_t uid);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_SOCKET_DIRECTORY_H_
