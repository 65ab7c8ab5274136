// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract of groups (testing/group_contract.h) over shared memory, ranks being threads.
#include "collectives/testing/group_contract.h"

#include <memory>

#include "collectives/testing/thread_gang.h"

namespace lockstep::collectives::testing {
namespace {

std::shared_ptr<BackendMaker> NewMaker() { return ThreadGang::InSharedMemory(); }

INSTANTIATE_TEST_SUITE_P(Shm, FailureContractTest,
                         ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 4, 8})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Shm, WorkContractTest,
                         ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 4, 8})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Shm, AbortContractTest,
                         ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 4, 8})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Shm, JoinContractTest,
                         ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 4, 8})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Shm, RefusalContractTest,
                         ::testing::ValuesIn(GroupsOf(NewMaker, {1, 2, 3, 4, 8})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Shm, WaitContractTest, ::testing::ValuesIn(GroupsOf(NewMaker, {2, 4})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Shm, FaultContractTest, ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 5})),
                         GroupKindName);

}  // namespace
}  // namespace lockstep::collectives::testing
