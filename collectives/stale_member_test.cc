// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A member that the others went on without, and that lives: it wakes up, knows of nothing, and goes
// on in the group that it has. Ranks are threads, and rank 3 is never told of the next round.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "collectives/engine/queued_group.h"
#include "collectives/engine/rounds.h"
#include "collectives/host/shm/local_segments.h"
#include "collectives/host/shm/shm_backend_maker.h"
#include "collectives/testing/host_makers.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::GroupRank;
using base::Rank;
using base::Round;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HostMaker;
using testing::ThreadGang;

constexpr int kStale = 3;

class Gang {
 public:
  explicit Gang(std::shared_ptr<BackendMaker> maker) : maker_(std::move(maker)) {
    for (auto& rounds : rounds_) {
      rounds = std::make_shared<Rounds>(
          Round(0), [](Rank, const std::string&, base::Duration) { return base::OkStatus(); });
    }
    OnRanks({0, 1, 2, 3}, [this](int rank) {
      ThreadGang gang(4, maker_);
      QueuedGroup::Config config = gang.ConfigFor(rank);
      config.rounds = rounds_[rank];
      ASSERT_OK_AND_ASSIGN(old_[rank], QueuedGroup::Create(std::move(config), maker_));
      ASSERT_OK(old_[rank]->Barrier()->Wait());
    });
  }

  template <class Body>
  static void OnRanks(const std::vector<int>& ranks, const Body& body) {
    std::vector<std::thread> threads;
    for (const int rank : ranks) threads.emplace_back([&body, rank] { body(rank); });
    for (std::thread& thread : threads) thread.join();
  }

  Group& old(int rank) { return *old_[rank]; }
  /// The group of the other three, on the thread of one of them.
  base::Result<std::shared_ptr<Group>> GoOn(int rank) {
    rounds_[rank]->Begin(Round(1), {{Rank(kStale), "given up"}});
    return old_[rank]->ShrinkToSurvivors({.timeout = seconds(60)});
  }

 private:
  const std::shared_ptr<BackendMaker> maker_;
  std::shared_ptr<Rounds> rounds_[4];
  std::shared_ptr<Group> old_[4];
};

/// However its scope ends: that of whom others wait for.
class CountsAtEnd {
 public:
  explicit CountsAtEnd(std::atomic<int>& count) : count_(count) {}
  ~CountsAtEnd() { ++count_; }
  CountsAtEnd(const CountsAtEnd&) = delete;
  CountsAtEnd& operator=(const CountsAtEnd&) = delete;

 private:
  std::atomic<int>& count_;
};

/// Small, staged and in several windows.
void ExpectRightSums(Group& group, int times) {
  for (int i = 0; i < times; ++i) {
    for (const size_t count : {size_t{1}, size_t{2000}, size_t{100'003}}) {
      std::vector<int32_t> data(count, (group.rank().value() + 1) * 1000 + i);
      const Buffer buffer{data.data(), count, Dtype::kI32};
      ASSERT_OK(group.AllReduce(buffer, buffer, Reduction::kSum)->Wait());
      ASSERT_EQ(data, std::vector<int32_t>(count, 6000 + 3 * i)) << "of " << count;
    }
  }
}

class StaleMemberTest : public ::testing::TestWithParam<HostMaker> {};

TEST_P(StaleMemberTest, ItsOpsAndMessagesReachNothingOfTheNewGroup) {
  Gang gang(GetParam().make());
  std::atomic<int> over{0};

  Gang::OnRanks({0, 1, 2, kStale}, [&](int rank) {
    if (rank != kStale) {
      const CountsAtEnd counts(over);
      ASSERT_OK_AND_ASSIGN(const auto group, gang.GoOn(rank));
      ExpectRightSums(*group, 30);
      return;
    }
    // With what would show in a sum, in ops of both ways and to everybody.
    std::vector<int32_t> wrong(100'003, 77'777'777);
    const Buffer buffer{wrong.data(), wrong.size(), Dtype::kI32};
    while (over.load() < 3) {
      const OpOptions shortly{.timeout = milliseconds(20)};
      EXPECT_FALSE(gang.old(rank).AllReduce(buffer, buffer, Reduction::kSum, shortly)->Wait().ok());
      for (int other = 0; other < 3; ++other)
        (void)gang.old(rank).Send(buffer, GroupRank(other), shortly)->Wait();
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Over, StaleMemberTest, ::testing::ValuesIn(testing::HostMakers()),
                         testing::HostMakerName);

/// As the agent gives memory, by round; and what it gave.
class KnownSegments final : public SegmentSource {
 public:
  base::Result<std::shared_ptr<Segment>> Open(const SegmentRequest& request,
                                              base::Duration timeout) override {
    ASSIGN_OR_RETURN(auto segment, segments_.Open(request, timeout));
    const std::lock_guard<std::mutex> lock(mutex_);
    given_[request.epoch] = segment;
    return segment;
  }
  Segment& of(Round round) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return *given_.at(round);
  }

 private:
  LocalSegments segments_;
  std::mutex mutex_;
  std::map<Round, std::shared_ptr<Segment>> given_;  // guarded by mutex_
};

// Whatever a stale process may do: the memory of its round is all that it has.
TEST(StaleMemoryTest, WhateverItWritesIntoItsMemoryReachesNothingOfTheNewGroup) {
  const auto segments = std::make_shared<KnownSegments>();
  Gang gang(std::make_shared<ShmBackendMaker>(segments));
  std::vector<std::byte> before;
  std::atomic<int> formed{0}, over{0};

  // Where one of them does not get so far nobody does.
  const auto all_have = [&](int count) {
    while (formed.load() < count && over.load() == 0) std::this_thread::yield();
    return formed.load() >= count;
  };

  Gang::OnRanks({0, 1, 2, kStale}, [&](int rank) {
    if (rank != kStale) {
      const CountsAtEnd counts(over);
      ASSERT_OK_AND_ASSIGN(const auto group, gang.GoOn(rank));
      ++formed;
      ASSERT_TRUE(all_have(4));
      ExpectRightSums(*group, 10);
      return;
    }
    ASSERT_TRUE(all_have(3));
    Segment& old = segments->of(Round(0));
    before.assign(old.data(), old.data() + old.bytes());
    for (int fill = 0xff; over.load() < 3; fill ^= 0x5a) {
      std::memset(old.data(), fill, old.bytes());
      formed = 4;
    }
    std::memcpy(old.data(), before.data(), before.size());  // the old groups end in it
  });
}

}  // namespace
}  // namespace lockstep::collectives
