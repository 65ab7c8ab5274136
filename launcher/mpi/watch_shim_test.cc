// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/watch_shim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "launcher/mpi/carried_shim.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::AllOf;
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
  EXPECT_THAT(WhyNotWatched("auto", raised, "./train", {}, true),
              HasSubstr("a hang of ./train will not be seen"));
  EXPECT_EQ(WhyNotWatched("off", raised, "./train", {}, true), "");
  ProgramImage other = raised;
  other.needed = {"libc.so.6"};
  EXPECT_EQ(WhyNotWatched("auto", other, "./ping", {}, true), "") << "it calls no MPI";
  other.needed = {"libc.so.6", "libnccl.so.2"};
  EXPECT_THAT(WhyNotWatched("auto", other, "./gpu", {}, false),
              HasSubstr("a hang of ./gpu will not"));
}

TEST(WatchShimTest, WhatIsNotWatchedByDefaultIsSaid) {
  const ProgramImage fixed{.kind = ProgramImage::Kind::kStatic, .needed = {}, .built_in = "MPI"};
  EXPECT_THAT(
      WhyNotWatched("auto", fixed, "./train", {}, true),
      HasSubstr("a hang of ./train will not be seen: it is linked statically, its MPI too"));
  EXPECT_EQ(WhyNotWatched("off", fixed, "./train", {}, true), "");
  EXPECT_EQ(WhyNotWatched("auto", {.kind = ProgramImage::Kind::kStatic}, "busybox", {}, true), "");

  const ProgramImage mpi{.kind = ProgramImage::Kind::kDynamic, .needed = {"libmpi.so.40"}};
  EXPECT_EQ(WhyNotWatched("auto", mpi, "./train", {}, true), "");
  EXPECT_THAT(WhyNotWatched("auto", mpi, "./train", {}, false),
              HasSubstr("a hang in an MPI call of ./train will not be seen: in jobs of several"));
  EXPECT_EQ(WhyNotWatched("nccl", mpi, "./train", {}, false), "") << "it was not asked for";
}

TEST(WatchShimTest, NothingComesBeforeTheRuntimeOfASanitizer) {
  const ProgramImage sanitized{.kind = ProgramImage::Kind::kDynamic,
                               .needed = {"libasan.so.8", "libnccl.so.2", "libc.so.6"}};
  const topology::Environment bare, named = {{"LD_PRELOAD", "/usr/lib/libasan.so.8"}};
  EXPECT_EQ(WatchFor("auto", sanitized, bare), "off");
  EXPECT_EQ(WatchFor("auto", sanitized, named), "auto");
  EXPECT_EQ(WatchFor("nccl", sanitized, bare), "nccl") << "who asks is told by its runtime";
  EXPECT_EQ(WatchFor("auto", {.kind = ProgramImage::Kind::kDynamic}, bare), "auto");

  EXPECT_THAT(WhyNotWatched("auto", sanitized, "./train", bare, true),
              HasSubstr("a hang of ./train will not be seen: AddressSanitizer's runtime must be"));
  EXPECT_EQ(WhyNotWatched("auto", sanitized, "./train", named, true), "");
  const ProgramImage other{.kind = ProgramImage::Kind::kDynamic, .needed = {"libasan.so.8"}};
  EXPECT_EQ(WhyNotWatched("auto", other, "./train", bare, true), "") << "it calls neither";
}

// ------------------------------------------------------------------------------ of several nodes

std::string FolderWithBoth(const std::string& name) {
  const std::string folder = FolderWithShim(name);
  std::ofstream(folder + "/liblockstep_nccl.so") << "";
  return folder;
}

TEST(FarWatchTest, AutoAndNcclAreNcclsHalfEachWithTheShimBesideLockstep) {
  const std::string folder = FolderWithBoth("far");
  for (const std::string watch : {"auto", "nccl"}) {
    const auto far = ChooseFarWatch(watch, {}, "./train", folder, "/nowhere");
    ASSERT_THAT(far, IsOk());
    EXPECT_EQ(far->trouble, "");
    topology::Environment environment, shown;
    EXPECT_THAT(PreloadShim(far->watch, far->folder, environment), IsOk());
    EXPECT_EQ(environment["LD_PRELOAD"], folder + "/liblockstep_nccl.so");
    ShowFarShim(watch, folder, "/nowhere", shown);
    EXPECT_EQ(shown, environment);
  }
}

