// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/testing/fake_nccl_world.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "runtime/base/check.h"

namespace lockstep::collectives::testing {

FakeNcclWorld::FakeNcclWorld(const std::string& path, int size) : path_(path), size_(size) {
  LOCKSTEP_CHECK(size <= kMaxRanks, "the fake has room for these ranks");
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  LOCKSTEP_CHECK(fd >= 0 && ftruncate(fd, sizeof(Shared)) == 0, "the fake's file");
  void* const memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  LOCKSTEP_CHECK(memory != MAP_FAILED, "the fake's memory");
  shared_ = static_cast<Shared*>(memory);  // zero, which is the valid first state
}

FakeNcclWorld::~FakeNcclWorld() {
  if (!AllJoined()) unlink(path_.c_str());
  munmap(shared_, sizeof(Shared));
}

void FakeNcclWorld::Join(int rank) {
  LOCKSTEP_CHECK(slot(rank).joined.exchange(1) == 0, "one process a rank");
  if (shared_->joined.fetch_add(1) + 1 == size_) unlink(path_.c_str());
}

bool FakeNcclWorld::Barrier(int rank, const std::atomic<bool>& stop) {
  const uint64_t mine = slot(rank).arrived.load(std::memory_order_relaxed) + 1;
  slot(rank).arrived.store(mine, std::memory_order_release);
  int spins = 0;
  for (int other = 0; other < size_; ++other) {
    while (slot(other).arrived.load(std::memory_order_acquire) < mine) {
      if (stop.load()) return false;
      if (++spins < 100) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    }
  }
  return true;
}

}  // namespace lockstep::collectives::testing
