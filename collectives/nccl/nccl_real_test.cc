// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The contract and the failures over the machine's own NCCL and GPU, where it has both; elsewhere
// each test says what is missing. Libraries that are no system's are found by LD_LIBRARY_PATH.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "collectives/nccl/testing/nccl_gang.h"
#include "collectives/testing/ops_contract.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

/// Why nothing can run here; empty where it can.
std::string Missing() {
  if (access("/dev/nvidiactl", F_OK) != 0) return "no GPU here: there is no /dev/nvidiactl";
  const auto libraries = GpuLibraries::Load({});
  return libraries.ok() ? "" : libraries.status().ToString();
}

/// Two ranks on one GPU, which NCCL allows since 2.30 when it is told to.
std::string MissingForTwo() {
  if (std::string missing = Missing(); !missing.empty()) return missing;
  int devices = 0;
  const auto libraries = GpuLibraries::Load({}).value();
  (void)libraries->cuda().get_device_count(&devices);
  if (devices > 1) return "";
  const char* const shares = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  if (libraries->nccl_version() >= NcclVersion(2, 30, 0) && shares != nullptr &&
      std::string_view(shares) == "1") {
    return "";
  }
  return "one GPU, and " + libraries->VersionText() +
         " takes two ranks on it from 2.30 on, with NCCL_MULTI_RANK_GPU_ENABLE=1";
}

std::unique_ptr<NcclGang> Make(int size) {
  auto gang = std::make_unique<NcclGang>(size, GpuLibraries::Load({}).value());
  (void)gang->runtime_config.libraries->cuda().get_device_count(&gang->device_count);
  return gang;
}

INSTANTIATE_TEST_SUITE_P(Gpu, OpsContractTest,
                         ::testing::Values(GangKind{"Of1", [] { return Make(1); }, Missing()},
                                           GangKind{"Of2", [] { return Make(2); },
                                                    MissingForTwo()}),
                         GangName);

TEST(NcclRealTest, TheMachinesLibrariesLoad) {
  const auto libraries = GpuLibraries::Load({});
  if (libraries.status().code() == Code::kNotFound) GTEST_SKIP() << libraries.status();
  ASSERT_OK(libraries);
  EXPECT_GE((*libraries)->nccl_version(), kNcclOldest);
  EXPECT_EQ((*libraries)->nccl().comm_split != nullptr,
            (*libraries)->nccl_version() >= NcclVersion(2, 18, 0));
  EXPECT_EQ((*libraries)->nccl().comm_shrink != nullptr,
            (*libraries)->nccl_version() >= NcclVersion(2, 27, 0));
  EXPECT_EQ((*libraries)->nccl().comm_revoke != nullptr,
            (*libraries)->nccl_version() >= NcclVersion(2, 28, 7));
  NcclUniqueId id{};  // needs no GPU
  EXPECT_EQ((*libraries)->nccl().get_unique_id(&id), kNcclSuccess);
}

TEST(NcclRealTest, AnInitNamesWhoDidNotCome) {
  if (const std::string missing = Missing(); !missing.empty()) GTEST_SKIP() << missing;
  auto gang = std::make_unique<NcclGang>(2, GpuLibraries::Load({}).value());
  gang->join_timeout = seconds(5);
  (void)gang->runtime();
  const base::SteadyTime called = base::RealClock().Now();
  EXPECT_THAT(gang->Join(0), StatusIs(Code::kDeadlineExceeded, HasSubstr("never came: rank 1")));
  EXPECT_LT(base::RealClock().Now() - called, seconds(6));
}

TEST(NcclRealTest, ARankThatNeverCallsIsBlamedAndTheAbortEnds) {
  if (const std::string missing = MissingForTwo(); !missing.empty()) GTEST_SKIP() << missing;
  const auto gang = Make(2);
  gang->Run([](Group& group) {
    ASSERT_OK(group.Barrier()->Wait());
    if (group.rank() == base::GroupRank(1)) return;
    EXPECT_THAT(group.Barrier({.timeout = milliseconds(500)})->Wait(),
                StatusIs(Code::kDeadlineExceeded, HasSubstr("never called by rank 1")));
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
