// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/agreement.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::Rank;
using base::Status;
using base::testing::HasSubject;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ThreadGang;

/// What each member is told of its own `buffer(rank)`, when they compare them.
std::vector<Status> Compare(int size, const std::function<std::vector<float>(int rank)>& buffer) {
  std::vector<Status> told(static_cast<size_t>(size));
  ThreadGang(size).Run([&](Group& group) {
    const int rank = group.rank().value();
    const std::vector<float> mine = buffer(rank);
    told[static_cast<size_t>(rank)] =
        CheckAgreement(group, {mine.data(), mine.size(), Dtype::kF32});
    EXPECT_THAT(group.Barrier()->Wait(), IsOk()) << "the group goes on";
  });
  return told;
}

std::vector<float> Values(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) * 0.37f;
  return values;
}

/// The least that can happen to a value.
void FlipABit(float& value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits ^= 1u << (bits % 31);
  std::memcpy(&value, &bits, sizeof bits);
}

TEST(AgreementTest, EqualBuffersAgree) {
  for (const size_t count : {0u, 1u, 7u, 128u, 129u, 100'003u}) {
    for (const Status& status : Compare(3, [&](int) { return Values(count); }))
      EXPECT_THAT(status, IsOk());
  }
}

TEST(AgreementTest, OneBitOfOneRankIsNamedOnAll) {
  for (const size_t count : {1u, 7u, 128u, 129u, 4096u, 100'003u}) {
    for (const size_t place : {size_t{0}, count / 2, count - 1}) {
      const auto told = Compare(3, [&](int rank) {
        auto values = Values(count);
        if (rank == 1) FlipABit(values[place]);
        return values;
      });
      for (const Status& status : told) {
        EXPECT_THAT(status, StatusIs(Code::kDataLoss));
        EXPECT_THAT(status, HasSubject(Rank(1)));
        EXPECT_THAT(status, Not(HasSubject(Rank(0))));
        EXPECT_THAT(status.message(), AllOf(HasSubstr("rank 1 has other values than ranks 0, 2"),
                                            HasSubstr("first at element " + std::to_string(place))))
            << count;
      }
    }
  }
}

TEST(AgreementTest, TheFirstOfManyDifferencesIsNamed) {
  const auto told = Compare(4, [](int rank) {
    auto values = Values(50'000);
    if (rank == 2) FlipABit(values[40'000]);
    if (rank == 3) {
      FlipABit(values[30'001]);
      FlipABit(values[45'000]);
    }
    return values;
  });
  for (const Status& status : told) {
    EXPECT_THAT(status.message(), AllOf(HasSubstr("ranks 2, 3 have other values than ranks 0, 1"),
                                        HasSubstr("first at element 30001")));
  }
}

TEST(AgreementTest, OfTwoNobodyIsAMajority) {
  const auto told = Compare(2, [](int rank) {
    auto values = Values(1000);
    if (rank == 1) FlipABit(values[500]);
    return values;
  });
  for (const Status& status : told) {
    EXPECT_THAT(status, AllOf(HasSubject(Rank(0)), HasSubject(Rank(1))));
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr("first at element 500"), HasSubstr("no side is a majority")));
  }
}

TEST(AgreementTest, BuffersOfDifferentSizesAreAnErrorOnAll) {
  const auto told = Compare(2, [](int rank) { return Values(rank == 0 ? 10 : 11); });
  for (const Status& status : told) {
    EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition));
    EXPECT_THAT(status.message(), HasSubstr("40 bytes on rank 0, 44 bytes on rank 1"));
  }
}

}  // namespace
}  // namespace lockstep::collectives
