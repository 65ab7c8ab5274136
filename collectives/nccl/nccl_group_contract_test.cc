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
  NcclMembers(int size, const std::string& version)
      : MemberGang(size),
        gang_(size, FakeGpu(version).Load()),
        attempts_(static_cast<size_t>(size)) {
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

std::vector<GroupKind> Over(const std::string& version, const std::vector<int>& sizes) {
  std::vector<GroupKind> kinds;
  for (const int size : sizes) {
    kinds.push_back(
        {.name = "Nccl" + version + "Of" + std::to_string(size),
         .size = size,
         .make = [version, size] { return std::make_unique<NcclMembers>(size, version); },
         .errors_are_of_all_ops = false,
         .errors_name_calls = false,
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

INSTANTIATE_TEST_SUITE_P(Old, WorkContractTest, ::testing::ValuesIn(Over("2_14", {2})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(New, WorkContractTest, ::testing::ValuesIn(Over("2_30", {3})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Old, JoinContractTest, ::testing::ValuesIn(Over("2_14", {2})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(New, JoinContractTest, ::testing::ValuesIn(Over("2_30", {3})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(New, FaultContractTest, ::testing::ValuesIn(Over("2_30", {2, 3})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(New, WaitContractTest, ::testing::ValuesIn(Over("2_30", {2, 3})),
                         GroupKindName);

// An error, or an abort, ends at once what has ended on the member that has it and another has not
// seen end. NcclFaultsTest has these cases, without an op just before.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FailureContractTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(AbortContractTest);
// Who comes to an op that another was refused after it has heard of that gets Aborted, with the
// refusal as its cause; and the root of later ops on the refused member is its own refusal.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RefusalContractTest);

}  // namespace
}  // namespace lockstep::collectives::testing
