// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What is TCP's own of a group, ranks being threads.
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "collectives/host/tcp/local_tcp.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using testing::LocalTcpMaker;
using testing::ThreadGang;

TEST(TcpAddressesTest, AGroupTalksOverIpv6) {
  ThreadGang gang(3,
                  LocalTcpMaker(std::make_shared<LocalExchange>(), testing::LocalTcpConfig("::1")));
  gang.Run([](Group& group) {
    std::vector<float> data(100'000, 1.0f);
    EXPECT_OK(
        group.AllReduce({data.data(), data.size()}, {data.data(), data.size()}, Reduction::kSum)
            ->Wait());
    EXPECT_EQ(data.back(), 3.0f);
  });
}

TEST(TcpAddressesTest, AKeyOfAnotherLengthAndAForeignAddressAreRefused) {
  auto short_key = testing::LocalTcpConfig();
  short_key.key = net::Secret("short");
  EXPECT_THAT(TcpBackendMaker::Create(std::move(short_key), nullptr),
              StatusIs(Code::kInvalidArgument, HasSubstr("must have 32")));
  EXPECT_THAT(TcpBackendMaker::Create(testing::LocalTcpConfig("192.0.2.1"), nullptr),
              StatusIs(Code::kInvalidArgument, HasSubstr("no address of this machine")));
}

}  // namespace
}  // namespace lockstep::collectives
