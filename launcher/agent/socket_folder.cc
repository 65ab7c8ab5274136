// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/socket_folder.h"

#include <sys/socket.h>
#include <unistd.h>

#include "launcher/jobs/job_addresses.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/socket_directory.h"

namespace lockstep::launcher {

base::Result<std::string> FolderForNewSockets(const std::string& folder) {
  if (net::EnsurePrivateDirectory(folder, ::getuid()).ok()) return folder;
  return net::SocketDirectory("", ::getuid(), kSocketNameBytesMax);
}

base::Status SocketTrouble(const base::Status& why) {
  bool of_folder = why.code() == base::Code::kNotFound;
  if (why.code() == base::Code::kResourceExhausted) {
    // The one that could not be bound has been closed: if descriptors were used up, they still are.
    of_folder = base::UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)).valid();
  }
  if (!of_folder) return why;
  return base::PermissionDeniedError(why.message() + "; make room in that folder");
}

}  // namespace lockstep::launcher
