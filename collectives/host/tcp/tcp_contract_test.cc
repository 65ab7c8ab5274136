// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract of each op (testing/ops_contract.h) over TCP, ranks being threads.
#include <memory>
#include <string>
#include <vector>

#include "collectives/host/tcp/local_tcp.h"
#include "collectives/testing/ops_contract.h"
#include "collectives/testing/thread_gang.h"

namespace lockstep::collectives::testing {
namespace {

// More take minutes under the thread sanitizer.
#if defined(__SANITIZE_THREAD__)
constexpr int kSizes[] = {2, 3};
constexpr int kOtherSizes[] = {2};
#else
constexpr int kSizes[] = {1, 2, 3, 4, 5};
constexpr int kOtherSizes[] = {2, 3, 4};
#endif

std::vector<GangKind> Gangs() {
  std::vector<GangKind> kinds;
  for (const int size : kSizes) {
    kinds.push_back({"Of" + std::to_string(size),
                     [size] { return std::make_unique<ThreadGang>(size, LocalTcpMaker()); }});
  }
  for (const int size : kOtherSizes) {
    kinds.push_back({"SealedOf" + std::to_string(size),
                     [size] { return std::make_unique<ThreadGang>(size, LocalSealedTcpMaker()); }});
  }
  for (const int size : kOtherSizes) {
    kinds.push_back({"ThreeFlowsOf" + std::to_string(size),
                     [size] { return std::make_unique<ThreadGang>(size, LocalFlowsTcpMaker(3)); }});
  }
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Tcp, OpsContractTest, ::testing::ValuesIn(Gangs()), GangName);

}  // namespace
}  // namespace lockstep::collectives::testing
