// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The C functions over groups of ranks that are threads; what the ops promise is tested where it is
// written (collectives/testing). C programs: examples/all_reduce.
#include "collectives/c/lockstep_collectives.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "collectives/c/c_handles.h"
#include "collectives/testing/host_makers.h"
#include "collectives/testing/thread_gang.h"

namespace lockstep::collectives {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::ThreadGang;

constexpr int32_t kInvalidArgument = 3, kDeadlineExceeded = 4, kFailedPrecondition = 9,
                  kUnimplemented = 12, kDataLoss = 15;

template <class T>
lockstep_buffer BufferOf(std::vector<T>& values, lockstep_dtype dtype) {
  return {values.data(), values.size(), dtype, LOCKSTEP_CPU, 0};
}

/// On every rank of a gang of `size`, with its member of the world and its rank.
template <class Body>
void OnRanks(int size, const Body& body,
             std::shared_ptr<BackendMaker> maker = ThreadGang::InSharedMemory()) {
  ThreadGang gang(size, std::move(maker));
  gang.Run([&](Group& group) {
    lockstep_group world{std::shared_ptr<Group>(&group, [](Group*) {})};
    body(&world, lockstep_group_rank(&world));
  });
}

TEST(LockstepCollectivesTest, AGroupSaysWhatItIsAndWhatItHas) {
  OnRanks(2, [](lockstep_group* world, int32_t rank) {
    lockstep_group_info info;
    lockstep_group_get_info(world, &info);
    EXPECT_STREQ(info.name, "world");
    EXPECT_STREQ(info.backend, "shm");
    EXPECT_EQ(info.instance, 1u);
    EXPECT_NE(info.id, 0u);
    EXPECT_EQ(lockstep_group_world_rank(world, rank), rank);
    EXPECT_EQ(lockstep_group_world_rank(world, 2), -1);
    EXPECT_TRUE(lockstep_group_can_reduce(world, LOCKSTEP_BF16, LOCKSTEP_SUM));
    EXPECT_FALSE(lockstep_group_can_reduce(world, LOCKSTEP_F32, LOCKSTEP_BIT_AND));
    EXPECT_TRUE(lockstep_group_has(world, LOCKSTEP_ALL_GATHER, LOCKSTEP_F8E4M3));
    EXPECT_FALSE(lockstep_group_has(world, static_cast<lockstep_op>(0), LOCKSTEP_F32));
    EXPECT_EQ(lockstep_group_traits(world),
              unsigned{LOCKSTEP_HOST_MEMORY | LOCKSTEP_UNALIGNED_REDUCTIONS |
                       LOCKSTEP_COMPARES_CALLS | LOCKSTEP_BITWISE_REPRODUCIBLE});
    lockstep_group_set_timeout(world, 5'000'000'000);
    EXPECT_EQ(lockstep_group_timeout(world), 5'000'000'000);
    char text[400];
    const size_t length = lockstep_explain(world, LOCKSTEP_ALL_REDUCE, LOCKSTEP_F32, 1, text, 400);
    EXPECT_EQ(std::string(text).size(), length);
    EXPECT_THAT(text, HasSubstr("all_reduce"));
    EXPECT_EQ(lockstep_explain(world, LOCKSTEP_ALL_REDUCE, LOCKSTEP_F32, 1, text, 5), length);
    EXPECT_EQ(std::string(text).size(), 4u);
  });
}

TEST(LockstepCollectivesTest, AWorkSaysHowFarItIs) {
  OnRanks(2, [](lockstep_group* world, int32_t) {
    lockstep_work* const work = lockstep_barrier(world, nullptr);
    lockstep_status status;
    EXPECT_EQ(lockstep_wait(work, &status), 0) << status.text;
    EXPECT_EQ(lockstep_state(work), LOCKSTEP_COMPLETED);
    EXPECT_EQ(lockstep_seq(work), 1u);
    lockstep_times times;
    lockstep_timings(work, &times);
    EXPECT_GT(times.enqueued_ns, 0);
    EXPECT_LE(times.enqueued_ns, times.started_ns);
    EXPECT_LE(times.started_ns, times.completed_ns);
    lockstep_work_free(work);
  });
}

TEST(LockstepCollectivesTest, TransfersOfABatchGoTogether) {
  OnRanks(2, [](lockstep_group* world, int32_t rank) {
    std::vector<int32_t> mine(3, rank + 1), theirs(3);
    const lockstep_transfer both[] = {{1 - rank, 0, BufferOf(mine, LOCKSTEP_I32)},
                                      {1 - rank, 1, BufferOf(theirs, LOCKSTEP_I32)}};
    lockstep_status status;
    EXPECT_EQ(lockstep_finish(lockstep_batch(world, both, 2, nullptr), &status), 0) << status.text;
    EXPECT_EQ(theirs, std::vector<int32_t>(3, 2 - rank));
  });
}

TEST(LockstepCollectivesTest, GroupsComeOfGroups) {
  OnRanks(3, [](lockstep_group* world, int32_t rank) {
    const auto sum = [](lockstep_group* group) {
      std::vector<int32_t> one{1};
      const lockstep_buffer buffer = BufferOf(one, LOCKSTEP_I32);
      lockstep_status status;
      EXPECT_EQ(lockstep_finish(lockstep_all_reduce(group, &buffer, &buffer, LOCKSTEP_SUM, nullptr),
                                &status),
                0)
          << status.text;
      return one[0];
    };
    lockstep_status status;
    lockstep_group *copy = nullptr, *part = nullptr, *grown = nullptr;
    ASSERT_EQ(lockstep_duplicate(world, nullptr, &copy, &status), 0) << status.text;
    EXPECT_EQ(sum(copy), 3);
    const int32_t all[] = {0, 1, 2};
    if (rank == 2) {
      ASSERT_EQ(lockstep_subset(world, all, 3, nullptr, &grown, &status), 0) << status.text;
    } else {
      ASSERT_EQ(lockstep_subset(world, all, 2, nullptr, &part, &status), 0) << status.text;
      EXPECT_EQ(sum(part), 2);
      ASSERT_EQ(lockstep_grow(part, &all[2], 1, nullptr, &grown, &status), 0) << status.text;
    }
    EXPECT_EQ(sum(grown), 3);
    EXPECT_EQ(lockstep_finish(lockstep_barrier(world, nullptr), &status), 0);
    for (lockstep_group* group : {copy, part, grown}) lockstep_group_free(group);
  });
}

TEST(LockstepCollectivesTest, AGroupShrinksByThoseThatAreLeftAlone) {
  OnRanks(3, [](lockstep_group* world, int32_t rank) {
    lockstep_status status;
    lockstep_group* smaller = nullptr;
    const int32_t excluded = 1;
    if (rank != 1) {
      ASSERT_EQ(lockstep_shrink(world, &excluded, 1, nullptr, &smaller, &status), 0) << status.text;
      EXPECT_EQ(lockstep_group_size(smaller), 2);
      EXPECT_EQ(lockstep_group_world_rank(smaller, 1), 2);
      EXPECT_EQ(lockstep_finish(lockstep_barrier(smaller, nullptr), &status), 0) << status.text;
      lockstep_group_free(smaller);
      const int32_t nobody = 3;
      EXPECT_EQ(lockstep_shrink(world, &nobody, 1, nullptr, &smaller, &status), kInvalidArgument);
      EXPECT_EQ(smaller, nullptr);
    }
    EXPECT_EQ(lockstep_finish(lockstep_barrier(world, nullptr), &status), 0) << status.text;
  });
}

TEST(LockstepCollectivesTest, EachMembersScaleCountsInAPremultipliedSum) {
  OnRanks(3, [](lockstep_group* world, int32_t rank) {
    std::vector<double> value{1};
    const lockstep_buffer buffer = BufferOf(value, LOCKSTEP_F64);
    lockstep_options options = LOCKSTEP_HERE;
    options.scale = rank + 0.5;
    lockstep_status status;
    ASSERT_EQ(lockstep_finish(lockstep_all_reduce(world, &buffer, &buffer,
                                                  LOCKSTEP_PREMULTIPLIED_SUM, &options),
                              &status),
              0)
        << status.text;
    EXPECT_EQ(value[0], 4.5);
  });
}

TEST(LockstepCollectivesTest, ABufferThatDiffersIsFoundAndItsHolderBlamed) {
  OnRanks(3, [](lockstep_group* world, int32_t rank) {
    std::vector<int32_t> values{7, rank == 1 ? 8 : 9};
    const lockstep_buffer buffer = BufferOf(values, LOCKSTEP_I32);
    lockstep_status status;
    EXPECT_EQ(lockstep_check_agreement(world, &buffer, nullptr, &status), kDataLoss);
    EXPECT_THAT(status.text, HasSubstr("first at element 1"));
    lockstep_blamed blamed;
    ASSERT_EQ(lockstep_last_blamed(&blamed, 1), 1u);
    EXPECT_EQ(blamed.rank, 1);
    values[1] = 9;
    EXPECT_EQ(lockstep_check_agreement(world, &buffer, nullptr, &status), 0) << status.text;
    EXPECT_EQ(lockstep_last_blamed(&blamed, 1), 0u);
  });
}

/// What errors say, over each backend.
class LockstepErrorsTest : public ::testing::TestWithParam<testing::HostMaker> {};
INSTANTIATE_TEST_SUITE_P(Over, LockstepErrorsTest, ::testing::ValuesIn(testing::HostMakers()),
                         testing::HostMakerName);

TEST_P(LockstepErrorsTest, AllWhoCalledSomethingElseAreBlamedWithTheirPlaces) {
  const auto body = [](lockstep_group* world, int32_t rank) {
    std::vector<float> value{1};
    const lockstep_buffer buffer = BufferOf(value, LOCKSTEP_F32);
    const bool guilty = rank == 1 || rank == 3;
    const lockstep_options here = LOCKSTEP_HERE;
    lockstep_status status;
    ASSERT_EQ(lockstep_finish(lockstep_barrier(world, nullptr), &status), 0) << status.text;
    EXPECT_EQ(lockstep_last_blamed(nullptr, 0), 0u);
    EXPECT_EQ(lockstep_finish(lockstep_all_reduce(world, &buffer, &buffer,
                                                  guilty ? LOCKSTEP_MAX : LOCKSTEP_SUM, &here),
                              &status),
              kFailedPrecondition);
    EXPECT_EQ(status.failure_class, LOCKSTEP_USAGE);
    EXPECT_EQ(status.blamed_rank, 1);

    lockstep_blamed blamed[3] = {};
    ASSERT_EQ(lockstep_last_blamed(blamed, 3), 2u);
    EXPECT_EQ(blamed[0].rank, 1);
    EXPECT_EQ(blamed[1].rank, 3);
    for (const lockstep_blamed& each : {blamed[0], blamed[1]}) {
      EXPECT_EQ(each.pid, getpid());
      EXPECT_STRNE(each.host, "");
      EXPECT_THAT(each.call_site, HasSubstr("lockstep_collectives_test.cc:"));
    }
    lockstep_failed_op op;
    ASSERT_EQ(lockstep_last_failed_op(&op), 1);
    lockstep_group_info info;
    lockstep_group_get_info(world, &info);
    EXPECT_EQ(op.group, info.id);
    EXPECT_EQ(op.seq, 2u);
    EXPECT_THAT(op.call, HasSubstr("all_reduce(f32, "));

    // What follows from that error has it as its cause.
    EXPECT_NE(lockstep_finish(lockstep_barrier(world, nullptr), nullptr), 0);
    EXPECT_EQ(lockstep_last_blamed(blamed, 1), 2u);
    EXPECT_EQ(blamed[0].rank, 1);
  };
  OnRanks(5, body, GetParam().make());
}

TEST_P(LockstepErrorsTest, OfMoreThanEightTheTextSaysHowManyMore) {
  const auto body = [](lockstep_group* world, int32_t rank) {
    lockstep_options soon = LOCKSTEP_HERE;
    soon.timeout_ns = 300'000'000;
    lockstep_status status;
    ASSERT_EQ(lockstep_finish(lockstep_barrier(world, nullptr), &status), 0) << status.text;
    if (rank != 0) return;
    EXPECT_EQ(lockstep_finish(lockstep_barrier(world, &soon), &status), kDeadlineExceeded);
    EXPECT_THAT(status.text, HasSubstr("ranks 1, 2, 3, 4, 5, 6, 7, 8 and 2 more never called it"));
    EXPECT_GE(lockstep_last_blamed(nullptr, 0), 8u);
  };
  OnRanks(11, body, GetParam().make());
}

TEST(LockstepCollectivesTest, AThreadIsToldOfItsOwnErrorsAndACallbackOfItsWorks) {
  OnRanks(2, [](lockstep_group* world, int32_t rank) {
    std::vector<float> value{1};
    const lockstep_buffer buffer = BufferOf(value, LOCKSTEP_F32);
    const auto reduction = rank == 0 ? LOCKSTEP_MAX : LOCKSTEP_SUM;
    lockstep_work* const work = lockstep_all_reduce(world, &buffer, &buffer, reduction, nullptr);
    std::thread([work] {
      EXPECT_EQ(lockstep_wait(work, nullptr), kFailedPrecondition);
      EXPECT_EQ(lockstep_last_blamed(nullptr, 0), 2u);
    }).join();
    EXPECT_EQ(lockstep_last_blamed(nullptr, 0), 0u);
    size_t told = 0;
    lockstep_on_complete(
        work,
        [](void* context, const lockstep_status*) {
          *static_cast<size_t*>(context) = lockstep_last_blamed(nullptr, 0);
        },
        &told);
    EXPECT_EQ(told, 2u);
    lockstep_work_free(work);
  });
}

TEST(LockstepCollectivesTest, OthersWaitForALongPhase) {
  std::atomic<bool> declared{false};
  OnRanks(2, [&](lockstep_group* world, int32_t rank) {
    lockstep_options soon = LOCKSTEP_HERE;
    soon.timeout_ns = 300'000'000;
    lockstep_long_phase* phase = nullptr;
    if (rank == 1) {
      phase = lockstep_long_phase_begin(world, 60'000'000'000);
      declared = true;
      std::this_thread::sleep_for(900ms);  // tidy:allow sleep: beyond the deadline
    }
    while (!declared.load()) std::this_thread::yield();
    lockstep_status status;
    EXPECT_EQ(lockstep_finish(lockstep_barrier(world, rank == 1 ? nullptr : &soon), &status), 0)
        << status.text;
    lockstep_long_phase_end(phase);
  });
}

TEST(LockstepCollectivesTest, WhatIsNoneIsRefusedByName) {
  OnRanks(1, [](lockstep_group* world, int32_t) {
    std::vector<float> values{1};
    lockstep_buffer buffer = BufferOf(values, static_cast<lockstep_dtype>(15));
    lockstep_status status;
    EXPECT_EQ(lockstep_finish(lockstep_broadcast(world, &buffer, 0, nullptr), &status),
              kInvalidArgument);
    EXPECT_THAT(status.text, HasSubstr("which there is none"));
    buffer.dtype = LOCKSTEP_F32;
    lockstep_registration* registration = nullptr;
    EXPECT_EQ(lockstep_register_buffer(world, &buffer, &registration, &status), kUnimplemented);
    EXPECT_EQ(registration, nullptr);
    EXPECT_THAT(status.text, HasSubstr("registers no memory"));
  });
}

}  // namespace
}  // namespace lockstep::collectives
