// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract of each op (testing/ops_contract.h) over shared memory, ranks being threads.
#include <memory>
#include <string>
#include <vector>

#include "collectives/testing/ops_contract.h"
#include "collectives/testing/thread_gang.h"

namespace lockstep::collectives::testing {
namespace {

// Eight take minutes under a sanitizer.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kSizes[] = {1, 2, 3};
#else
constexpr int kSizes[] = {1, 2, 3, 4, 8};
#endif

std::vector<GangKind> Gangs() {
  std::vector<GangKind> kinds;
  for (const int size : kSizes) {
    kinds.push_back(
        {"Of" + std::to_string(size), [size] { return std::make_unique<ThreadGang>(size); }});
  }
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Shm, OpsContractTest, ::testing::ValuesIn(Gangs()), GangName);

}  // namespace
}  // namespace lockstep::collectives::testing
