// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/watch_shim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::HasSubstr;

std::string FolderWithShim(const std::string& name) {
  const std::string folder = ::testing::TempDir() + name;
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/liblockstep_mpi.so") << "";
  return folder;
}

TEST(WatchShimTest, ItComesAfterWhatIsPreloadedAlready) {
  const std::string folder = FolderWithShim("with");
  topology::Environment bare, full = {{"LD_PRELOAD", "libasan.so"}};

  EXPECT_THAT(PreloadShim("mpi", folder, bare), IsOk());
  EXPECT_THAT(PreloadShim("auto", folder, full), IsOk());

  EXPECT_EQ(bare["LD_PRELOAD"], folder + "/liblockstep_mpi.so");
  EXPECT_EQ(full["LD_PRELOAD"], "libasan.so:" + folder + "/liblockstep_mpi.so");
}

TEST(WatchShimTest, EachLibraryHasItsShimAndAutoMeansAllThatAreThere) {
  const std::string folder = FolderWithShim("both");
  const std::string mpi = folder + "/liblockstep_mpi.so", nccl = folder + "/liblockstep_nccl.so";
  std::ofstream(nccl) << "";
  topology::Environment one, all;

  EXPECT_THAT(PreloadShim("nccl", folder, one), IsOk());
  EXPECT_THAT(PreloadShim("auto", folder, all), IsOk());

  EXPECT_EQ(one["LD_PRELOAD"], nccl);
  EXPECT_EQ(all["LD_PRELOAD"], mpi + ":" + nccl);
  EXPECT_THAT(PreloadShim("nccl", FolderWithShim("with"), one),
              StatusIs(Code::kNotFound, HasSubstr("watch NCCL calls (--watch): ")));
}

TEST(WatchShimTest, WithoutTheFlagNothingIsPreloaded) {
  topology::Environment environment;
  for (const std::string watch : {"", "off"})
    EXPECT_THAT(PreloadShim(watch, FolderWithShim("with"), environment), IsOk());
  EXPECT_TRUE(environment.empty());
}

TEST(WatchShimTest, AShimThatCannotBeHadIsAnErrorWhereItWasAskedFor) {
  topology::Environment environment;

  EXPECT_THAT(PreloadShim("mpi", "/nowhere", environment),
              StatusIs(Code::kNotFound, HasSubstr("/nowhere/liblockstep_mpi.so is not there")));
  EXPECT_THAT(PreloadShim("mpi", FolderWithShim("a b"), environment),
              StatusIs(Code::kInvalidArgument, HasSubstr("a blank or a colon")));
  EXPECT_THAT(PreloadShim("auto", "/nowhere", environment), IsOk());
  EXPECT_TRUE(environment.empty());
}

TEST(WatchShimTest, NothingCanBePreloadedIntoAStaticProgram) {
  const std::string folder = FolderWithShim("with");
  const ProgramImage fixed{.kind = ProgramImage::Kind::kStatic, .needed = {}};
  EXPECT_THAT(CheckWatch("mpi", fixed, "./train", folder),
              StatusIs(Code::kInvalidArgument, HasSubstr("./train is linked statically")));
  EXPECT_THAT(CheckWatch("auto", fixed, "./train", folder), IsOk());
  EXPECT_THAT(CheckWatch("mpi", ProgramImage{}, "./train.sh", folder), IsOk());
  EXPECT_THAT(CheckWatch("mpi", {}, "./train", "/nowhere"), StatusIs(Code::kNotFound));
}

TEST(WatchShimTest, NothingIsPreloadedIntoAProgramThatGetsRights) {
  const std::string folder = FolderWithShim("with");
  const ProgramImage raised{
      .kind = ProgramImage::Kind::kDynamic, .is_privileged = true, .needed = {"libmpi.so.40"}};
  EXPECT_THAT(CheckWatch("mpi", raised, "./train", folder),
              StatusIs(Code::kInvalidArgument, HasSubstr("./train is setuid or setgid")));
  EXPECT_THAT(CheckWatch("auto", raised, "./train", folder), IsOk());
  EXPECT_THAT(WhyNotWatched("auto", raised, "./train"),
              HasSubstr("a hang of ./train will not be seen"));
  EXPECT_EQ(WhyNotWatched("off", raised, "./train"), "");
  ProgramImage other = raised;
  other.needed = {"libc.so.6"};
  EXPECT_EQ(WhyNotWatched("auto", other, "./ping"), "") << "it calls no MPI";
}

}  // namespace
}  // namespace lockstep::launcher
