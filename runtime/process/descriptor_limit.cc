// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/descriptor_limit.h"

#include <errno.h>
#include <sys/resource.h>

#include <filesystem>
#include <iterator>
#include <system_error>

#include "runtime/base/errno_status.h"

namespace lockstep::process {

base::Status CheckDescriptorsLeft(const std::string& what, size_t more) {
  rlimit limit{};
  std::error_code error;
  std::filesystem::directory_iterator listed("/proc/self/fd", error);
  if (error || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return base::OkStatus();
  // That of the listing is among them, and free again.
  const auto open = static_cast<size_t>(std::distance(begin(listed), end(listed))) - 1;
  if (limit.rlim_cur == RLIM_INFINITY || open + more <= limit.rlim_cur) return base::OkStatus();
  return base::ErrnoStatus(EMFILE, what + ": " + std::to_string(more) +
                                       " descriptors are needed and " + std::to_string(open) +
                                       " are open");
}

}  // namespace lockstep::process
