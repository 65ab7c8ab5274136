// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/carried_shim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

// And a zero at the end, so that there is something in a build without.
constexpr unsigned char kShim[] = {
#include "launcher/mpi/carried_nccl_shim.inc"
};
constexpr size_t kShimBytes = sizeof kShim - 1;

/// FNV-1a, of 64 bits.
uint64_t HashOfShim() {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < kShimBytes; ++i) hash = (hash ^ kShim[i]) * 0x100000001b3;
  return hash;
}

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

base::Status NoexecError(const std::string& what) {
  return base::FailedPreconditionError(
      what + ": that file system is mounted noexec, and nothing can be loaded from it; put " +
      kNcclShimFile + " beside lockstep");
}

bool HasShim(int fd) {
  struct stat file{};
  if (::fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) ||
      file.st_size != static_cast<off_t>(kShimBytes))
    return false;
  std::string bytes(kShimBytes, '\0');
  for (size_t done = 0; done < kShimBytes;) {
    const ssize_t count = ::read(fd, bytes.data() + done, kShimBytes - done);
    if (count == 0 || (count < 0 && errno != EINTR)) return false;
    if (count > 0) done += static_cast<size_t>(count);
  }
  return std::memcmp(bytes.data(), kShim, kShimBytes) == 0;
}

/// NotFound - nothing is there.
base::Status CheckThere(const std::string& path, const std::string& what) {
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, what);
  if (!HasShim(fd.get())) {
    return base::FailedPreconditionError(
        what + ": something else is there, which this lockstep has not put there; remove it");
  }
  return IsNoexec(fd.get()) ? NoexecError(what) : base::OkStatus();
}

/// Gives it the name if there is nothing of that name: errno, or 0.
int Publish(const std::string& draft, const std::string& path) {
  if (::link(draft.c_str(), path.c_str()) == 0) return 0;
  const bool no_links = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS;
  if (!no_links) return errno;
  // Not there a moment ago; and whoever is quicker puts the same there.
  if (::rename(draft.c_str(), path.c_str()) != 0) return errno;
  return 0;
}

base::Status MakeShim(const std::string& path, const std::string& what) {
  const base::Status there = CheckThere(path, what);
  if (there.code() != base::Code::kNotFound) return there;
  std::string draft = path + ".XXXXXX";
  base::UniqueFd fd(::mkostemp(draft.data(), O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, what);
  base::Status made;
  if (IsNoexec(fd.get())) {
    made = NoexecError(what);
  } else if (int error = WriteAll(fd.get()); error != 0) {
    made = base::ErrnoStatus(error, what);
  } else if (::close(fd.release()) != 0) {  // NFS says only now that it was full
    made = base::ErrnoStatus(errno, what);
  } else if (error = Publish(draft, path); error != 0) {
    made = error == EEXIST ? CheckThere(path, what) : base::ErrnoStatus(error, what);
  }
  ::unlink(draft.c_str());
  return made;
}

}  // namespace

bool CarriesNcclShim() { return kShimBytes > 0; }

std::string NcclShimFolder(const std::string& folder) {
  char name[32];
  std::snprintf(name, sizeof name, "/shim-%016" PRIx64, HashOfShim());
  return folder + name;
}

base::Status WriteNcclShim(const std::string& folder) {
  const std::string own = NcclShimFolder(folder);
  const std::string path = own + "/" + kNcclShimFile;
  const std::string what = "unpack NCCL's shim to " + path;
  if (!CarriesNcclShim()) return base::NotFoundError(what + ": this lockstep carries none");
  if (::mkdir(own.c_str(), 0700) != 0 && errno != EEXIST) return base::ErrnoStatus(errno, what);
  const base::Status made = MakeShim(path, what);
  if (!made.ok()) ::rmdir(own.c_str());  // unless there is something in it
  return made;
}

}  // namespace lockstep::launcher
