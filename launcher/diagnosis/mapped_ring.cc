// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/mapped_ring.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "runtime/base/errno_status.h"

namespace lockstep::launcher {

base::Result<std::unique_ptr<MappedRing>> MappedRing::Create(int fd) {
  struct stat info;
  if (::fstat(fd, &info) != 0) return base::ErrnoStatus(errno, "looking at a recorder ring");
  if (info.st_size == 0) return base::DataLossError("a recorder ring is empty");
  const auto bytes = static_cast<size_t>(info.st_size);
  void* const memory = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return base::ErrnoStatus(errno, "mapping a recorder ring");
  return std::unique_ptr<MappedRing>(new MappedRing(memory, bytes));
}

MappedRing::~MappedRing() { ::munmap(memory_, bytes_); }

}  // namespace lockstep::launcher
