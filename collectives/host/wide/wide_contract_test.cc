// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract of each op (testing/ops_contract.h) over shared memory within machines and TCP
// between them, ranks being threads.
#include <memory>
#include <string>
#include <vector>

#include "collectives/host/wide/local_wide.h"
#include "collectives/testing/ops_contract.h"
#include "collectives/testing/thread_gang.h"

namespace lockstep::collectives::testing {
namespace {

struct Layout {
  const char* name;
  std::vector<int> machines;  // by rank
};

std::vector<Layout> Layouts() {
  std::vector<Layout> layouts = {
      {"TwoAndOne", {0, 0, 1}},  // more take minutes under the thread sanitizer
      {"TwoAndTwo", {0, 0, 1, 1}},
  };
#if !defined(__SANITIZE_THREAD__)
  layouts.push_back({"InTurn", {0, 1, 0, 1}});
  layouts.push_back({"InTurnUneven", {1, 0, 1, 0, 0}});
  layouts.push_back({"ThreeOfTwo", {2, 2, 0, 0, 1, 1}});
#endif
  return layouts;
}

std::vector<GangKind> Gangs() {
  std::vector<GangKind> kinds;
  for (const Layout& layout : Layouts()) {
    kinds.push_back({.name = layout.name,
                     .make =
                         [machines = layout.machines] {
                           return std::make_unique<ThreadGang>(
                               static_cast<int>(machines.size()),
                               std::make_shared<LocalWideMaker>(machines));
                         },
                     .machines = layout.machines});
  }
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Wide, OpsContractTest, ::testing::ValuesIn(Gangs()), GangName);

}  // namespace
}  // namespace lockstep::collectives::testing
