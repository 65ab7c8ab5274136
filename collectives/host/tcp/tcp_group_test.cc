// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract of groups (testing/group_contract.h) over TCP, ranks being threads.
#include "collectives/testing/group_contract.h"

#include <memory>

#include "collectives/host/tcp/local_tcp.h"

namespace lockstep::collectives::testing {
namespace {

std::shared_ptr<BackendMaker> NewMaker() { return LocalTcpMaker(); }
std::shared_ptr<BackendMaker> NewFlowsMaker() { return LocalFlowsTcpMaker(3); }
std::shared_ptr<BackendMaker> NewSealedMaker() { return LocalSealedTcpMaker(); }

INSTANTIATE_TEST_SUITE_P(Tcp, FailureContractTest,
                         ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 5})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, WorkContractTest, ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 5})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, AbortContractTest, ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 5})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, JoinContractTest, ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 5})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, RefusalContractTest,
                         ::testing::ValuesIn(GroupsOf(NewMaker, {1, 2, 3, 5})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, WaitContractTest, ::testing::ValuesIn(GroupsOf(NewMaker, {2, 4})),
                         GroupKindName);
INSTANTIATE_TEST_SUITE_P(Tcp, FaultContractTest, ::testing::ValuesIn(GroupsOf(NewMaker, {2, 3, 5})),
                         GroupKindName);

INSTANTIATE_TEST_SUITE_P(SealedTcp, FailureContractTest,
                         ::testing::ValuesIn(GroupsOf(NewSealedMaker, {3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(SealedTcp, WorkContractTest,
                         ::testing::ValuesIn(GroupsOf(NewSealedMaker, {3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(SealedTcp, AbortContractTest,
                         ::testing::ValuesIn(GroupsOf(NewSealedMaker, {3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(SealedTcp, JoinContractTest,
                         ::testing::ValuesIn(GroupsOf(NewSealedMaker, {3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(SealedTcp, RefusalContractTest,
                         ::testing::ValuesIn(GroupsOf(NewSealedMaker, {3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(SealedTcp, WaitContractTest,
                         ::testing::ValuesIn(GroupsOf(NewSealedMaker, {2})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(SealedTcp, FaultContractTest,
                         ::testing::ValuesIn(GroupsOf(NewSealedMaker, {3})), GroupKindName);

INSTANTIATE_TEST_SUITE_P(FlowsTcp, FailureContractTest,
                         ::testing::ValuesIn(GroupsOf(NewFlowsMaker, {3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(FlowsTcp, WorkContractTest,
                         ::testing::ValuesIn(GroupsOf(NewFlowsMaker, {3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(FlowsTcp, AbortContractTest,
                         ::testing::ValuesIn(GroupsOf(NewFlowsMaker, {3})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(FlowsTcp, WaitContractTest,
                         ::testing::ValuesIn(GroupsOf(NewFlowsMaker, {2})), GroupKindName);
INSTANTIATE_TEST_SUITE_P(FlowsTcp, FaultContractTest,
                         ::testing::ValuesIn(GroupsOf(NewFlowsMaker, {3})), GroupKindName);

}  // namespace
}  // namespace lockstep::collectives::testing
