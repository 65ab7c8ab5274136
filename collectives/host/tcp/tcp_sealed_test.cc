// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A group whose data is encrypted, with somebody on the way between its two members.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/tcp/tampering_proxy.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::LocalSealedTcpConfig;
using testing::LocalTcpConfig;
using testing::LocalTcpMaker;
using testing::ProxiedExchange;
using testing::TamperingProxy;
using testing::ThreadGang;

constexpr size_t kCount = 1'000'000;

TcpService::Config Encrypting(bool encrypts) {
  return encrypts ? LocalSealedTcpConfig() : LocalTcpConfig();
}

/// `body` on both members, who meet through `proxy`.
void RunThrough(TamperingProxy& proxy, bool encrypts, const std::function<void(Group&)>& body) {
  ThreadGang gang(2, LocalTcpMaker(std::make_shared<ProxiedExchange>(proxy), Encrypting(encrypts)));
  gang.Run(body);
}

/// An all_reduce, of which the proxy makes something else of what member 0 sends; both ends say so.
void ExpectFound(TamperingProxy::Change change) {
  TamperingProxy proxy([&](FlowPurpose purpose, int number, std::string record) {
    return purpose == FlowPurpose::kData ? change(purpose, number, std::move(record)) : record;
  });
  RunThrough(proxy, true, [](Group& group) {
    const std::vector<float> in(kCount, 1.0f);
    std::vector<float> out(kCount, 7.0f);
    const base::Status status = group
                                    .AllReduce({in.data(), in.size()}, {out.data(), out.size()},
                                               Reduction::kSum, {.timeout = seconds(30)})
                                    ->Wait();
    EXPECT_THAT(status.root(), StatusIs(Code::kDataLoss, HasSubstr("of the encrypted connection")));
    EXPECT_THAT(status.root(), StatusIs(Code::kDataLoss, HasSubstr("the connection with rank 0")));
    EXPECT_EQ(status.root().failure_class(), base::FailureClass::kNetwork);
    // What did not come is as it was, or zero: nothing of what was changed.
    for (const float value : out) ASSERT_TRUE(value == 2 || value == 7 || value == 0) << value;
  });
}

TEST(TcpSealedTest, AChangedBitIsFound) {
  ExpectFound([](FlowPurpose, int number, std::string record) {
    if (number == 5) record[record.size() / 2] ^= 1;
    return record;
  });
}

TEST(TcpSealedTest, ADroppedRecordIsFound) {
  ExpectFound([](FlowPurpose, int number, std::string record) {
    return number == 5 ? std::string() : record;
  });
}

TEST(TcpSealedTest, ARepeatedRecordIsFound) {
  ExpectFound([](FlowPurpose, int number, std::string record) {
    return number == 5 ? record + record : record;
  });
}

TEST(TcpSealedTest, RecordsInAnotherOrderAreFound) {
  std::string held;
  ExpectFound([&held](FlowPurpose, int number, std::string record) {
    if (number == 5) return std::exchange(held, record).substr(0, 0);
    return number == 6 ? record + held : record;
  });
}

TEST(TcpSealedTest, AShortenedRecordIsFound) {
  ExpectFound([](FlowPurpose, int number, std::string record) {
    return number == 5 ? record.substr(0, record.size() - 100) : record;
  });
}

/// Whether what passes shows the data of an all_reduce, or where it was called.
std::pair<bool, bool> Shows(bool encrypts) {
  constexpr std::string_view kPattern = "a secret that nobody else may read.";
  TamperingProxy proxy(nullptr);
  RunThrough(proxy, encrypts, [&](Group& group) {
    for (const size_t copies : {1, 10'000}) {  // with the exchange of calls; as a stream
      std::string text;
      for (size_t i = 0; i < copies; ++i) text += kPattern;
      std::vector<std::byte> all(2 * text.size());
      EXPECT_OK(group
                    .AllGather({text.data(), text.size(), Dtype::kU8},
                               {all.data(), all.size(), Dtype::kU8})
                    ->Wait());
    }
  });
  const std::string seen = proxy.seen();
  return {seen.find(kPattern) != std::string::npos,
          seen.find("tcp_sealed_test.cc") != std::string::npos};
}

TEST(TcpSealedTest, NothingOfDataOrCallsIsOnTheWire) {
  EXPECT_EQ(Shows(true), std::pair(false, false));
  EXPECT_EQ(Shows(false), std::pair(true, true));  // so that the first line says something
}

TEST(TcpSealedTest, ThoseWhoEncryptMakeNoGroupWithThoseWhoDoNot) {
  const auto exchange = std::make_shared<LocalExchange>();
  ThreadGang encrypts(2, LocalTcpMaker(exchange, Encrypting(true)));
  ThreadGang does_not(2, LocalTcpMaker(exchange, Encrypting(false)));
  const auto refused = StatusIs(
      Code::kFailedPrecondition,
      HasSubstr("rank 1 would encrypt the data of collectives, and rank 0 would not; start all"));

  std::thread other([&] { EXPECT_THAT(encrypts.Join(1), refused); });
  EXPECT_THAT(does_not.Join(0), refused);
  other.join();
}

}  // namespace
}  // namespace lockstep::collectives
