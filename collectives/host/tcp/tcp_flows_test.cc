// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_flows.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/host/tcp/tcp_members.h"
#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using std::chrono::seconds;

/// Two members of one group, in one process.
class TcpFlowsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    TcpService::Config config{.job = "test", .host = "here", .host_id = "here"};
    config.key = net::Secret("0123456789abcdef0123456789abcdef");
    config.listen_host = "127.0.0.1";
    ASSERT_OK_AND_ASSIGN(service_, TcpService::Start(std::move(config)));
    for (int member = 0; member < 2; ++member) {
      GroupSpec spec;
      spec.rank = base::GroupRank(member);
      spec.world_ranks = {base::Rank(0), base::Rank(1)};
      ASSERT_OK(service_->Reserve(spec.Id(), spec.epoch, member));
      const AddressCard& card = service_->card();
      ends_.push_back(std::make_shared<TcpEnd>(TcpMembers(spec, {card, card})));
      service_->Register(ends_.back());
      flows_.push_back(std::make_unique<TcpFlows>(service_, ends_.back()));
    }
  }

  /// Asks for both descriptors of `member` until they are there.
  std::pair<int, int> Await(int member, FlowPurpose purpose) {
    TcpFlows& flows = *flows_[static_cast<size_t>(member)];
    const base::SteadyTime deadline = clock_.Now() + seconds(30);
    std::pair<int, int> fds{-1, -1};
    while ((fds.first < 0 || fds.second < 0) && clock_.Now() < deadline) {
      fds = {flows.In(1 - member, purpose), flows.Out(1 - member, purpose)};
      (void)flows_[static_cast<size_t>(1 - member)]->In(member, purpose);
      (void)flows_[static_cast<size_t>(1 - member)]->Out(member, purpose);
      std::this_thread::yield();
    }
    return fds;
  }

  void ExpectPasses(int from_fd, int to_fd) {
    std::byte sent{42}, got{0};
    const iovec piece{&sent, 1};
    ASSERT_EQ(SendSome(from_fd, &piece, 1), 1);
    const base::SteadyTime deadline = clock_.Now() + seconds(30);
    while (ReceiveSome(to_fd, &got, 1) == 0 && clock_.Now() < deadline) std::this_thread::yield();
    EXPECT_EQ(got, sent);
  }

  base::RealClock clock_;
  std::shared_ptr<TcpService> service_;
  std::vector<std::shared_ptr<TcpEnd>> ends_;
  std::vector<std::unique_ptr<TcpFlows>> flows_;
};

TEST_F(TcpFlowsTest, CallsAndDataOfAPairGoBothWaysOverOneConnectionEach) {
  for (const FlowPurpose purpose : {FlowPurpose::kCalls, FlowPurpose::kData}) {
    const auto [lower_in, lower_out] = Await(0, purpose);
    const auto [upper_in, upper_out] = Await(1, purpose);

    ASSERT_GE(lower_in, 0);
    ASSERT_GE(upper_in, 0);
    EXPECT_EQ(lower_in, lower_out);
    EXPECT_EQ(upper_in, upper_out);
    ExpectPasses(lower_out, upper_in);
    ExpectPasses(upper_out, lower_in);
  }
}

// Who only receives makes it too, when it is the lower one.
TEST_F(TcpFlowsTest, TheLowerMemberMakesItWhetherItSendsOrReceives) {
  const base::SteadyTime deadline = clock_.Now() + seconds(30);
  int lower = -1, upper = -1;
  while ((lower < 0 || upper < 0) && clock_.Now() < deadline) {
    upper = flows_[1]->Out(0, FlowPurpose::kData);
    lower = flows_[0]->In(1, FlowPurpose::kData);
    std::this_thread::yield();
  }
  ASSERT_GE(lower, 0);
  ASSERT_GE(upper, 0);
  ExpectPasses(upper, lower);
}

TEST_F(TcpFlowsTest, TransfersHaveAConnectionForEachDirection) {
  const auto [lower_in, lower_out] = Await(0, FlowPurpose::kTransfers);
  const auto [upper_in, upper_out] = Await(1, FlowPurpose::kTransfers);

  EXPECT_NE(lower_in, lower_out);
  EXPECT_NE(upper_in, upper_out);
  ExpectPasses(lower_out, upper_in);
  ExpectPasses(upper_out, lower_in);
}

}  // namespace
}  // namespace lockstep::collectives
