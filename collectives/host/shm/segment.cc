// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/segment.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "runtime/base/errno_status.h"

namespace lockstep::collectives {

base::Result<std::shared_ptr<Segment>> Segment::MapMemory(int fd, int flags, size_t bytes) {
  void* const data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (data == MAP_FAILED) {
    return base::ErrnoStatus(errno,
                             "mapping a group's segment of " + std::to_string(bytes) + " bytes");
  }
  // A child that touches it anyway crashes itself instead of corrupting the group.
  (void)madvise(data, bytes, MADV_DONTFORK);
  return std::shared_ptr<Segment>(new Segment(data, bytes));
}

base::Result<std::shared_ptr<Segment>> Segment::Map(const base::UniqueFd& fd, size_t bytes) {
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return base::ErrnoStatus(errno, "looking at a group's segment");
  if (static_cast<uint64_t>(info.st_size) < bytes) {
    return base::DataLossError("mapping a group's segment: it has " + std::to_string(info.st_size) +
                               " bytes, " + std::to_string(bytes) + " were asked for");
  }
  return MapMemory(fd.get(), MAP_SHARED, bytes);
}

base::Result<std::shared_ptr<Segment>> Segment::Anonymous(size_t bytes) {
  return MapMemory(-1, MAP_SHARED | MAP_ANONYMOUS, bytes);
}

// In a forked child nothing is mapped at data_, and groups are never destroyed there (QueuedGroup
// leaks them).
Segment::~Segment() { munmap(data_, bytes_); }

}  // namespace lockstep::collectives
