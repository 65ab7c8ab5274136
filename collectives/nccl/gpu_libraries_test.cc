// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/gpu_libraries.h"

#include <gtest/gtest.h>

#include <string>

#include "runtime/base/testing/golden.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::MatchesGolden;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

GpuLibraries::Files Fake(const std::string& version) {
  const std::string file = "collectives/nccl/testing/libfake_nccl_" + version + ".so";
  return {.nccl = {file}, .cuda = {file}};
}

/// A line for each dtype: the reductions that it has.
std::string Table(const Capabilities& capabilities) {
  std::string text;
  for (uint8_t kind = 1; kind < kOpKindLimit; ++kind) {
    if (!capabilities.Has(static_cast<OpKind>(kind)))
      text += "no " + std::string(OpKindName(static_cast<OpKind>(kind))) + "\n";
  }
  for (uint8_t dtype = 1; dtype < kDtypeLimit; ++dtype) {
    const auto type = static_cast<Dtype>(dtype);
    text += std::string(DtypeName(type)) + ":";
    for (uint8_t reduction = 1; reduction < kReductionLimit; ++reduction) {
      if (capabilities.Has(type, static_cast<Reduction>(reduction)))
        text += " " + std::string(ReductionName(static_cast<Reduction>(reduction)));
    }
    text += "\n";
  }
  return text;
}

TEST(GpuLibrariesTest, VersionsHaveWhatTheirSymbolsSay) {
  for (const std::string version : {"2_14", "2_18", "2_27", "2_30"}) {
    ASSERT_OK_AND_ASSIGN(const auto libraries, GpuLibraries::Load(Fake(version)));
    EXPECT_TRUE(MatchesGolden("collectives/nccl/testdata/nccl_" + version + ".txt",
                              libraries->Describe() + Table(libraries->capabilities())));
  }
}

TEST(GpuLibrariesTest, GapsAreNamedWithBackendOpAndDtype) {
  ASSERT_OK_AND_ASSIGN(const auto libraries, GpuLibraries::Load(Fake("2_18")));
  EXPECT_THAT(libraries->capabilities().Check(OpKind::kAllReduce, Dtype::kF8E4m3, Reduction::kSum),
              StatusIs(Code::kUnimplemented,
                       HasSubstr("backend nccl has no all_reduce of f8e4m3 with sum")));
}

TEST(GpuLibrariesTest, NoLibraryIsSaidWithWhatWasTried) {
  EXPECT_THAT(GpuLibraries::Load({.nccl = {"libnccl_of_nobody.so.2"}}),
              StatusIs(Code::kNotFound, AllOf(HasSubstr("loading NCCL: libnccl_of_nobody.so.2"),
                                              HasSubstr("LD_LIBRARY_PATH"))));
  GpuLibraries::Files no_cuda = Fake("2_30");
  no_cuda.cuda = {"libcudart_of_nobody.so", "libcudart_of_no_one.so"};
  EXPECT_THAT(
      GpuLibraries::Load(no_cuda),
      StatusIs(Code::kNotFound, AllOf(HasSubstr("loading the CUDA runtime"),
                                      HasSubstr("of_nobody.so"), HasSubstr("of_no_one.so"))));
}

TEST(GpuLibrariesTest, TooOldALibraryIsNamed) {
  EXPECT_THAT(GpuLibraries::Load(Fake("2_13")),
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("found NCCL 2.13.4"), HasSubstr("2.14 or newer"))));
}

TEST(GpuLibrariesTest, AMissingSymbolIsNamed) {
  EXPECT_THAT(
      GpuLibraries::Load(Fake("without_abort")),
      StatusIs(Code::kFailedPrecondition, AllOf(HasSubstr("NCCL 2.28.9 lacks ncclCommAbort"))));
}

TEST(GpuLibrariesTest, ALibraryThatIsNoNcclIsRefused) {
  EXPECT_THAT(GpuLibraries::Load({.nccl = {"libm.so.6"}, .cuda = Fake("2_30").cuda}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("it is no NCCL")));
}

}  // namespace
}  // namespace lockstep::collectives
