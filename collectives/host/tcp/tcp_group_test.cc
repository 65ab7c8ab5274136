// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract of failures (testing/failures_contract_tests.cc) over TCP, and what is TCP's alone.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "collectives/host/tcp/local_tcp.h"
#include "collectives/testing/failures_contract.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

ConstBuffer In(const std::vector<float>& data) { return {data.data(), data.size()}; }
Buffer Out(std::vector<float>& data) { return {data.data(), data.size()}; }

std::vector<FailingKind> Kinds() {
  std::vector<FailingKind> kinds;
  for (const int size : {2, 3, 5})
    kinds.push_back({"Of" + std::to_string(size), size, [] { return LocalTcpMaker(); }});
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Tcp, FailuresContractTest, ::testing::ValuesIn(Kinds()), FailingName);

TEST(TcpGroupTest, AGroupTalksOverIpv6) {
  ThreadGang gang(3, LocalTcpMaker(std::make_shared<LocalExchange>(), LocalTcpConfig("::1")));
  gang.Run([](Group& group) {
    std::vector<float> data(100'000, 1.0f);
    EXPECT_OK(group.AllReduce(In(data), Out(data), Reduction::kSum)->Wait());
    EXPECT_EQ(data.back(), 3.0f);
  });
}

TEST(TcpGroupTest, AKeyOfAnotherLengthAndAForeignAddressAreRefused) {
  auto short_key = LocalTcpConfig();
  short_key.key = net::Secret("short");
  EXPECT_THAT(TcpBackendMaker::Create(std::move(short_key), nullptr),
              StatusIs(Code::kInvalidArgument, HasSubstr("must have 32")));
  EXPECT_THAT(TcpBackendMaker::Create(LocalTcpConfig("192.0.2.1"), nullptr),
              StatusIs(Code::kInvalidArgument, HasSubstr("no address of this machine")));
}

}  // namespace
}  // namespace lockstep::collectives::testing
