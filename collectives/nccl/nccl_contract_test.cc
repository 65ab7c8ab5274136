// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract of each op (testing/ops_contract.h) over the fake NCCL, ranks being threads: with
// all that NCCL has today, and with the least of it that we load.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectives/nccl/testing/nccl_gang.h"
#include "collectives/testing/ops_contract.h"

namespace lockstep::collectives::testing {
namespace {

std::vector<GangKind> Gangs() {
  std::vector<GangKind> kinds;
  for (const auto& [version, sizes] : std::vector<std::pair<std::string, std::vector<int>>>{
           {"2_30", {1, 2, 3}}, {"2_18", {2}}, {"2_14", {3}}}) {
    for (const int size : sizes) {
      kinds.push_back({"Nccl" + version + "Of" + std::to_string(size), [version, size] {
                         return std::make_unique<NcclGang>(size, FakeGpu(version).Load());
                       }});
    }
  }
  for (const bool over_tcp : {false, true}) {
    kinds.push_back(
        {std::string(over_tcp ? "NcclOverTcp" : "Nccl") + "2_30ComparedOf3", [over_tcp] {
           auto gang = std::make_unique<NcclGang>(3, FakeGpu("2_30").Load());
           if (over_tcp) gang->runtime_config.boards = LocalTcpBoards();
           gang->check_calls = true;
           return gang;
         }});
  }
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Fake, OpsContractTest, ::testing::ValuesIn(Gangs()), GangName);

}  // namespace
}  // namespace lockstep::collectives::testing
