// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_GROUP_CONTRACT_H_
#define LOCKSTEP_COLLECTIVES_TESTING_GROUP_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/group.h"
#include "collectives/testing/gang.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {

/// What the contract of groups, their failures and their waiting (group_*_tests.cc) runs over:
/// gangs of ranks as threads that it makes. A backend's test compiles these files in and
/// instantiates their suites:
///
///   INSTANTIATE_TEST_SUITE_P(Tcp, FailureContractTest,
///                            ::testing::ValuesIn(GroupsOf(Make, {2, 3})), GroupKindName);
struct GroupKind {
  std::string name;
  int size;
  std::function<std::unique_ptr<MemberGang>()> make;
  /// Which of what group.h allows the backend does. Who comes when the others have given up making
  /// the group learns it by making it; else, at the latest, by its first op.
  bool tells_late_comers = true;
  /// How it says what all say.
  std::string never_called = "rank 1 never called it";
  std::string second_op = "op 2 of group";
  std::string second_ran_out = "op 2, which ran out of its";
  std::string left = "left the group";
  std::string never_came_within = "never came within ";
  std::string after_within;

  friend std::ostream& operator<<(std::ostream& out, const GroupKind& kind) {
    return out << kind.name;
  }
};

inline GroupKind GroupOf(std::string name, int size,
                         std::function<std::shared_ptr<BackendMaker>()> make) {
  return {std::move(name), size,
          [size, make = std::move(make)] { return std::make_unique<ThreadGang>(size, make()); }};
}

inline std::vector<GroupKind> GroupsOf(const std::function<std::shared_ptr<BackendMaker>()>& make,
                                       const std::vector<int>& sizes) {
  std::vector<GroupKind> kinds;
  for (const int size : sizes) kinds.push_back(GroupOf("Of" + std::to_string(size), size, make));
  return kinds;
}

inline std::string GroupKindName(const ::testing::TestParamInfo<GroupKind>& info) {
  return info.param.name;
}

/// What one of several members can do to the others; of two or more.
class FailureContractTest : public ::testing::TestWithParam<GroupKind> {
 protected:
  int size() const { return GetParam().size; }
  std::unique_ptr<MemberGang> NewGang() const { return GetParam().make(); }

  /// `body` in a thread for each rank, with its member, which ends when the body does.
  void RunLeaving(MemberGang& gang, const std::function<void(Group&)>& body) const {
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

/// What a Work is to those who wait for it; of two or more.
class WorkContractTest : public FailureContractTest {};

/// What an abort does not end; of two or more.
class AbortContractTest : public FailureContractTest {};

/// How members come together, or do not; of two or more.
class JoinContractTest : public FailureContractTest {};

/// Random ops, and one rank that does something wrong; of two or more.
class FaultContractTest : public FailureContractTest {};

/// What waiting costs; of two or more.
class WaitContractTest : public FailureContractTest {};

/// What a call that breaks the rules does; of one or more.
class RefusalContractTest : public FailureContractTest {};

/// Where the buffers of its ops lie: in this process's memory, also of a GPU, which is a fake one.
inline Device DeviceOf(const Group& group) {
  if (group.capabilities().host_memory) return {};
  return {Device::Kind::kCuda, group.capabilities().cuda_device};
}
inline ConstBuffer In(const Group& group, const std::vector<float>& data) {
  return {data.data(), data.size(), Dtype::kF32, DeviceOf(group)};
}
inline Buffer Out(const Group& group, std::vector<float>& data) {
  return {data.data(), data.size(), Dtype::kF32, DeviceOf(group)};
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_GROUP_CONTRACT_H_
