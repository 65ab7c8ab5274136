// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What group.h promises about how groups come about (group_contract.h).
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "collectives/testing/group_contract.h"
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

std::string NeverCameWithin(const char* limit) {
  const GroupKind& kind = JoinContractTest::GetParam();
  return kind.never_came_within + limit + kind.after_within;
}

// Its own next try once met the memory of this one.
TEST_P(JoinContractTest, AMissingMemberIsNamedAndTheNextTryMeetsItsNextTry) {
  const auto gang = NewGang();
  gang->join_timeout = milliseconds(50);
  std::vector<std::thread> threads;
  for (int rank = 0; rank + 1 < size(); ++rank) {
    threads.emplace_back([&, rank] {
      const auto group = gang->Join(rank);
      EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded, HasSubstr(NeverCameWithin("50ms"))));
      EXPECT_THAT(group, HasSubject(Rank(size() - 1)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto late = gang->Join(size() - 1);  // for that one
  if (!late.ok() || GetParam().tells_late_comers) {
    EXPECT_THAT(late, StatusIs(Code::kDeadlineExceeded));
  } else {
    EXPECT_FALSE((*late)->Barrier({.timeout = milliseconds(50)})->Wait().ok());
  }
  gang->join_timeout = seconds(60);
  gang->Run([](Group& group) { EXPECT_OK(group.Barrier()->Wait()); });
}

// A second group of the same name and members once met the memory of the first: AlreadyExists.
TEST_P(JoinContractTest, AGroupIsMadeAgainInTheSameEpochAsOftenAsWanted) {
  const auto gang = NewGang();
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::set<uint64_t> ids;
  for (int rank = 0; rank < size(); ++rank) {
    threads.emplace_back([&, rank] {
      for (uint32_t time = 1; time <= 5; ++time) {
        ASSERT_OK_AND_ASSIGN(auto group, gang->Join(rank));
        EXPECT_EQ(group->info().instance, time);
        std::vector<float> data(5000, 1.0f);
        EXPECT_OK(group->AllReduce(In(*group, data), Out(*group, data), Reduction::kSum)->Wait());
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
  const auto gang = NewGang();
  gang->join_timeout = milliseconds(100);
  std::thread other([&] {
    const auto group = gang->JoinOneTooLarge(size() - 1);
    EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded, HasSubstr(NeverCameWithin("100ms"))));
    EXPECT_THAT(group, HasSubject(Rank(size())));
    EXPECT_THAT(group, HasSubject(Rank(0)));
  });
  std::vector<std::thread> threads;
  for (int rank = 0; rank + 1 < size(); ++rank) {
    threads.emplace_back([&, rank] {
      const auto group = gang->Join(rank);
      EXPECT_THAT(group, StatusIs(Code::kDeadlineExceeded, HasSubstr(NeverCameWithin("100ms"))));
      EXPECT_THAT(group, HasSubject(Rank(size() - 1)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  other.join();
}

}  // namespace
}  // namespace lockstep::collectives::testing
