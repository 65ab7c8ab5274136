// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Sums and averages in 16 bits among more members than go direct (MayGoDirect).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "collectives/host/tcp/local_exchange.h"
#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/tcp/tcp_choice.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_link.h"
#include "collectives/testing/ops_data.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::testing::IsOk;
using ::testing::HasSubstr;
using testing::Load;
using testing::Store;

constexpr int kMembers = kDirectConnectionsMax + 6;
constexpr size_t kCount = 60'000;  // more than goes with the exchange of calls

/// `count` elements of 16 bits.
class Halves {
 public:
  Halves(Dtype dtype, size_t count, double value) : dtype_(dtype), bytes_(2 * count) {
    for (size_t i = 0; i < count; ++i) Store(dtype, bytes_.data() + 2 * i, value);
  }
  Buffer first(size_t count) { return {bytes_.data(), count, dtype_}; }
  Buffer all() { return first(bytes_.size() / 2); }
  /// At the ends, which go different ways.
  double front() const { return Load(dtype_, bytes_.data()); }
  double back() const { return Load(dtype_, bytes_.data() + bytes_.size() - 2); }

 private:
  const Dtype dtype_;
  std::vector<std::byte> bytes_;
};

Halves AllReduced(Group& group, Dtype dtype, Reduction reduction, double value) {
  Halves data(dtype, kCount, value);
  EXPECT_THAT(group.AllReduce(data.all(), data.all(), reduction)->Wait(), IsOk());
  return data;
}

/// A maker of groups whose ends can be asked.
class Members final : public BackendMaker {
 public:
  explicit Members(TcpService::Config config)
      : maker_(testing::LocalTcpMaker(std::make_shared<LocalExchange>(), std::move(config))) {}

  base::Result<std::unique_ptr<Backend>> Make(const GroupSpec& spec,
                                              const OpDeadline& deadline) override {
    ASSIGN_OR_RETURN(const std::shared_ptr<TcpEnd> end, maker_->Enter(spec, deadline));
    const std::lock_guard<std::mutex> lock(mutex_);
    ends_[spec.rank.value()] = end;
    return maker_->Finish(end);
  }

  /// To and from how many others data has gone.
  int PeersOf(const Group& group) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ends_.at(group.rank().value())->PeersReached(FlowPurpose::kData);
  }

 private:
  const std::shared_ptr<TcpBackendMaker> maker_;
  std::mutex mutex_;
  std::map<int, std::shared_ptr<TcpEnd>> ends_;  // by member
};

/// Over 16 connections a pair, of which six members have too many for all pairs.
TcpService::Config SixteenFlows(TcpLink link) {
  TcpService::Config config = testing::LocalTcpConfig();
  config.flows = 16;
  config.link = link;
  return config;
}

const TcpLink kNearLink = TcpLink::Measured(1, 8);       // few bytes are best: a ring
const TcpLink kFarLink = TcpLink::Measured(1000, 8000);  // few hops: halving and doubling

TEST(TcpHopsTest, MoreMembersThanGoDirectHaveTwoConnectionsEach) {
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;  // all are in this process, and ask each other how they are
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  const auto members = std::make_shared<Members>(testing::LocalTcpConfig());
  testing::ThreadGang(kMembers, members).Run([&](Group& group) {
    const Halves sum = AllReduced(group, Dtype::kBf16, Reduction::kSum, 1);
    EXPECT_EQ(sum.front(), kMembers);
    EXPECT_EQ(sum.back(), kMembers);
    EXPECT_EQ(AllReduced(group, Dtype::kF16, Reduction::kAverage, 60'000).front(), 60'000);

    EXPECT_EQ(members->PeersOf(group), 2);
  });
}

TEST(TcpHopsTest, ConnectionsOfAPairCount) {
  for (const int size : {5, 6}) {
    const auto members = std::make_shared<Members>(SixteenFlows(kNearLink));
    testing::ThreadGang(size, members).Run([&](Group& group) {
      AllReduced(group, Dtype::kBf16, Reduction::kSum, 1);

      EXPECT_EQ(members->PeersOf(group), size == 5 ? 4 : 2);
      EXPECT_THAT(group.Explain(OpKind::kAllReduce, Dtype::kBf16, kCount),
                  HasSubstr(size == 5 ? "rounded once" : "80 connections"));
    });
  }
}

TEST(TcpHopsTest, AnAverageOverflowsNowhereAndKeepsSmallBits) {
  for (const TcpLink link : {kNearLink, kFarLink}) {
    testing::ThreadGang(8, std::make_shared<Members>(SixteenFlows(link))).Run([](Group& group) {
      for (const double value : {60'000.0, -60'000.0, 0x1p-14 * (1 + 0x1p-10), 3 * 0x1p-24}) {
        const Halves mean = AllReduced(group, Dtype::kF16, Reduction::kAverage, value);
        EXPECT_EQ(mean.front(), value);
        EXPECT_EQ(mean.back(), value);
      }
    });
  }
}

// Each hop rounds, by 2^-9 of 8 at most.
TEST(TcpHopsTest, AnAverageWeighsAllMembersAlike) {
  for (const TcpLink link : {kNearLink, kFarLink}) {
    testing::ThreadGang(8, std::make_shared<Members>(SixteenFlows(link))).Run([](Group& group) {
      const double mine = group.rank().value() + 1;
      const Halves mean = AllReduced(group, Dtype::kF16, Reduction::kAverage, mine);
      EXPECT_NEAR(mean.front(), 4.5, 0.02);
      EXPECT_NEAR(mean.back(), 4.5, 0.02);

      Halves in(Dtype::kF16, 8 * kCount, mine), out(Dtype::kF16, kCount, 0);
      ASSERT_THAT(group.ReduceScatter(in.all(), out.all(), Reduction::kAverage)->Wait(), IsOk());
      EXPECT_NEAR(out.back(), 4.5, 0.02);

      Halves at_root(Dtype::kF16, kCount, 0);
      const base::GroupRank root(3);
      ASSERT_THAT(group.Reduce(in.first(kCount), at_root.all(), Reduction::kAverage, root)->Wait(),
                  IsOk());
      EXPECT_NEAR(at_root.back(), group.rank() == root ? 4.5 : 0, 0.02);
    });
  }
}

}  // namespace
}  // namespace lockstep::collectives
