// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/recorded_gang.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <thread>
#include <utility>

#include "collectives/engine/queued_group.h"
#include "collectives/testing/thread_gang.h"
#include "launcher/diagnosis/rank_looks.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/check.h"
#include "runtime/base/clock.h"

namespace lockstep::bench {
namespace {

using collectives::QueuedGroup;

base::UniqueFd MakeRing(int rank, int size) {
  base::UniqueFd fd(lockstep_shared_memory_create("benchmark-ring", collectives::RingBytes()));
  void* const header =
      ::mmap(nullptr, LOCKSTEP_RING_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  LOCKSTEP_CHECK(header != MAP_FAILED, "mapping the ring");
  collectives::FormatRing({.job = "benchmark", .rank = base::Rank(rank), .world_size = size},
                          LOCKSTEP_RING_DEFAULT_SLOTS, *static_cast<lockstep_ring_header*>(header));
  ::munmap(header, LOCKSTEP_RING_HEADER_BYTES);
  return fd;
}

}  // namespace

RecordedGang::RecordedGang(int size) {
  for (int rank = 0; rank < size; ++rank) {
    rings_.push_back(MakeRing(rank, size));
    recorders_.push_back(collectives::Recorder::Create(rings_.back()).value());
  }
}

void RecordedGang::Run(const std::function<void(const Groups&)>& rank) {
  const int size = static_cast<int>(rings_.size());
  const collectives::testing::ThreadGang gang(size);
  const auto maker = collectives::testing::ThreadGang::InSharedMemory();
  std::vector<std::thread> threads;
  for (int number = 0; number < size; ++number) {
    threads.emplace_back([&, number] {
      uint32_t instance = 0;
      const auto make = [&](bool is_recorded) {
        QueuedGroup::Config config = gang.ConfigFor(number, ++instance);
        if (is_recorded) config.recorder = recorders_[static_cast<size_t>(number)];
        auto group = QueuedGroup::Create(std::move(config), maker);
        LOCKSTEP_CHECK(group.ok(), group.status().ToString().c_str());
        return std::unique_ptr<collectives::Group>(*std::move(group));
      };
      Groups groups;
      groups.plain = make(false);
      groups.recorded = make(true);
      groups.control = make(false);
      rank(groups);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

double RingLooks::Stop() {
  stops_ = true;
  if (thread_.joinable()) thread_.join();
  return used_;
}

void RingLooks::Look(const RecordedGang& gang) {
  const base::RealClock clock;
  launcher::RankLooks looks;
  std::vector<launcher::WatchedRank> ranks;
  for (size_t i = 0; i < gang.rings().size(); ++i) {
    ranks.push_back({.rank = base::Rank(static_cast<int32_t>(i)),
                     .pid = ::getpid(),
                     .ring_fd = gang.rings()[i].get()});
  }
  for (int count = 0; !stops_; ++count) {
    if (count % 4 == 0) (void)looks.Gather(ranks, 64, clock.Now());
    (void)looks.LookAtHeads(ranks, std::chrono::milliseconds(500), clock.Now());
    std::this_thread::sleep_for(std::chrono::milliseconds(250));  // tidy:allow sleep: its pace
  }
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  used_ = static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

Difference DifferenceOf(std::vector<double> differences) {
  LOCKSTEP_CHECK(differences.size() >= 9, "enough pairs for an interval");
  std::sort(differences.begin(), differences.end());
  const auto count = static_cast<double>(differences.size());
  // As many of them lie below the true median as a fair coin falls on one side.
  const auto low = static_cast<size_t>(std::floor(count / 2 - 0.98 * std::sqrt(count)));
  return {.median = differences[differences.size() / 2],
          .low = differences[low],
          .high = differences[differences.size() - 1 - low]};
}

}  // namespace lockstep::bench
