// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_GROUP_CONTRACT_H_
#define LOCKSTEP_COLLECTIVES_TESTING_GROUP_CONTRACT_H_

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

/// What the contract of groups, their failures and their waiting (group_*_tests.cc) runs over:
/// ranks as threads over a backend whose maker it makes. A backend's test compiles these files in
/// and instantiates their suites:
///
///   INSTANTIATE_TEST_SUITE_P(Tcp, FailureContractTest,
///                            ::testing::ValuesIn(GroupsOf(Make, {2, 3})), GroupKindName);
struct GroupKind {
  std::string name;
  int size;
  std::function<std::shared_ptr<BackendMaker>()> make;

  friend std::ostream& operator<<(std::ostream& out, const GroupKind& kind) {
    return out << kind.name;
  }
};

inline std::vector<GroupKind> GroupsOf(const std::function<std::shared_ptr<BackendMaker>()>& make,
                                       const std::vector<int>& sizes) {
  std::vector<GroupKind> kinds;
  for (const int size : sizes) kinds.push_back({"Of" + std::to_string(size), size, make});
  return kinds;
}

inline std::string GroupKindName(const ::testing::TestParamInfo<GroupKind>& info) {
  return info.param.name;
}

/// What one of several members can do to the others; of two or more.
class FailureContractTest : public ::testing::TestWithParam<GroupKind> {
 protected:
  int size() const { return GetParam().size; }
  ThreadGang NewGang() const { return ThreadGang(size(), GetParam().make()); }

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

/// How members come together, or do not; of two or more.
class JoinContractTest : public FailureContractTest {};

/// Random ops, and one rank that does something wrong; of two or more.
class FaultContractTest : public FailureContractTest {};

/// What waiting costs; of two or more.
class WaitContractTest : public FailureContractTest {};

/// What a call that breaks the rules does; of one or more.
class RefusalContractTest : public FailureContractTest {};

inline ConstBuffer In(const std::vector<float>& data) { return {data.data(), data.size()}; }
inline Buffer Out(std::vector<float>& data) { return {data.data(), data.size()}; }

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_GROUP_CONTRACT_H_
