// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_flows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/tcp/tampering_proxy.h"
#include "collectives/host/tcp/tcp_members.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::testing::StatusIs;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::TamperingProxy;
using testing::ThreadGang;

/// Two members of one group, in one process.
class TcpFlowsTest : public ::testing::Test {
 protected:
  void SetUp() override { Start(1); }
  void Start(int flows) {
    TcpService::Config config{.job = "test", .host = "here", .host_id = "here"};
    config.key = net::Secret("0123456789abcdef0123456789abcdef");
    config.listen_host = "127.0.0.1";
    config.flows = flows;
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

  /// Asks for both flows of `member` until they are there.
  std::pair<TcpFlow*, TcpFlow*> Await(int member, FlowPurpose purpose) {
    TcpFlows& flows = *flows_[static_cast<size_t>(member)];
    const base::SteadyTime deadline = clock_.Now() + seconds(30);
    std::pair<TcpFlow*, TcpFlow*> both{nullptr, nullptr};
    while ((both.first == nullptr || both.second == nullptr) && clock_.Now() < deadline) {
      both = {flows.In(1 - member, purpose), flows.Out(1 - member, purpose)};
      (void)flows_[static_cast<size_t>(1 - member)]->In(member, purpose);
      (void)flows_[static_cast<size_t>(1 - member)]->Out(member, purpose);
      std::this_thread::yield();
    }
    return both;
  }

  void ExpectPasses(TcpFlow* from, TcpFlow* to) {
    std::byte sent{42}, got{0};
    const iovec piece{&sent, 1};
    ASSERT_EQ(from->Send({&piece, 1}), 1);
    const base::SteadyTime deadline = clock_.Now() + seconds(30);
    while (to->Receive(&got, 1) == 0 && clock_.Now() < deadline) std::this_thread::yield();
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

    ASSERT_NE(lower_in, nullptr);
    ASSERT_NE(upper_in, nullptr);
    EXPECT_EQ(lower_in, lower_out);
    EXPECT_EQ(upper_in, upper_out);
    ExpectPasses(lower_out, upper_in);
    ExpectPasses(upper_out, lower_in);
  }
}

// Who only receives makes it too, when it is the lower one.
TEST_F(TcpFlowsTest, TheLowerMemberMakesItWhetherItSendsOrReceives) {
  const base::SteadyTime deadline = clock_.Now() + seconds(30);
  TcpFlow *lower = nullptr, *upper = nullptr;
  while ((lower == nullptr || upper == nullptr) && clock_.Now() < deadline) {
    upper = flows_[1]->Out(0, FlowPurpose::kData);
    lower = flows_[0]->In(1, FlowPurpose::kData);
    std::this_thread::yield();
  }
  ASSERT_NE(lower, nullptr);
  ASSERT_NE(upper, nullptr);
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

class TcpSeveralFlowsTest : public TcpFlowsTest {
 protected:
  void SetUp() override { Start(3); }

  /// Sends `count` bytes from the lower member to the upper one.
  void Pass(size_t count) {
    TcpFlow* const from = Await(0, FlowPurpose::kData).second;
    TcpFlow* const to = Await(1, FlowPurpose::kData).first;
    ASSERT_NE(from, nullptr);
    ASSERT_NE(to, nullptr);
    std::vector<std::byte> out(count), in(count);
    for (size_t i = 0; i < count; ++i) out[i] = static_cast<std::byte>(i * 7 + i / 255);
    const base::SteadyTime deadline = clock_.Now() + seconds(30);
    for (size_t sent = 0, got = 0; got < count && clock_.Now() < deadline;) {
      const iovec pieces[] = {{out.data() + sent, (count - sent) / 2},
                              {out.data() + sent + (count - sent) / 2, (count - sent + 1) / 2}};
      const ssize_t went = sent == count ? 0 : from->Send(pieces);
      const ssize_t came = to->Receive(in.data() + got, count - got);
      ASSERT_GE(went, 0);
      ASSERT_GE(came, 0);
      sent += static_cast<size_t>(went);
      got += static_cast<size_t>(came);
    }
    EXPECT_TRUE(in == out);
  }
  /// Whether the upper member was brought that connection, and has not looked for it yet.
  bool HasCome(int line) { return ends_[1]->TakeIncoming({0, FlowPurpose::kData, line}).valid(); }
};

TEST_F(TcpSeveralFlowsTest, BytesComeInTheirOrderOverAllOfThem) {
  Pass(10);
  Pass(10 * kStripeBytes + 12'345);
  Pass(1);
  Pass(3'000'000);
}

TEST_F(TcpSeveralFlowsTest, WhatIsSmallHasOneConnection) {
  Pass(kStripeBytes - 1);

  Await(0, FlowPurpose::kCalls);  // the service has done by then what it was asked before
  EXPECT_FALSE(HasCome(1));
  EXPECT_FALSE(HasCome(2));
}

TEST_F(TcpSeveralFlowsTest, CallsHaveOneConnectionWhateverTheirSize) {
  TcpFlow* const from = Await(0, FlowPurpose::kCalls).second;
  ASSERT_NE(from, nullptr);
  std::vector<std::byte> bytes(2 * kStripeBytes);
  const iovec piece{bytes.data(), bytes.size()};
  EXPECT_GT(from->Send({&piece, 1}), 0);
  EXPECT_EQ(from->in_fd(), from->out_fd());
}

/// The least that three all_reduces of 4 MB took, in seconds, through a network that gives each
/// connection 4 MB/s.
double SecondsWith(int flows) {
  TamperingProxy proxy(nullptr);
  auto config = testing::LocalTcpConfig();
  config.flows = flows;
  ThreadGang gang(2, testing::LocalTcpMaker(std::make_shared<testing::ProxiedExchange>(proxy),
                                            std::move(config)));
  std::atomic<double> least{1e9};
  gang.Run([&](Group& group) {
    std::vector<float> data(1'000'000, 1.0f);
    if (group.rank().value() == 0) proxy.Limit(4e6);
    for (int i = 0; i < 3; ++i) {
      const auto before = std::chrono::steady_clock::now();
      EXPECT_OK(
          group.AllReduce({data.data(), data.size()}, {data.data(), data.size()}, Reduction::kSum)
              ->Wait());
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - before;
      if (group.rank().value() == 0) least = std::min(least.load(), took.count());
    }
  });
  return least;
}

TEST(TcpFlowsGainTest, WhereEachConnectionIsLimitedFourGoThreeTimesAsFast) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "under the thread sanitizer the proxy's processor is the limit";
#endif
  const double one = SecondsWith(1), four = SecondsWith(4);

  EXPECT_GE(one / four, 3.0) << one << " s, " << four << " s";
}

// One connection of a pair is cut by somebody on the way; both processes live.
TEST(TcpFlowsLossTest, OneConnectionsLossIsThePairs) {
  TamperingProxy proxy(nullptr);
  auto config = testing::LocalTcpConfig();
  config.flows = 3;
  ThreadGang gang(2, testing::LocalTcpMaker(std::make_shared<testing::ProxiedExchange>(proxy),
                                            std::move(config)));
  std::atomic<int> through{0};
  gang.Run([&](Group& group) {
    std::vector<float> data(1'000'000, 1.0f);
    const auto all_reduce = [&] {
      return group
          .AllReduce({data.data(), data.size()}, {data.data(), data.size()}, Reduction::kSum,
                     {.timeout = seconds(60)})
          ->Wait();
    };
    EXPECT_OK(all_reduce());
    if (++through == 2) proxy.Cut(FlowPurpose::kData, 1);
    const auto before = std::chrono::steady_clock::now();
    base::Status status;
    while (status.ok() && std::chrono::steady_clock::now() - before < seconds(20))
      status = all_reduce();  // until it is cut
    EXPECT_THAT(status.root(), StatusIs(base::Code::kUnavailable, HasSubstr("its connection")));
    EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(20));
  });
}

}  // namespace
}  // namespace lockstep::collectives
