// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Groups over NCCL that come and go by the hundred leave nothing in the process, which all ranks
// share here. (Of host backends //tests/rank:group_churn_test tells, of MPI mpi_test.)
#include <gtest/gtest.h>

#include <barrier>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>

#include "collectives/nccl/testing/nccl_gang.h"
#include "collectives/testing/footprint.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using std::chrono::seconds;

constexpr int kSize = 3;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kGroups = 50;
#else
constexpr int kGroups = 300;
#endif

struct Setting {
  std::string version;
  bool over_tcp = false;  // members meet as those of several machines do
};

class NcclChurnTest : public ::testing::TestWithParam<Setting> {};

INSTANTIATE_TEST_SUITE_P(Fake, NcclChurnTest,
                         ::testing::Values(Setting{"2_14"}, Setting{"2_30"}, Setting{"2_30", true}),
                         [](const auto& setting) {
                           return (setting.param.over_tcp ? "NcclOverTcp" : "Nccl") +
                                  setting.param.version;
                         });

/// Makes and drops `count` groups, of all and of all but the last, one after the other, each with
/// an op.
void MakeAndDrop(Group& group, const Buffer& one, int count) {
  const base::GroupRank last(kSize - 1);
  for (int i = 0; i < count; ++i) {
    const bool of_all = i % 2 == 0;
    if (!of_all && group.rank() == last) continue;
    ASSERT_OK_AND_ASSIGN(const auto made, of_all ? group.Duplicate() : group.Shrink({&last, 1}));
    const int32_t value = 1;
    std::memcpy(one.data, &value, sizeof value);
    ASSERT_OK(made->AllReduce(one, one, Reduction::kSum)->Wait());
    int32_t sum = 0;
    std::memcpy(&sum, one.data, sizeof sum);
    ASSERT_EQ(sum, of_all ? kSize : kSize - 1);
  }
}

TEST_P(NcclChurnTest, NothingIsLeftOfGroupsThatComeAndGo) {
  const FakeGpu fake(GetParam().version);
  NcclGang gang(kSize, fake.Load());
  if (GetParam().over_tcp) gang.runtime_config.boards = LocalTcpBoards();
  NcclRuntime& runtime = *gang.runtime();
  std::barrier together(kSize);
  Footprint before;
  int objects = 0;
  gang.Run([&](Group& group) {
    const std::shared_ptr<std::byte> memory = gang.Allocate(4);
    const Buffer one{memory.get(), 1, Dtype::kI32, gang.device()};
    MakeAndDrop(group, one, kGroups / 5);  // what is kept for good is there
    together.arrive_and_wait();
    if (group.rank() == base::GroupRank(0)) {
      EXPECT_TRUE(runtime.AwaitIdle(seconds(20)));
      before = Footprint::Settled();
      objects = fake.Objects();
    }
    together.arrive_and_wait();
    MakeAndDrop(group, one, kGroups);
    together.arrive_and_wait();
    if (group.rank() == base::GroupRank(0)) {
      EXPECT_TRUE(runtime.AwaitIdle(seconds(20)));
      EXPECT_EQ(Footprint::ExcessLeft(before), "")
          << before.ToString() << ", then " << Footprint::Read().ToString();
      EXPECT_EQ(fake.Objects(), objects);
    }
    together.arrive_and_wait();
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
