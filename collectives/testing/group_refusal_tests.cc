// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What group.h promises about calls that break its rules (group_contract.h).
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "collectives/testing/group_contract.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::Rank;
using base::Status;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// So many elements there.
Buffer At(const Group& group, void* data, size_t count, Dtype dtype = Dtype::kF32) {
  return {data, count, dtype, DeviceOf(group)};
}

/// Memory that the backend cannot use.
Device OtherDeviceThan(Device device) {
  device.kind = device.kind == Device::Kind::kCpu ? Device::Kind::kCuda : Device::Kind::kCpu;
  return device;
}

struct WrongCall {
  const char* name;
  Code code;
  const char* reason;  // a part of it
  std::function<std::shared_ptr<Work>(Group&, std::vector<float>& data)> call;
};

const WrongCall kWrongCalls[] = {
    {"null", Code::kInvalidArgument, "null",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce(At(group, nullptr, 8), Out(group, data), Reduction::kSum);
     }},
    {"unequal counts", Code::kInvalidArgument, "as many as the input",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce(In(group, data), At(group, data.data(), 7), Reduction::kSum);
     }},
    {"unequal dtypes", Code::kInvalidArgument, "f64",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce(In(group, data), At(group, data.data(), 8, Dtype::kF64),
                              Reduction::kSum);
     }},
    {"overlap", Code::kInvalidArgument, "overlap",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce(At(group, data.data(), 7), At(group, data.data() + 1, 7),
                              Reduction::kSum);
     }},
    {"overflow", Code::kInvalidArgument, "overflows",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce(At(group, data.data(), SIZE_MAX / 4),
                              At(group, data.data(), SIZE_MAX / 4), Reduction::kSum);
     }},
    {"dtype", Code::kUnimplemented, "has no all_reduce of bool with avg",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce(At(group, data.data(), 4, Dtype::kBool),
                              At(group, data.data(), 4, Dtype::kBool), Reduction::kAverage);
     }},
    {"reduction", Code::kUnimplemented, "band",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce(In(group, data), Out(group, data), Reduction::kBitAnd);
     }},
    {"device", Code::kUnimplemented, "main memory",
     [](Group& group, std::vector<float>& data) {
       return group.AllReduce({data.data(), 4, Dtype::kF32, OtherDeviceThan(DeviceOf(group))},
                              Out(group, data), Reduction::kSum);
     }},
    {"root", Code::kInvalidArgument, "in a group of",
     [](Group& group, std::vector<float>& data) {
       return group.Broadcast(Out(group, data), GroupRank(group.size()));
     }},
    {"small output", Code::kInvalidArgument, "must hold all",
     [](Group& group, std::vector<float>& data) {
       return group.AllGather(In(group, data), At(group, data.data(), 3));
     }},
};

// Such a call once failed without taking a number: the next one met another call of the peers, and
// a wrong sum was OK.
TEST_P(RefusalContractTest, ACallThatOneMemberRefusesIsEverybodysErrorAtOnce) {
  for (const WrongCall& wrong : kWrongCalls) {
    SCOPED_TRACE(wrong.name);
    const auto gang = NewGang();
    gang->timeout = seconds(600);
    std::atomic<int> done{0};
    gang->Run([&](Group& group) {
      std::vector<float> data(8, 1.0f);
      const int rank = group.rank().value();
      ASSERT_OK(group.Barrier()->Wait());
      if (rank == 0) {
        const auto work = wrong.call(group, data);
        EXPECT_THAT(work->Wait(), StatusIs(wrong.code, HasSubstr(wrong.reason)));
        EXPECT_EQ(work->seq(), base::OpSeq(2));
      } else if (rank == 1 ||
                 rank + 1 < size()) {  // of several the last one comes when the others are through
        const Status status =
            group.AllReduce(In(group, data), Out(group, data), Reduction::kSum)->Wait();
        EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition,
                                     AllOf(HasSubstr("rank 0"), HasSubstr(wrong.reason))));
        EXPECT_EQ(status.failure_class(), base::FailureClass::kUsage);
        EXPECT_THAT(status, HasSubject(Rank(0)));
        ASSERT_FALSE(status.subjects().empty());
        EXPECT_THAT(status.subjects()[0].call_site, HasSubstr("group_refusal_tests.cc:"));
      }
      ++done;
      while (rank > 1 && rank + 1 == size() && done.load() < size()) std::this_thread::yield();
      const Status later =
          group.AllReduce(In(group, data), Out(group, data), Reduction::kSum)->Wait();
      EXPECT_FALSE(later.ok());
      EXPECT_THAT(later.root(),
                  StatusIs(rank == 0 && size() == 1 ? wrong.code : Code::kFailedPrecondition));
      EXPECT_EQ(data, std::vector<float>(8, 1.0f));
    });
  }
}

}  // namespace
}  // namespace lockstep::collectives::testing
