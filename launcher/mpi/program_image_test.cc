// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/program_image.h"

#include <elf.h>
#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Kind = ProgramImage::Kind;

std::string WriteFile(const std::string& name, const std::string& content) {
  const std::string path = ::testing::TempDir() + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string ThisProgram() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

ProgramImage LinkedWith(std::vector<std::string> libraries) {
  return {.kind = Kind::kDynamic, .needed = std::move(libraries)};
}

template <typename T>
std::string BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

Elf64_Ehdr HeaderOfStatic() {
  Elf64_Ehdr header{};
  header.e_ident[EI_MAG0] = ELFMAG0;
  header.e_ident[EI_MAG1] = ELFMAG1;
  header.e_ident[EI_MAG2] = ELFMAG2;
  header.e_ident[EI_MAG3] = ELFMAG3;
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_phentsize = sizeof(Elf64_Phdr);
  return header;
}

/// A static program that has these names in its table of symbols.
std::string StaticWith(const std::string& names) {
  Elf64_Ehdr header = HeaderOfStatic();
  header.e_shoff = sizeof header;
  header.e_shnum = 2;
  header.e_shentsize = sizeof(Elf64_Shdr);
  Elf64_Shdr symbols{}, text{};
  symbols.sh_type = SHT_SYMTAB;
  symbols.sh_link = 1;
  text.sh_type = SHT_STRTAB;
  text.sh_offset = sizeof header + 2 * sizeof text;
  text.sh_size = names.size();
  return BytesOf(header) + BytesOf(symbols) + BytesOf(text) + names;
}

/// One that was stripped, of these segments.
struct Segment {
  uint32_t flags;
  std::string content;
};
std::string Stripped(const std::vector<Segment>& segments) {
  Elf64_Ehdr header = HeaderOfStatic();
  header.e_phoff = sizeof header;
  header.e_phnum = static_cast<uint16_t>(segments.size());
  std::string table, rest;
  for (const auto& [flags, content] : segments) {
    Elf64_Phdr segment{};
    segment.p_type = PT_LOAD;
    segment.p_flags = flags;
    segment.p_offset = sizeof header + segments.size() * sizeof segment + rest.size();
    segment.p_filesz = content.size();
    table += BytesOf(segment);
    rest += content;
  }
  return BytesOf(header) + table + rest;
}

TEST(ProgramImageTest, SaysWhatAProgramIsLinkedWith) {
  const auto image = ReadProgramImage("/proc/self/exe");
  ASSERT_THAT(image, IsOk());
  if (image->kind == Kind::kStatic) GTEST_SKIP() << "this test is linked statically";
  EXPECT_THAT(image->needed, Contains(StartsWith("libc.so.")));
}

TEST(ProgramImageTest, AStaticProgramLoadsNothing) {
  const auto image = ReadProgramImage("/bin/busybox");
  if (!image.ok()) GTEST_SKIP() << "busybox-static is not installed";
  EXPECT_EQ(image->kind, Kind::kStatic);
  EXPECT_THAT(image->needed, IsEmpty());
}

TEST(ProgramImageTest, AStaticProgramHasItsLibraryInItself) {
  using namespace std::string_literals;
  const auto built_in = [](const std::string& names) {
    const auto image = ReadProgramImage(WriteFile("static", StaticWith(names)));
    EXPECT_THAT(image, IsOk());
    EXPECT_EQ(image->kind, Kind::kStatic);
    return image->built_in;
  };
  EXPECT_EQ(built_in("\0main\0MPI_Init\0"s), "MPI");
  EXPECT_EQ(built_in("\0main\0PMPI_Init\0"s), "MPI") << "the other name is its end";
  EXPECT_EQ(built_in("\0main\0ncclCommInitRank\0"s), "NCCL");
  EXPECT_EQ(built_in("\0main\0MPI_Init_thread_of_mine\0my_MPI_Init\0"s), "");
  EXPECT_EQ(built_in(""), "");
  const std::string many(size_t{1} << 20, '\0');
  EXPECT_EQ(built_in(many.substr(4) + "\0MPI_Init\0"s), "MPI") << "it is in two pieces";

  std::string cut = StaticWith("\0main\0MPI_Init\0"s);
  cut.resize(cut.size() - 4);
  EXPECT_EQ(ReadProgramImage(WriteFile("cut", cut))->built_in, "");
  std::string huge = StaticWith("");
  huge.replace(huge.size() - sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_size), 8, 8, '\x7f');
  EXPECT_EQ(ReadProgramImage(WriteFile("huge", huge))->built_in, "");
}

