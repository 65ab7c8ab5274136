// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_OPS_CONTRACT_H_
#define LOCKSTEP_COLLECTIVES_TESTING_OPS_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "collectives/testing/gang.h"

namespace lockstep::collectives::testing {

/// What ops_contract_tests.cc, the contract of group.h for each op, runs over. A backend's test
/// compiles that file in and instantiates it:
///
///   INSTANTIATE_TEST_SUITE_P(Tcp, OpsContractTest, ::testing::Values(GangKind{"Of3", ...}), Name);
struct GangKind {
  std::string name;
  std::function<std::unique_ptr<Gang>()> make;

  friend std::ostream& operator<<(std::ostream& out, const GangKind& kind) {
    return out << kind.name;
  }
};

class OpsContractTest : public ::testing::TestWithParam<GangKind> {
 protected:
  void Run(const std::function<void(Group&)>& body) { GetParam().make()->Run(body); }
};

inline std::string GangName(const ::testing::TestParamInfo<GangKind>& info) {
  return info.param.name;
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_OPS_CONTRACT_H_
