// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_PROCESS_GANG_H_
#define LOCKSTEP_COLLECTIVES_TESTING_PROCESS_GANG_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/engine/queued_group.h"
#include "collectives/host/shm/segment.h"
#include "collectives/host/shm/shm_backend_maker.h"
#include "runtime/base/check.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives::testing {

/// Runs ranks as forked processes, each with its member of one group, for tests that stop or kill
/// them. Start it from a process with one thread. Confined to the test's thread; what is left
/// of the gang ends with it.
class ProcessGang {
 public:
  /// What the ranks and the test tell each other.
  struct Board {
    std::atomic<int> arrived{0};
    std::atomic<int> go{0};
    std::atomic<int64_t> longest_ns{0};  // a test's own
  };

  /// Makes a rank's member, in its process.
  using NewGroup = std::function<base::Result<std::unique_ptr<Group>>(QueuedGroup::Config)>;
  /// Makes the backend of a rank, in its process.
  using NewMaker = std::function<std::shared_ptr<BackendMaker>(int rank)>;

  static NewGroup Over(NewMaker maker) {
    return [maker = std::move(maker)](
               QueuedGroup::Config config) -> base::Result<std::unique_ptr<Group>> {
      const int rank = config.spec.rank.value();
      ASSIGN_OR_RETURN(auto group, QueuedGroup::Create(std::move(config), maker(rank)));
      return std::unique_ptr<Group>(std::move(group));
    };
  }
  /// Over memory that the ranks inherit.
  static NewMaker SharedMemoryMaker() {
    const auto segments = std::make_shared<InheritedSegments>();
    return [segments](int) { return std::make_shared<ShmBackendMaker>(segments); };
  }
  static NewGroup InSharedMemory() { return Over(SharedMemoryMaker()); }

  /// `body` on every rank, whose group's ops have `timeout`. A rank's process ends with 0 when
  /// nothing failed in it.
  ProcessGang(int size, base::Duration timeout, const std::function<void(Group&, Board&)>& body,
              const NewGroup& make = InSharedMemory())
      : board_(new(SharedMemory(sizeof(Board))) Board) {
    for (int rank = 0; rank < size; ++rank) {
      std::fflush(nullptr);
      const pid_t pid = fork();
      LOCKSTEP_CHECK(pid >= 0, "fork");
      if (pid == 0) RunRank(rank, size, timeout, make, body);
      pids_.push_back(pid);
    }
  }
  ~ProcessGang() {
    for (int rank = 0; rank < static_cast<int>(pids_.size()); ++rank) {
      if (pids_[static_cast<size_t>(rank)] < 0) continue;
      Signal(rank, SIGKILL);
      (void)Reap(rank);
    }
    munmap(board_, sizeof(Board));
  }

  Board& board() { return *board_; }
  void Signal(int rank, int signal) { kill(pids_[static_cast<size_t>(rank)], signal); }
  /// Stops the rank and waits until it stands.
  void Stop(int rank) {
    Signal(rank, SIGSTOP);
    int status = 0;
    LOCKSTEP_CHECK(
        waitpid(pids_[static_cast<size_t>(rank)], &status, WUNTRACED) >= 0 && WIFSTOPPED(status),
        "the rank lives and stops");
  }
  /// Waits for the rank's end. Returns its wait status.
  int Reap(int rank) {
    int status = -1;
    waitpid(std::exchange(pids_[static_cast<size_t>(rank)], -1), &status, 0);
    return status;
  }
  /// Zeroed, for this process and those it forks; kept to its end.
  static void* SharedMemory(size_t bytes) {
    void* const memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LOCKSTEP_CHECK(memory != MAP_FAILED, "memory");
    return memory;
  }
  static void WaitUntil(const std::atomic<int>& value, int reached) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (value.load() < reached) {
      LOCKSTEP_CHECK(std::chrono::steady_clock::now() < limit, "the ranks get on");
      std::this_thread::yield();
    }
  }

 private:
  /// Memory of a few groups that the ranks inherit by its descriptors.
  class InheritedSegments final : public SegmentSource {
   public:
    InheritedSegments() : groups_(new(SharedMemory(sizeof(Groups))) Groups) {
      for (base::UniqueFd& fd : fds_) fd = base::UniqueFd(AnonymousFile());
    }
    base::Result<std::shared_ptr<Segment>> Open(const SegmentRequest& request,
                                                base::Duration) override {
      const base::UniqueFd& fd = fds_[PlaceOf(request.group.value())];
      LOCKSTEP_CHECK(ftruncate(fd.get(), static_cast<off_t>(request.bytes)) == 0, "memory");
      return Segment::Map(fd, request.bytes);
    }

   private:
    static constexpr size_t kGroupsMax = 48;
    using Groups = std::array<std::atomic<uint64_t>, kGroupsMax>;  // 0 = nobody's yet

    size_t PlaceOf(uint64_t group) const {
      for (size_t place = 0; place < kGroupsMax; ++place) {
        uint64_t holder = 0;
        if ((*groups_)[place].compare_exchange_strong(holder, group) || holder == group)
          return place;
      }
      LOCKSTEP_CHECK(false, "a gang makes few groups");
      return 0;
    }

    /// Its size is not known before the ranks are there. Some container's filters refuse
    /// memfd_create.
    static int AnonymousFile() {
      if (const int fd = memfd_create("lockstep-test", MFD_CLOEXEC); fd >= 0) return fd;
      char path[] = "/tmp/lockstep-test-XXXXXX";
      const int fd = mkostemp(path, O_CLOEXEC);
      LOCKSTEP_CHECK(fd >= 0, "a file in /tmp");
      unlink(path);
      return fd;
    }

    Groups* const groups_;
    std::array<base::UniqueFd, kGroupsMax> fds_;
  };

  [[noreturn]] void RunRank(int rank, int size, base::Duration timeout, const NewGroup& make,
                            const std::function<void(Group&, Board&)>& body) {
    alarm(50);
    QueuedGroup::Config config{
        .spec = {.job = "test", .host = "here", .rank = base::GroupRank(rank)},
        .timeout = timeout,
        .join_timeout = std::chrono::seconds(30)};
    for (int member = 0; member < size; ++member) config.spec.world_ranks.emplace_back(member);
    {
      const auto group = make(std::move(config));
      LOCKSTEP_CHECK(group.ok(), "the gang forms");
      body(**group, *board_);
    }
    std::fflush(nullptr);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }

  Board* const board_;
  std::vector<pid_t> pids_;  // by rank; -1 = reaped
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_PROCESS_GANG_H_
