// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What group.h promises about how groups come about (group_contract.h).
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "collectives/testing/group_contract.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::Rank;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

// Its own next try once met the memory of this one.
TEST_P(JoinContractTest, AMissingMemberIsNamedAndTheNextTryMeetsItsNextTry) {
  ThreadGang gang = NewGang();
  gang.join_timeout = milliseconds(50);
  std::vector<std::thread> threads;
  for (int rank = 0; rank + 1 < size(); ++rank) {
    threads.emplace_back([&, rank] {
      const auto group = gang.Join(rank);
      EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded, HasSubstr("never came within 50ms")));
      EXPECT_THAT(group, HasSubject(Rank(size() - 1)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(gang.Join(size() - 1), StatusIs(Code::kDeadlineExceeded));  // too late for that one
  gang.join_timeout = seconds(60);
  gang.Run([](Group& group) { EXPECT_OK(group.Barrier()->Wait()); });
}

// A second group of the same name and members once met the memory of the first: AlreadyExists.
TEST_P(JoinContractTest, AGroupIsMadeAgainInTheSameEpochAsOftenAsWanted) {
  ThreadGang gang = NewGang();
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::set<uint64_t> ids;
  for (int rank = 0; rank < size(); ++rank) {
    threads.emplace_back([&, rank] {
      for (uint32_t time = 1; time <= 5; ++time) {
        ASSERT_OK_AND_ASSIGN(auto group, gang.Join(rank));
        EXPECT_EQ(group->info().instance, time);
        std::vector<float> data(5000, 1.0f);
        EXPECT_OK(group->AllReduce(In(data), Out(data), Reduction::kSum)->Wait());
        EXPECT_EQ(data.back(), static_cast<float>(size()));
        const std::lock_guard<std::mutex> lock(mutex);
        ids.insert(group->info().id.value());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids.size(), 5u);
}

// A rank that was told of another number of ranks, for one.
TEST_P(JoinContractTest, MembersOfAnotherWorldAreMissedByNameOnBothSides) {
  const auto maker = GetParam().make();
  ThreadGang gang(size(), maker);
  gang.join_timeout = milliseconds(100);
  std::thread other([&] {
    QueuedGroup::Config config = gang.ConfigFor(size() - 1);
    config.spec.world_ranks.emplace_back(size());
    const auto group = QueuedGroup::Create(config, maker);
    EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded, HasSubstr("never came within 100ms")));
    EXPECT_THAT(group, HasSubject(Rank(size())));
    EXPECT_THAT(group, HasSubject(Rank(0)));
  });
  std::vector<std::thread> threads;
  for (int rank = 0; rank + 1 < size(); ++rank) {
    threads.emplace_back([&, rank] {
      const auto group = gang.Join(rank);
      EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded, HasSubstr("never came within 100ms")));
      EXPECT_THAT(group, HasSubject(Rank(size() - 1)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  other.join();
}

}  // namespace
}  // namespace lockstep::collectives::testing
