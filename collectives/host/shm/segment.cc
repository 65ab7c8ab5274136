// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/segment.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "runtime/base/errno_status.h"

// Of Linux 5.14 and 6.1; older headers lack them, and older kernels refuse them.
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace lockstep::collectives {
namespace {

constexpr size_t kPageBytes = 4096;

// A mapping by huge pages begins with one. What is too much around it is given back.
void* MapAligned(int fd, int flags, size_t bytes) {
  const size_t reserved_bytes = bytes + kHugePageBytes;
  void* const reserved =
      mmap(nullptr, reserved_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return MAP_FAILED;
  auto* const space = static_cast<std::byte*>(reserved);
  const size_t before =
      (kHugePageBytes - reinterpret_cast<uintptr_t>(reserved) % kHugePageBytes) % kHugePageBytes;
  void* const data = mmap(space + before, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
  if (data == MAP_FAILED) {
    const int error = errno;
    munmap(reserved, reserved_bytes);
    errno = error;
    return MAP_FAILED;
  }
  const size_t end = before + (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  if (before > 0) munmap(space, before);
  if (end < reserved_bytes) munmap(space + end, reserved_bytes - end);
  return data;
}

}  // namespace

base::Result<std::shared_ptr<Segment>> Segment::MapMemory(int fd, int flags, size_t bytes) {
  void* const data = bytes < kHugePageBytes
                         ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0)
                         : MapAligned(fd, flags, bytes);
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

// By collapsing pages that are there, which the kernel does on demand, whatever it is set to do by
// itself (shmem_enabled: never, on most machines).
void Segment::UseHugePages(size_t offset, size_t bytes) {
  const size_t begin = (offset + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  const size_t end = (offset + bytes) / kHugePageBytes * kHugePageBytes;
  if (begin >= end || madvise(data_ + begin, end - begin, MADV_POPULATE_WRITE) != 0) return;
  (void)madvise(data_ + begin, end - begin, MADV_COLLAPSE);
}

void Segment::Populate(size_t offset, size_t bytes) {
  const size_t begin = offset / kPageBytes * kPageBytes;
  (void)madvise(data_ + begin, offset + bytes - begin, MADV_POPULATE_WRITE);
}

// In a forked child nothing is mapped at data_, and groups are never destroyed there (QueuedGroup
// leaks them).
Segment::~Segment() { munmap(data_, bytes_); }

}  // namespace lockstep::collectives
