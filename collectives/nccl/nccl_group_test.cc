// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What NcclGroup is beyond the contract of each op (nccl_contract_test) and its failures
// (nccl_faults_test).
#include "collectives/nccl/nccl_group.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "collectives/nccl/testing/nccl_gang.h"
#include "collectives/recorder/ring_reader.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::Status;
using base::testing::StatusIs;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Device DeviceOf(const Group& group) {
  return {Device::Kind::kCuda, group.capabilities().cuda_device};
}

Buffer BufferOf(const Group& group, const std::shared_ptr<std::byte>& memory, size_t count,
                Dtype dtype) {
  return {memory.get(), count, dtype, DeviceOf(group)};
}

TEST(NcclGroupTest, BuffersInMainMemoryAreRefused) {
  NcclGang gang(1, FakeGpu("2_30").Load());
  gang.Run([](Group& group) {
    float value = 1;
    EXPECT_THAT(group.Broadcast({&value, 1, Dtype::kF32}, GroupRank(0))->Wait(),
                StatusIs(Code::kUnimplemented, HasSubstr("is in main memory")));
  });
}

// On real GPUs it was an error of CUDA's much later, or a copy from GPU to GPU.
TEST(NcclGroupTest, BuffersOnAnotherGpuAreRefused) {
  NcclGang gang(2, FakeGpu("2_30").Load());
  gang.Run([&](Group& group) {
    const auto memory = gang.Allocate(64);
    Buffer elsewhere = BufferOf(group, memory, 4, Dtype::kF32);
    elsewhere.device.index = 5;
    const std::string own = std::to_string(group.rank().value());
    const auto names_both = StatusIs(
        Code::kInvalidArgument,
        HasSubstr("is on CUDA device 5, and this member of the group works on device " + own));
    EXPECT_THAT(group.RegisterBuffer(elsewhere), names_both);
    ASSERT_OK_AND_ASSIGN(const auto other, group.Duplicate());
    EXPECT_THAT(group.AllReduce(elsewhere, elsewhere, Reduction::kSum)->Wait(), names_both);
    EXPECT_THAT(other->Send(elsewhere, GroupRank(0))->Wait(), names_both);
  });
}

TEST(NcclGroupTest, ABatchThatWasRefusedIsNamedToTheOthers) {
  NcclGang gang(2, FakeGpu("2_30").Load());
  gang.Run([&](Group& group) {
    const auto memory = gang.Allocate(64);
    const Buffer buffer = BufferOf(group, memory, 4, Dtype::kF32);
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == GroupRank(0)) {
      EXPECT_FALSE(group.Send(buffer, GroupRank(7))->Wait().ok());
      return;
    }
    Status status;
    while (status.ok()) status = group.Barrier()->Wait();
    EXPECT_THAT(status.root(),
                StatusIs(Code::kFailedPrecondition,
                         StartsWith("batch of group world was refused on rank 0: ")));
  });
}

TEST(NcclGroupTest, OddAddressesMoveAndDoNotReduce) {
  NcclGang gang(2, FakeGpu("2_30").Load());
  gang.Run([&](Group& group) {
    const auto memory = gang.Allocate(64);
    std::memset(memory.get(), group.rank().value() + 1, 64);
    const Buffer odd{memory.get() + 1, 4, Dtype::kF32, DeviceOf(group)};
    ASSERT_OK(group.Broadcast(odd, GroupRank(1))->Wait());
    EXPECT_EQ(std::count(memory.get(), memory.get() + 64, std::byte{2}),
              group.rank() == GroupRank(1) ? 64 : 16);
    EXPECT_THAT(group.AllReduce(odd, odd, Reduction::kSum)->Wait(),
                StatusIs(Code::kUnimplemented,
                         HasSubstr("all_reduce of f32 at addresses that are no multiple of 4")));
  });
}

TEST(NcclGroupTest, MemoryIsRegisteredUntilItIsForgottenOrTheGroupEnds) {
  const FakeGpu fake("2_30");
  NcclGang gang(2, fake.Load());
  std::unique_ptr<Registration> outlives[2];
  gang.Run([&](Group& group) {
    const auto memory = gang.Allocate(64);
    std::memset(memory.get(), 0, 64);
    const Buffer buffer = BufferOf(group, memory, 16, Dtype::kI32);
    ASSERT_OK(group.Barrier()->Wait());
    const int before = fake.Objects();
    ASSERT_OK(group.Barrier()->Wait());
    ASSERT_OK_AND_ASSIGN(auto registration, group.RegisterBuffer(buffer));
    ASSERT_OK(group.Barrier()->Wait());
    EXPECT_EQ(fake.Objects(), before + 2);
    EXPECT_OK(group.AllReduce(buffer, buffer, Reduction::kSum)->Wait());
    registration.reset();
    ASSERT_OK(group.Barrier()->Wait());
    EXPECT_EQ(fake.Objects(), before);
    ASSERT_OK(group.Barrier()->Wait());
    ASSERT_OK_AND_ASSIGN(outlives[group.rank().value()], group.RegisterBuffer(buffer));
  });
  for (auto& registration : outlives) registration.reset();  // of communicators that are dead
}

