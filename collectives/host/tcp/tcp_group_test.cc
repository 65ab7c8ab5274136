// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract of groups (testing/group_contract.h) over TCP, ranks being threads.
#include "collectives/testing/group_contract.h"

#include <memory>

#include "collectives/host/tcp/local_tcp.h"

namespace lockstep::collectives::testing {
namespace {

std::shared_ptr<BackendMaker> NewMaker() { return LocalTcpMaker(); }

INSTANTIATE_TEST_SUITE_P(Tcp, FailureContractTest,
                         ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 5})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, JoinContractTest, ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 5})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, RefusalContractTest,
                         ::testing::ValuesIn(GroupsOf(NewMaker, {1, 2, 3, 5})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, WaitContractTest, ::testing::ValuesIn(GroupsOf(NewMaker, {2, 4})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, FaultContractTest, ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 5})),
                         GroupKindName);

}  // namespace
}  // namespace lockstep::collectives::testing
