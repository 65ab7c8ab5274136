// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_WORLD_H_
#define LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_WORLD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace lockstep::collectives::testing {

/// The memory that the ranks of one fake communicator share: a file of that name, so that ranks may
/// be threads or processes. One in each rank's end. Thread-safe.
class FakeNcclWorld {
 public:
  static constexpr int kMaxRanks = 16;
  static constexpr size_t kSlotBytes = size_t{64} << 10;
  static constexpr size_t kMailBytes = size_t{16} << 10;

  /// What one rank offers the others in a step.
  struct Slot {
    std::atomic<uint32_t> joined;
    std::atomic<uint32_t> aborted;
    std::atomic<uint64_t> arrived;  // at barriers
    int32_t color, key;
    alignas(64) std::byte data[kSlotBytes];
  };
  /// From one rank to another: full while written is ahead of taken.
  struct Mail {
    std::atomic<uint64_t> written;
    std::atomic<uint64_t> taken;
    alignas(64) std::byte data[kMailBytes];
  };

  /// Maps the file, made if need be. The last of `size` ranks that comes removes its name.
  FakeNcclWorld(const std::string& path, int size);
  ~FakeNcclWorld();
  FakeNcclWorld(const FakeNcclWorld&) = delete;
  FakeNcclWorld& operator=(const FakeNcclWorld&) = delete;

  int size() const { return size_; }
  Slot& slot(int rank) const { return shared_->slots[rank]; }
  Mail& mail(int from, int to) const { return shared_->mails[from][to]; }
  void Join(int rank);
  bool AllJoined() const { return shared_->joined.load() >= size_; }
  /// False when `stop` was set meanwhile.
  bool Barrier(int rank, const std::atomic<bool>& stop);

 private:
  struct Shared {
    std::atomic<int> joined;
    Slot slots[kMaxRanks];
    Mail mails[kMaxRanks][kMaxRanks];
  };

  const std::string path_;
  const int size_;
  Shared* shared_;
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_NCCL_TESTING_FAKE_NCCL_WORLD_H_