TEST(NcclGroupTest, WhatCannotBeRegisteredIsAnErrorThatSaysWhy) {
  NcclGang gang(1, FakeGpu("2_30").Load());
  gang.Run([&](Group& group) {
    float value = 1;
    EXPECT_THAT(group.RegisterBuffer({&value, 1, Dtype::kF32}),
                StatusIs(Code::kUnimplemented, HasSubstr("is in main memory")));
    EXPECT_THAT(group.RegisterBuffer({nullptr, 4, Dtype::kF32, DeviceOf(group)}),
                StatusIs(Code::kInvalidArgument, HasSubstr("4 f32 at null")));
    EXPECT_THAT(group.RegisterBuffer({&value, 0, Dtype::kF32, DeviceOf(group)}),
                StatusIs(Code::kInvalidArgument, HasSubstr("0 f32")));
  });
  NcclGang old(1, FakeGpu("2_14").Load());
  old.Run([&](Group& group) {
    const auto memory = old.Allocate(64);
    EXPECT_THAT(
        group.RegisterBuffer(BufferOf(group, memory, 16, Dtype::kI32)),
        StatusIs(Code::kUnimplemented, HasSubstr("takes NCCL 2.19, and this is NCCL 2.14")));
  });
}

TEST(NcclGroupTest, AnOpBeginsAfterTheCallersStream) {
  NcclGang gang(1, FakeGpu("2_30").Load());
  gang.Run([&](Group& group) {
    const CudaFunctions& cuda = gang.runtime_config.libraries->cuda();
    CudaStream mine = nullptr;
    ASSERT_EQ(cuda.stream_create_with_flags(&mine, kCudaStreamNonBlocking), kCudaSuccess);
    const size_t bytes = size_t{64} << 20;  // tens of milliseconds, against an op of microseconds
    const auto from = gang.Allocate(bytes), through = gang.Allocate(bytes), to = gang.Allocate(4);
    std::memset(from.get() + bytes - 4, 7, 4);
    ASSERT_EQ(cuda.memcpy_async(through.get(), from.get(), bytes, kCudaMemcpyDefault, mine),
              kCudaSuccess);
    const ConstBuffer last{through.get() + bytes - 4, 1, Dtype::kI32, DeviceOf(group)};
    ASSERT_OK(
        group
            .AllReduce(last, BufferOf(group, to, 1, Dtype::kI32), Reduction::kMax, {.stream = mine})
            ->Wait());
    EXPECT_EQ(to.get()[0], std::byte{7});
    (void)cuda.stream_destroy(mine);
  });
}

TEST(NcclGroupTest, EachOpIsRecordedFromItsCallToItsEnd) {
  const base::UniqueFd fd(lockstep_shared_memory_create("ring", RingBytes(16)));
  ASSERT_TRUE(fd.valid());
  void* const memory =
      mmap(nullptr, RingBytes(16), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  FormatRing({.job = "test", .host = "here", .rank = base::Rank(0)}, 16,
             *static_cast<lockstep_ring_header*>(memory));
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<Recorder> recorder, Recorder::Create(fd));
  {
    NcclGang gang(1, FakeGpu("2_30").Load());
    gang.recorder = std::move(recorder);
    gang.Run([&](Group& group) {
      const auto data = gang.Allocate(4096);
      const Buffer buffer = BufferOf(group, data, 1000, Dtype::kF32);
      ASSERT_OK(group.AllReduce(buffer, buffer, Reduction::kSum, {.tag = "bucket 1"})->Wait());
      const auto refused = group.AllReduce(buffer, buffer, Reduction::kBitOr);
      EXPECT_THAT(refused->Wait(), StatusIs(Code::kUnimplemented));
      EXPECT_FALSE(refused->timings().started.has_value());
    });
  }
  ASSERT_OK_AND_ASSIGN(const RingContent content, ReadRingFrom(fd.get()));
  munmap(memory, RingBytes(16));
  ASSERT_EQ(content.records.size(), 2u);
  const lockstep_record& done = content.records[0];
  EXPECT_EQ(done.op, static_cast<uint8_t>(OpKind::kAllReduce));
  EXPECT_EQ(done.count_in, 1000u);
  EXPECT_EQ(done.bytes_done, 4000u);
  EXPECT_EQ(done.state, LOCKSTEP_RECORD_COMPLETED);
  EXPECT_STREQ(done.tag, "bucket 1");
  EXPECT_GE(done.started_ns, done.enqueued_ns);
  EXPECT_GE(done.ended_ns, done.started_ns);
  EXPECT_EQ(content.records[1].state, LOCKSTEP_RECORD_ERROR);
}

