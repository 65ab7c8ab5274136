// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract of groups, their failures and their waiting (testing/group_contract.h) over the fake
// NCCL, ranks being threads whose calls are compared.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collectives/nccl/testing/nccl_gang.h"
#include "collectives/testing/group_contract.h"

namespace lockstep::collectives::testing {
namespace {

class NcclMembers final : public MemberGang {
 public:
  NcclMembers(int size, const std::string& version, bool over_tcp)
      : MemberGang(size),
        gang_(size, FakeGpu(version).Load()),
        attempts_(static_cast<size_t>(size)) {
    if (over_tcp) gang_.runtime_config.boards = LocalTcpBoards();
    gang_.check_calls = true;
    (void)gang_.runtime();  // before the ranks' threads are there
  }

  base::Result<std::unique_ptr<Group>> Join(int rank) override {
    NcclGroup::Config config = gang_.ConfigFor(rank);
    config.spec.instance = ++attempts_[static_cast<size_t>(rank)];
    return Make(std::move(config));
  }
  base::Result<std::unique_ptr<Group>> JoinOneTooLarge(int rank) override {
    NcclGroup::Config config = gang_.ConfigFor(rank);
    config.spec.world_ranks.emplace_back(size_);
    return Make(std::move(config));
  }

 private:
  base::Result<std::unique_ptr<Group>> Make(NcclGroup::Config config) {
    config.timeout = timeout;
    config.join_timeout = join_timeout;
    ASSIGN_OR_RETURN(auto group, NcclGroup::Create(std::move(config), gang_.runtime()));
    return std::unique_ptr<Group>(std::move(group));
  }

  NcclGang gang_;
  std::vector<uint32_t> attempts_;  // by rank; each its own thread's
};

/// `over_tcp`: members meet as those of several machines do.
std::vector<GroupKind> Over(const std::string& version, const std::vector<int>& sizes,
                            bool over_tcp = false) {
  std::vector<GroupKind> kinds;
  for (const int size : sizes) {
    kinds.push_back(
        {.name = "Nccl" + version + "Of" + std::to_string(size),
         .size = size,
         .make = [version, size,
                  over_tcp] { return std::make_unique<NcclMembers>(size, version, over_tcp); },
         .tells_late_comers = false,
         .never_called = "never called by rank 1",
         .second_op = "number 2 of group",
         .second_ran_out = "number 2 of group world ran out of its",
         .left = "has dropped group",
         .never_came_within = "within ",
         .after_within = ": never came"});
  }
  return kinds;
}

using ::testing::ValuesIn;

INSTANTIATE_TEST_SUITE_P(Old, FailureContractTest, ValuesIn(Over("2_14", {2, 3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(New, FailureContractTest, ValuesIn(Over("2_30", {2, 3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, FailureContractTest, ValuesIn(Over("2_30", {2, 3}, true)),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Old, AbortContractTest, ValuesIn(Over("2_14", {2, 3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(New, AbortContractTest, ValuesIn(Over("2_30", {2, 3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, AbortContractTest, ValuesIn(Over("2_30", {2, 3}, true)),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Old, RefusalContractTest, ValuesIn(Over("2_14", {1, 2, 3})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(New, RefusalContractTest, ValuesIn(Over("2_30", {1, 2, 3})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, RefusalContractTest, ValuesIn(Over("2_30", {2, 3}, true)),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Old, WorkContractTest, ValuesIn(Over("2_14", {2})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(New, WorkContractTest, ValuesIn(Over("2_30", {3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Old, JoinContractTest, ValuesIn(Over("2_14", {2})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(New, JoinContractTest, ValuesIn(Over("2_30", {3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(New, FaultContractTest, ValuesIn(Over("2_30", {2, 3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(New, WaitContractTest, ValuesIn(Over("2_30", {2, 3})), GroupKindName);

}  // namespace
}  // namespace lockstep::collectives::testing
