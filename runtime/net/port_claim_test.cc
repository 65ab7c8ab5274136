// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/port_claim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

base::UniqueFd ListenTcp(int port) {
  base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return base::UniqueFd();
  EXPECT_EQ(::listen(fd.get(), 1), 0);
  return fd;
}

TEST(KernelPortsTest, BothTextsOfTheKernelAreRead) {
  ASSERT_OK_AND_ASSIGN(const KernelPorts ports,
                       ParseKernelPorts("32768\t60999\n", "80,1000-1010,65535\n"));

  EXPECT_EQ(ports.ephemeral, (PortRange{32768, 60999}));
  EXPECT_THAT(ports.reserved,
              ElementsAre(PortRange{80, 80}, PortRange{1000, 1010}, PortRange{65535, 65535}));
  EXPECT_OK(ParseKernelPorts("1024 65535", "\n"));
}

TEST(KernelPortsTest, OtherTextsAreRefused) {
  for (const char* range : {"", "a b", "5 4", "1 70000", "-1 5"}) {
    EXPECT_THAT(ParseKernelPorts(range, ""),
                StatusIs(Code::kInvalidArgument, HasSubstr("port_range")))
        << range;
  }
  EXPECT_THAT(ParseKernelPorts("1 2", "80,x"),
              StatusIs(Code::kInvalidArgument, HasSubstr("reserved")));
}

TEST(PortClaimTest, RankCanBindTheClaimedPort) {
  const KernelPorts kernel = ReadKernelPorts();

  ASSERT_OK_AND_ASSIGN(const PortClaim claim, PortClaim::Create("job-a1b2c3", kernel));

  EXPECT_FALSE(kernel.ephemeral.Contains(claim.port()));
  EXPECT_GE(claim.port(), 1024);
  EXPECT_TRUE(ListenTcp(claim.port()).valid());
}

TEST(PortClaimTest, SameSeedGetsTheSamePortOnceItIsFreeAgain) {
  int port = 0;
  {
    ASSERT_OK_AND_ASSIGN(const PortClaim claim, PortClaim::Create("seed", {}));
    port = claim.port();
    ASSERT_OK_AND_ASSIGN(const PortClaim other, PortClaim::Create("seed", {}));
    EXPECT_NE(other.port(), port);
  }
  ASSERT_OK_AND_ASSIGN(const PortClaim again, PortClaim::Create("seed", {}));
  EXPECT_EQ(again.port(), port);
}

TEST(PortClaimTest, TwentyJobsStartedAtOnceNeverMeet) {
  std::mutex mutex;
  std::vector<PortClaim> claims;
  std::vector<std::thread> jobs;
  for (int i = 0; i < 20; ++i) {
    jobs.emplace_back([&] {
      auto claim = PortClaim::Create("the same seed for all", {});
      ASSERT_OK(claim);
      const base::UniqueFd rank = ListenTcp(claim->port());
      EXPECT_TRUE(rank.valid()) << claim->port();
      std::lock_guard lock(mutex);
      claims.push_back(*std::move(claim));
    });
  }
  for (std::thread& job : jobs) job.join();

  std::set<int> ports;
  for (const PortClaim& claim : claims) ports.insert(claim.port());
  EXPECT_EQ(ports.size(), 20u);
}

TEST(PortClaimTest, PortThatSomebodyListensOnIsPassedOver) {
  int port = 0;
  {
    ASSERT_OK_AND_ASSIGN(const PortClaim claim, PortClaim::Create("taken", {}));
    port = claim.port();
  }
  const base::UniqueFd somebody = ListenTcp(port);
  ASSERT_TRUE(somebody.valid());

  ASSERT_OK_AND_ASSIGN(const PortClaim claim, PortClaim::Create("taken", {}));

  EXPECT_NE(claim.port(), port);
}

TEST(PortClaimTest, ReservedAndEphemeralPortsAreLeftAlone) {
  // All but three ports of the preferred range are spoken for.
  const KernelPorts kernel{.ephemeral = {10003, 65535}, .reserved = {{10001, 10001}}};
  ASSERT_OK_AND_ASSIGN(const PortClaim first, PortClaim::Create("x", kernel));
  ASSERT_OK_AND_ASSIGN(const PortClaim second, PortClaim::Create("x", kernel));

  EXPECT_EQ((std::set<int>{first.port(), second.port()}), (std::set<int>{10000, 10002}));
  EXPECT_THAT(PortClaim::Create("x", kernel),
              StatusIs(Code::kResourceExhausted, HasSubstr("MASTER_PORT")));
}

TEST(PortClaimTest, LowPortsServeWhenTheEphemeralRangeTakesTheHighOnes) {
  ASSERT_OK_AND_ASSIGN(const PortClaim low, PortClaim::Create("x", {.ephemeral = {10000, 65535}}));
  EXPECT_LT(low.port(), 10000);
  EXPECT_GE(low.port(), 1024);

  ASSERT_OK_AND_ASSIGN(const PortClaim any, PortClaim::Create("x", {.ephemeral = {1024, 65535}}));
  EXPECT_GE(any.port(), 10000);
}

}  // namespace
}  // namespace lockstep::net
