// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_OPS_CONTRACT_H_
#define LOCKSTEP_COLLECTIVES_TESTING_OPS_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "collectives/testing/gang.h"

namespace lockstep::collectives::testing {

/// What the contract of group.h for each op (ops_*_tests.cc) runs over. A backend's test compiles
/// these files in and instantiates their suite. A body knows the others by its group alone: on some
/// backends they are other processes. What a backend says that it lacks must be refused, and is not
/// tested further.
///
///   INSTANTIATE_TEST_SUITE_P(Tcp, OpsContractTest, ::testing::Values(GangKind{"Of3", ...}), Name);
struct GangKind {
  std::string name;
  std::function<std::unique_ptr<Gang>()> make;
  std::string missing;  // why it cannot be made here: its tests are skipped with that
  /// By rank, where those of one machine may be combined, and rounded, before the rest.
  std::vector<int> machines = {};

  friend std::ostream& operator<<(std::ostream& out, const GangKind& kind) {
    return out << kind.name;
  }
};

class OpsContractTest : public ::testing::TestWithParam<GangKind> {
 protected:
  void SetUp() override {
    if (!GetParam().missing.empty()) GTEST_SKIP() << GetParam().missing;
  }
  void Run(const std::function<void(Group&)>& body) {
    const std::unique_ptr<Gang> made = GetParam().make();
    gang_ = made.get();
    made->Run(body);
    gang_ = nullptr;
  }

 public:
  /// Whose ranks run a body now.
  static Gang& gang() { return *gang_; }
  static const std::vector<int>& machines() { return GetParam().machines; }

 private:
  static inline Gang* gang_ = nullptr;
};

inline std::string GangName(const ::testing::TestParamInfo<GangKind>& info) {
  return info.param.name;
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_OPS_CONTRACT_H_
