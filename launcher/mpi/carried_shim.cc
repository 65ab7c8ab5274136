// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/carried_shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstddef>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

// And a zero at the end, so that there is something in a build without.
constexpr unsigned char kShim[] = {
#include "launcher/mpi/carried_nccl_shim.inc"
};
constexpr size_t kShimBytes = sizeof kShim - 1;

/// errno, or 0.
int WriteAll(int fd) {
  for (size_t done = 0; done < kShimBytes;) {
    const ssize_t written = ::write(fd, kShim + done, kShimBytes - done);
    if (written < 0 && errno != EINTR) return errno;
    if (written > 0) done += static_cast<size_t>(written);
  }
  return 0;
}

bool IsNoexec(int fd) {
  struct statvfs system{};
  return ::fstatvfs(fd, &system) == 0 && (system.f_flag & ST_NOEXEC) != 0;
}

}  // namespace

bool CarriesNcclShim() { return kShimBytes > 0; }

base::Status WriteNcclShim(const std::string& path) {
  const std::string what = "unpack NCCL's shim to " + path;
  if (!CarriesNcclShim()) return base::NotFoundError(what + ": this lockstep carries none");
  std::string draft = path + ".XXXXXX";
  const base::UniqueFd fd(::mkostemp(draft.data(), O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, what);
  base::Status made;
  if (IsNoexec(fd.get())) {
    made = base::FailedPreconditionError(
        what +
        ": that file system is mounted noexec, and nothing can be loaded from it; put "
        "liblockstep_nccl.so beside lockstep");
  } else if (const int error = WriteAll(fd.get()); error != 0) {
    made = base::ErrnoStatus(error, what);
  } else if (::rename(draft.c_str(), path.c_str()) != 0) {
    made = base::ErrnoStatus(errno, what);
  }
  if (!made.ok()) ::unlink(draft.c_str());
  return made;
}

}  // namespace lockstep::launcher