TEST(ProgramImageTest, AStaticProgramThatWasStrippedHasWhatItsLibrarySays) {
  using namespace std::string_literals;
  const auto built_in = [](const std::vector<Segment>& segments) {
    const auto image = ReadProgramImage(WriteFile("stripped", Stripped(segments)));
    EXPECT_THAT(image, IsOk());
    EXPECT_EQ(image->kind, Kind::kStatic);
    return image->built_in;
  };
  const std::string open_mpi = "\0MPI_Init\0x\0MPI_COMM_WORLD\0"s;
  const std::string mpich = "\0MPI_COMM_WORLD\0**mpi_init:MPI_Init(argc=%p, argv=%p) failed\0"s;
  EXPECT_EQ(built_in({{PF_R, open_mpi}}), "MPI");
  EXPECT_EQ(built_in({{PF_R, "head"}, {PF_R | PF_X, "code"}, {PF_R, mpich}}), "MPI");
  EXPECT_EQ(built_in({{PF_R | PF_X, mpich}, {PF_R | PF_W, "data"}}), "MPI") << "of old linkers";
  EXPECT_EQ(built_in({{PF_R, "\0PMPI_Init\0"s}, {PF_R, "\0MPI_COMM_WORLD\0"s}}), "MPI");
  EXPECT_EQ(built_in({{PF_R, "\0ncclCommInitRank\0NCCL_DEBUG\0"s}}), "NCCL");

  EXPECT_EQ(built_in({{PF_R, "\0MPI_Init\0"s}}), "") << "one word is said by others, too";
  EXPECT_EQ(built_in({{PF_R, "\0MPI_Initialized\0MPI_COMM_WORLD\0"s}}), "");
  EXPECT_EQ(built_in({{PF_R, "\0MY_MPI_Init\0MPI_COMM_WORLD\0"s}}), "");
  EXPECT_EQ(built_in({{PF_R | PF_W, open_mpi}}), "") << "what it computes with";
  const std::string many(size_t{1} << 20, '\0');
  EXPECT_EQ(built_in({{PF_R, many.substr(4) + mpich}}), "MPI") << "it is in two pieces";
  std::string huge = Stripped({{PF_R, open_mpi}});
  huge.replace(sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_filesz), 8, 8, '\x7f');
  EXPECT_EQ(ReadProgramImage(WriteFile("huge", huge))->built_in, "MPI") << "as far as it goes";
}

/// They say the same in a program that they are linked into.
TEST(ProgramImageTest, TheMpisOfThisMachineAreKnownByWhatTheySay) {
  int seen = 0;
  for (const char* const library : {"libmpi.so.40", "libmpich.so.12"}) {
    const auto image = ReadProgramImage(std::string("/usr/lib/x86_64-linux-gnu/") + library);
    if (!image.ok()) continue;
    ++seen;
    EXPECT_EQ(image->kind, Kind::kStatic) << "nothing in it names a loader";
    EXPECT_EQ(image->built_in, "MPI") << library;
  }
  if (seen == 0) GTEST_SKIP() << "no MPI of Debian's is installed";
  EXPECT_EQ(ReadProgramImage("/usr/lib/x86_64-linux-gnu/libc.so.6")->built_in, "");
}