TEST(FarWatchTest, MpiIsRefusedAndOffIsOff) {
  const std::string folder = FolderWithBoth("far");
  EXPECT_THAT(ChooseFarWatch("mpi", {}, "./train", folder, folder),
              StatusIs(Code::kInvalidArgument,
                       HasSubstr("(--watch=mpi): that is for jobs whose ranks are all on")));
  const auto off = ChooseFarWatch("off", {}, "./train", folder, folder);
  ASSERT_THAT(off, IsOk());
  EXPECT_EQ(off->watch, "off");
  topology::Environment shown;
  ShowFarShim("off", folder, folder, shown);
  EXPECT_TRUE(shown.empty());
}

TEST(FarWatchTest, WithoutAShimBesideLockstepTheOneThatItCarriesIsUnpacked) {
  if (!CarriesNcclShim()) GTEST_SKIP() << "a build with a sanitizer carries none";
  const std::string spare = ::testing::TempDir() + "spare";
  std::filesystem::remove_all(spare);
  std::filesystem::create_directories(spare);
  const std::string path = NcclShimFolder(spare) + "/liblockstep_nccl.so";

  const auto far = ChooseFarWatch("auto", {}, "./train", FolderWithShim("with"), spare);

  ASSERT_THAT(far, IsOk());
  EXPECT_EQ(far->watch, "nccl");
  EXPECT_EQ(far->folder, NcclShimFolder(spare));
  EXPECT_GT(std::filesystem::file_size(path), 10'000u);
  topology::Environment shown = {{"LD_PRELOAD", "libasan.so"}};
  ShowFarShim("auto", FolderWithShim("with"), spare, shown);
  EXPECT_EQ(shown["LD_PRELOAD"], "libasan.so:" + path);
}

TEST(FarWatchTest, WhereNoneCanBeHadThatIsSaidAndOfNcclAnError) {
  const std::string with = FolderWithShim("with");
  EXPECT_FALSE(ChooseFarWatch("nccl", {}, "./train", with, "/nowhere").ok());

  const auto far = ChooseFarWatch("auto", {}, "./train", with, "/nowhere");

  ASSERT_THAT(far, IsOk());
  EXPECT_EQ(far->watch, "off");
  if (!CarriesNcclShim()) return;
  EXPECT_THAT(far->trouble, HasSubstr("unpack NCCL's shim to /nowhere/shim-"));
  EXPECT_THAT(
      ChooseFarWatch("auto", {}, "./train", with, FolderWithShim("a b"))->trouble,
      AllOf(HasSubstr("a blank or a colon"), HasSubstr("put liblockstep_nccl.so beside lockstep")));
  EXPECT_FALSE(std::filesystem::exists(NcclShimFolder(FolderWithShim("a b"))));
}

TEST(FarWatchTest, WhereLockstepCarriesNoneThatIsSaidOfProgramsThatMayCallNccl) {
  const std::string with = FolderWithShim("with");
  const ProgramImage calls{.kind = ProgramImage::Kind::kDynamic, .needed = {"libnccl.so.2"}};
  const auto trouble = [&](const ProgramImage& program, const std::string& name) {
    const auto far = ChooseFarWatch("auto", program, name, with, with, /*carries_shim=*/false);
    EXPECT_EQ(far->watch, "off");
    return far->trouble;
  };

  for (const std::string& said :
       {trouble(calls, "./train"), trouble({}, "/usr/bin/python3"), trouble({}, "./train.py")}) {
    EXPECT_THAT(said, AllOf(HasSubstr("liblockstep_nccl.so is not there; put it beside lockstep"),
                            HasSubstr("a build with a sanitizer carries none")));
  }
  EXPECT_EQ(trouble({}, "./ping"), "") << "it calls none";
  EXPECT_FALSE(ChooseFarWatch("nccl", calls, "./train", with, with, false).ok());
}

TEST(FarWatchTest, OfNcclAStaticProgramIsRefused) {
  const std::string folder = FolderWithBoth("far");
  const ProgramImage fixed{.kind = ProgramImage::Kind::kStatic};
  EXPECT_THAT(ChooseFarWatch("nccl", fixed, "./train", folder, folder),
              StatusIs(Code::kInvalidArgument, HasSubstr("./train is linked statically")));
  EXPECT_THAT(ChooseFarWatch("auto", fixed, "./train", folder, folder), IsOk());
}

}  // namespace
}  // namespace lockstep::launcher
