// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_SOCKET_FOLDER_H_
#define LOCKSTEP_LAUNCHER_AGENT_SOCKET_FOLDER_H_

#include <string>

#include "runtime/base/result.h"

/// The folder in which an agent binds its sockets, and what may happen to it. The last log-out of a
/// user removes XDG_RUNTIME_DIR and the sockets there, also those of a job that runs on. Functions
/// without state, for any thread.
namespace lockstep::launcher {

/// Where to bind again: `folder`, made when it is missing, or else net::TemporarySocketDirectory.
/// Errors: as net::SocketDirectory.
base::Result<std::string> FolderForNewSockets(const std::string& folder);

/// Why a socket could not be bound, as PermissionDenied when that is its folder's matter: missing,
/// or on a disk that is full. Of a Status, a full disk and used up descriptors have one code, and
/// they end a job with different exit statuses.
base::Status SocketTrouble(const base::Status& why);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_SOCKET_FOLDER_H_