TEST(NcclGroupTest, WhoWaitsIsCountedInItsSeat) {
  const base::UniqueFd fd(lockstep_shared_memory_create("ring", RingBytes(16)));
  ASSERT_TRUE(fd.valid());
  void* const memory =
      mmap(nullptr, RingBytes(16), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  FormatRing({.job = "test", .host = "here", .rank = base::Rank(0)}, 16,
             *static_cast<lockstep_ring_header*>(memory));
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<Recorder> recorder, Recorder::Create(fd));
  const auto seat_of = [&fd](GroupRank rank) {
    const auto content = ReadRingFrom(fd.get());
    EXPECT_OK(content);
    for (const lockstep_seat& seat : content.value().seats) {
      if (seat.group_rank == rank.value()) return seat;
    }
    return lockstep_seat{};
  };
  {
    NcclGang gang(2, FakeGpu("2_30").Load());
    gang.recorder = std::move(recorder);
    gang.Run([&](Group& group) {
      const auto data = gang.Allocate(4);
      const Buffer buffer = BufferOf(group, data, 1, Dtype::kI32);
      const auto limit = base::RealClock().Now() + std::chrono::seconds(60);
      bool waits = group.rank() == GroupRank(0);
      while (!waits && base::RealClock().Now() < limit) {
        const lockstep_seat seat = seat_of(GroupRank(0));
        waits = seat.waiters == 1 && seat.stream_waiters == 1;
        std::this_thread::yield();
      }
      EXPECT_TRUE(waits) << "in its call, and on its stream";
      EXPECT_OK(group.AllReduce(buffer, buffer, Reduction::kSum)->Wait());
      const lockstep_seat mine = seat_of(group.rank());
      EXPECT_EQ(mine.group_size, 2);
      EXPECT_EQ(mine.stride, 1) << "the members are named";
      EXPECT_EQ(mine.waiters, 0);
      EXPECT_EQ(mine.stream_waiters, 0);
    });
  }
  ASSERT_OK_AND_ASSIGN(const RingContent content, ReadRingFrom(fd.get()));
  munmap(memory, RingBytes(16));
  ASSERT_EQ(content.records.size(), 4u);
  for (const int made : {0, 1}) {
    EXPECT_EQ(content.records[made].op, static_cast<uint8_t>(OpKind::kInit));
    EXPECT_EQ(content.records[made].seq, 0u);
    EXPECT_EQ(content.records[made].state, LOCKSTEP_RECORD_COMPLETED);
  }
}

TEST(NcclGroupTest, SplitsAndShrinksNestAndOutliveTheirParent) {
  for (const char* const version : {"2_14", "2_27", "2_30"}) {
    NcclGang gang(4, FakeGpu(version).Load());
    gang.Run([&](Group& group) {
      const auto data = gang.Allocate(4);
      const auto ranks_of = [&](Group& some) {
        const int32_t one = 1;
        std::memcpy(data.get(), &one, 4);
        const Buffer buffer = BufferOf(some, data, 1, Dtype::kI32);
        EXPECT_OK(some.AllReduce(buffer, buffer, Reduction::kSum)->Wait());
        int32_t sum = 0;
        std::memcpy(&sum, data.get(), 4);
        return sum;
      };
      const GroupRank gone(3);
      if (group.rank() != gone) {
        ASSERT_OK_AND_ASSIGN(auto three, group.Shrink({&gone, 1}, {.timeout = seconds(30)}));
        EXPECT_EQ(ranks_of(*three), 3);
        ASSERT_OK_AND_ASSIGN(auto part, three->Split(three->rank().value() / 2, 0));
        three.reset();
        EXPECT_EQ(ranks_of(*part), group.rank() == GroupRank(2) ? 1 : 2);
      }
      EXPECT_EQ(ranks_of(group), 4);  // the parent is as it was
    });
  }
}

TEST(NcclGroupTest, ADeviceThatDoesNotExistIsNamed) {
  NcclGang gang(1, FakeGpu("2_30").Load());
  NcclGroup::Config config = gang.ConfigFor(0);
  config.device = 9;
  EXPECT_THAT(NcclGroup::Create(config, gang.runtime()),
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("shows 8 devices"), HasSubstr("CUDA_VISIBLE_DEVICES"))));
}

TEST(NcclGroupTest, ThousandsOfOpsQueueWithoutAWait) {
  NcclGang gang(2, FakeGpu("2_30").Load());
  gang.Run([&](Group& group) {
    const auto data = gang.Allocate(8);
    const Buffer buffer = BufferOf(group, data, 1, Dtype::kI64);
    const int64_t one = 1;
    std::memcpy(data.get(), &one, 8);
    std::shared_ptr<Work> last;
    for (int i = 0; i < 5000; ++i) last = group.AllReduce(buffer, buffer, Reduction::kMax);
    ASSERT_OK(last->Wait());
    EXPECT_EQ(last->seq(), base::OpSeq(5000));
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
