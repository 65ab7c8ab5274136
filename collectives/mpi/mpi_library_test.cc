// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_library.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Built(const std::string& name) {
  return std::string(std::getenv("TEST_SRCDIR")) + "/lockstep/collectives/mpi/" + name;
}

TEST(MpiLibraryTest, AFileThatIsNotThereIsNamed) {
  EXPECT_THAT(MpiLibrary::Load("/nowhere/liblockstep_mpi_openmpi.so").status(),
              StatusIs(Code::kNotFound, HasSubstr("/nowhere/liblockstep_mpi_openmpi.so")));
}

TEST(MpiLibraryTest, AnObjectOfSomebodyElseIsRefused) {
  EXPECT_THAT(MpiLibrary::Load(Built("not_a_table.so")).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("no object of Lockstep's")));
}

TEST(MpiLibraryTest, ATableOfAnotherReleaseIsRefused) {
  EXPECT_THAT(
      MpiLibrary::Load(Built("old_table.so")).status(),
      StatusIs(Code::kFailedPrecondition, HasSubstr("of another release (table 0, not 3)")));
}

TEST(MpiLibraryTest, ALibraryOfAnotherAbiUnderTheRightNameIsRefusedWithBothNamesAndTheCure) {
  EXPECT_THAT(MpiLibrary::Load(Built("foreign_table.so")).status(),
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("compiled against Open MPI 4.1.4"),
                             HasSubstr("\"MPICH Version: 4.0.2\""), HasSubstr("mpirun.openmpi"))));
}

TEST(MpiLibraryTest, AnMpiThatIsNotInstalledIsNamedWithItsPackage) {
  EXPECT_THAT(
      MpiLibrary::Load(Built("needs_missing.so")).status(),
      StatusIs(Code::kFailedPrecondition, AllOf(HasSubstr("undefined symbol: MPI_Not_installed"),
                                                HasSubstr("package libopenmpi3"))));
}

TEST(MpiLibraryTest, ASecondMpiInTheProcessIsRefused) {
  ASSERT_OK(MpiLibrary::Load(Built("liblockstep_mpi_mpich.so")).status());
  EXPECT_THAT(
      MpiLibrary::Load(Built("liblockstep_mpi_openmpi.so")).status(),
      StatusIs(Code::kFailedPrecondition, AllOf(HasSubstr("needs libmpi.so.40 (Open MPI)"),
                                                HasSubstr("has loaded libmpich.so.12 already"))));
}

}  // namespace
}  // namespace lockstep::collectives
