// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Members that meet in memory in which somebody else is, or was.
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "collectives/host/shm/shm_layout.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::GroupRank;
using base::Rank;
using base::Round;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::ThreadGang;

// Hands everybody the same memory, as a stale descriptor from an earlier round would.
class OneSegment final : public SegmentSource {
 public:
  base::Result<std::shared_ptr<Segment>> Open(const SegmentRequest& request,
                                              base::Duration) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (segment_ == nullptr) {
      ASSIGN_OR_RETURN(segment_, Segment::Anonymous(request.bytes));
    }
    return segment_;
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<Segment> segment_;
};

TEST(ShmJoinTest, TwoHoldersOfOneRankAreRefused) {
  ThreadGang gang(2);
  const auto maker = std::make_shared<ShmBackendMaker>(std::make_shared<OneSegment>());
  std::thread peer([&] {
    ASSERT_OK_AND_ASSIGN(auto group, QueuedGroup::Create(gang.ConfigFor(1), maker));
    EXPECT_OK(group->Barrier()->Wait());
  });
  ASSERT_OK_AND_ASSIGN(auto group, QueuedGroup::Create(gang.ConfigFor(0), maker));

  EXPECT_THAT(QueuedGroup::Create(gang.ConfigFor(0), maker),
              StatusIs(Code::kAlreadyExists, HasSubstr("two processes")));

  EXPECT_OK(group->Barrier()->Wait());
  peer.join();
}

// It was told that it "is already in it".
TEST(ShmJoinTest, AMemberThatLeftAndComesAgainIsToldSoAndWhatToDo) {
  ThreadGang gang(2);
  const auto maker = std::make_shared<ShmBackendMaker>(std::make_shared<OneSegment>());
  std::thread peer([&] { EXPECT_THAT(QueuedGroup::Create(gang.ConfigFor(1), maker), IsOk()); });
  ASSERT_OK_AND_ASSIGN(auto group, QueuedGroup::Create(gang.ConfigFor(0), maker));
  peer.join();

  EXPECT_THAT(QueuedGroup::Create(gang.ConfigFor(1), maker),
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("rank 1 was in it, as process " + std::to_string(getpid()) +
                                       ", and has left"),
                             HasSubstr("all ranks must make a new group"))));
  EXPECT_THAT(group->Barrier()->Wait(), StatusIs(Code::kUnavailable, HasSubstr("left the group")));
}

TEST(ShmJoinTest, AMemberOfAnotherEpochIsRefused) {
  const auto maker = std::make_shared<ShmBackendMaker>(std::make_shared<OneSegment>());
  const auto join = [&](int rank, uint32_t epoch) {
    ThreadGang gang(2);
    gang.epoch = Round(epoch);
    return QueuedGroup::Create(gang.ConfigFor(rank), maker);
  };
  std::thread stale([&] { EXPECT_THAT(join(1, 6), StatusIs(Code::kFailedPrecondition)); });

  EXPECT_THAT(join(0, 7), StatusIs(Code::kFailedPrecondition, HasSubstr("epoch 6")));
  stale.join();
}

TEST(ShmJoinTest, RanksOutsideTheGroupAreRefused) {
  const auto maker = ThreadGang::InSharedMemory();
  EXPECT_THAT(QueuedGroup::Create(
                  {.spec = {.rank = GroupRank(2), .world_ranks = {Rank(0), Rank(1)}}}, maker),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(QueuedGroup::Create({.spec = {.rank = GroupRank(0),
                                            .world_ranks = std::vector<Rank>(kMaxShmMembers + 1)}},
                                  maker),
              StatusIs(Code::kInvalidArgument, HasSubstr("256")));
}

}  // namespace
}  // namespace lockstep::collectives