TEST(ProgramImageTest, OneThatGetsOthersRightsIsPrivileged) {
  const std::string path = WriteFile("raised", ThisProgram());
  EXPECT_FALSE(ReadProgramImage(path)->is_privileged);
  ASSERT_EQ(::chmod(path.c_str(), 04755), 0);
  EXPECT_FALSE(ReadProgramImage(path)->is_privileged) << "it is ours";

  constexpr uid_t kOther = 64231;
  if (::chown(path.c_str(), kOther, kOther) != 0)
    GTEST_SKIP() << "this user may give no file away: " << std::strerror(errno);
  ASSERT_EQ(::chmod(path.c_str(), 04755), 0);  // chown takes it away
  EXPECT_TRUE(ReadProgramImage(path)->is_privileged);
  ASSERT_EQ(::chmod(path.c_str(), 02755), 0);
  EXPECT_TRUE(ReadProgramImage(path)->is_privileged);
  ASSERT_EQ(::chmod(path.c_str(), 02745), 0);
  EXPECT_FALSE(ReadProgramImage(path)->is_privileged) << "no setgid without a right to execute";
  EXPECT_FALSE(ReadProgramImage(WriteFile("script", "#!/bin/sh\n"))->is_privileged);
}

TEST(ProgramImageTest, WhatIsNoElfFileIsAScriptPerhaps) {
  for (const std::string content : {"#!/bin/sh\n", "", "\x7f",
                                    "\x7f"
                                    "ELF"}) {
    const auto image = ReadProgramImage(WriteFile("script", content));
    ASSERT_THAT(image, IsOk());
    EXPECT_EQ(image->kind, Kind::kOther);
  }
  EXPECT_THAT(ReadProgramImage("/nowhere"), StatusIs(Code::kNotFound));
}

TEST(ProgramImageTest, AFileThatEndsTooEarlyIsNoDanger) {
  const std::string whole = ThisProgram().substr(0, 1 << 20);
  for (size_t size = 0; size < 4096; size += 7) {
    const auto image = ReadProgramImage(WriteFile("cut", whole.substr(0, size)));
    if (!image.ok()) {
      EXPECT_THAT(image, StatusIs(Code::kInvalidArgument)) << size;
    }
  }
}

TEST(ProgramImageTest, NeitherAreBytesThatSayAnything) {
  const std::string whole = ThisProgram().substr(0, 1 << 20);
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    std::string bytes = whole;
    // In the headers, behind what tells that it is one of ours.
    for (int changes = 0; changes < 4; ++changes)
      bytes[16 + random() % 1008] = static_cast<char>(random());
    const auto image = ReadProgramImage(WriteFile("changed", bytes));
    if (!image.ok()) {
      EXPECT_THAT(image, StatusIs(Code::kInvalidArgument));
    }
  }
}

TEST(ProgramImageTest, TellsMpisApartByTheirLibraries) {
  EXPECT_EQ(MpiOf(LinkedWith({"libc.so.6"})), MpiLibrary::kNone);
  EXPECT_EQ(MpiOf(LinkedWith({"libm.so.6", "libmpi.so.40", "libc.so.6"})), MpiLibrary::kOpenMpi);
  EXPECT_EQ(MpiOf(LinkedWith({"libmpi_usempif08.so.40"})), MpiLibrary::kOpenMpi);
  EXPECT_EQ(MpiOf(LinkedWith({"libmpich.so.12"})), MpiLibrary::kMpich);
  EXPECT_EQ(MpiOf(LinkedWith({"libmpichfort.so.12", "libmpich.so.12"})), MpiLibrary::kMpich);
  EXPECT_EQ(MpiOf(LinkedWith({"libmpi.so.12"})), MpiLibrary::kMpich) << "Intel MPI";
  EXPECT_EQ(MpiOf(LinkedWith({"libmpfr.so.6"})), MpiLibrary::kNone);
}

}  // namespace
}  // namespace lockstep::launcher
