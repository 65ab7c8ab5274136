// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_FAILURES_CONTRACT_H_
#define LOCKSTEP_COLLECTIVES_TESTING_FAILURES_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/group.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {

/// What failures_contract_tests.cc, the contract of group.h when something goes wrong, runs over. A
/// backend's test compiles that file in and instantiates it, as with OpsContractTest.
struct FailingKind {
  std::string name;
  int size = 0;
  std::function<std::shared_ptr<BackendMaker>()> maker;

  friend std::ostream& operator<<(std::ostream& out, const FailingKind& kind) {
    return out << kind.name;
  }
};

class FailuresContractTest : public ::testing::TestWithParam<FailingKind> {
 protected:
  int size() const { return GetParam().size; }
  std::shared_ptr<BackendMaker> Maker() const { return GetParam().maker(); }

  /// `body` in a thread for each rank, with its member, which ends when the body does.
  void RunLeaving(ThreadGang& gang, const std::function<void(Group&)>& body) const {
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size(); ++rank) {
      threads.emplace_back([&, rank] {
        ASSERT_OK_AND_ASSIGN(const auto group, gang.Join(rank));
        body(*group);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
};

inline std::string FailingName(const ::testing::TestParamInfo<FailingKind>& info) {
  return info.param.name;
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_FAILURES_CONTRACT_H_
