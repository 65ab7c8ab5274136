// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/bench_flags.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;
using collectives::Dtype;
using collectives::Reduction;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

base::Result<BenchOptions> Options(std::vector<std::string> words) {
  words.insert(words.begin(), "bench");
  const Command command = ParseCommandLine(words).value();
  EXPECT_THAT(command.problems, IsEmpty());
  return BenchOptionsOf(command);
}

TEST(BenchFlagsTest, TheUsualLine) {
  ASSERT_OK_AND_ASSIGN(
      const BenchOptions options,
      Options({"-np", "2", "--backend", "host", "--compare", "openmpi", "-o", "all_reduce", "-b",
               "4K", "-e", "16M", "-f", "4", "-J", "out.json"}));

  EXPECT_EQ(options.ranks, 2);
  EXPECT_EQ(options.backend, BenchBackend::kHost);
  EXPECT_THAT(options.peers, ElementsAre(BenchBackend::kOpenMpi));
  EXPECT_EQ(options.op, LOCKSTEP_BENCH_ALL_REDUCE);
  EXPECT_THAT(options.sizes, ElementsAre(4096, 16384, 65536, 262144, 1048576, 4194304, 16777216));
  EXPECT_EQ(options.json_path, "out.json");
  EXPECT_TRUE(options.registered);
  EXPECT_FALSE(options.plain);
  EXPECT_TRUE(options.check);
}

TEST(BenchFlagsTest, EveryFlagHasItsPlace) {
  ASSERT_OK_AND_ASSIGN(const BenchOptions options, Options({"--backend=mpich",
                                                            "--compare",
                                                            "openmpi,gloo",
                                                            "--buffers",
                                                            "both",
                                                            "-o",
                                                            "reduce",
                                                            "-d",
                                                            "bf16",
                                                            "--redop",
                                                            "max",
                                                            "-r",
                                                            "1",
                                                            "-b",
                                                            "8",
                                                            "-e",
                                                            "24",
                                                            "-i",
                                                            "8",
                                                            "-n",
                                                            "3",
                                                            "-w",
                                                            "0",
                                                            "--warmup-bytes",
                                                            "4M",
                                                            "--rounds",
                                                            "9",
                                                            "-c",
                                                            "0",
                                                            "-I",
                                                            "--plot",
                                                            "x.svg",
                                                            "-T",
                                                            "5",
                                                            "--allow-pressure"}));

  EXPECT_EQ(options.backend, BenchBackend::kMpich);
  EXPECT_THAT(options.peers, ElementsAre(BenchBackend::kOpenMpi, BenchBackend::kGloo));
  EXPECT_TRUE(options.registered && options.plain);
  EXPECT_EQ(options.op, LOCKSTEP_BENCH_REDUCE);
  EXPECT_EQ(options.dtype, Dtype::kBf16);
  EXPECT_EQ(options.reduction, Reduction::kMax);
  EXPECT_EQ(options.root, 1);
  EXPECT_THAT(options.sizes, ElementsAre(8, 16, 24));
  EXPECT_EQ(options.iterations, 3);
  EXPECT_EQ(options.warmups, 0);
  EXPECT_EQ(options.warmup_bytes, 4u << 20);
  EXPECT_EQ(options.rounds, 9);
  EXPECT_FALSE(options.check);
  EXPECT_TRUE(options.statistics);
  EXPECT_TRUE(options.allow_pressure);
  EXPECT_EQ(options.plot_path, "x.svg");
  EXPECT_EQ(options.timeout, std::chrono::seconds(5));
}

TEST(BenchFlagsTest, ANetworkIsOfTcpAlone) {
  ASSERT_OK_AND_ASSIGN(
      const BenchOptions options,
      Options({"--backend", "tcp", "--interface", "eth0", "--netns", "a,b", "--compare", "gloo"}));

  EXPECT_EQ(options.backend, BenchBackend::kTcp);
  EXPECT_EQ(options.interface, "eth0");
  EXPECT_THAT(options.namespaces, ElementsAre("a", "b"));
  EXPECT_THAT(Options({"--interface", "eth0", "--netns", "a,b"}),
              StatusIs(Code::kInvalidArgument,
                       AllOf(HasSubstr("--interface eth0: is of --backend tcp and wide alone"),
                             HasSubstr("--netns a,b: is of --backend tcp and wide alone"))));
  EXPECT_THAT(Options({"--backend", "tcp", "--netns", "a", "--compare", "mpich"}),
              StatusIs(Code::kInvalidArgument,
                       AllOf(HasSubstr("one for each of 2"), HasSubstr("needs --interface"),
                             HasSubstr("--compare mpich"))));
}

TEST(BenchFlagsTest, TheFloorIsOfTwoRanksOfAMachine) {
  ASSERT_OK_AND_ASSIGN(const BenchOptions options, Options({"--compare", "openmpi,floor"}));
  EXPECT_THAT(options.peers, ElementsAre(BenchBackend::kOpenMpi, BenchBackend::kFloor));

  EXPECT_THAT(Options({"-np", "4", "--compare", "floor"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("--np 4: the floor is of two ranks")));
  EXPECT_THAT(Options({"--backend", "floor"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("nobody's library")));
  for (const char* const backend : {"tcp", "mpi", "openmpi"})
    EXPECT_THAT(Options({"--backend", backend, "--compare", "floor"}),
                StatusIs(Code::kInvalidArgument, HasSubstr("that of --backend host alone")));
  EXPECT_THAT(Options({"--buffers", "plain", "-o", "broadcast", "--compare", "floor"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("--buffers plain")));
}

TEST(BenchFlagsTest, EncryptionAndFlowsAreOfTcpAndWide) {
  ASSERT_OK_AND_ASSIGN(const BenchOptions options,
                       Options({"--backend", "tcp", "--encrypt-data", "--tcp-flows", "4"}));

  EXPECT_TRUE(options.encrypts_data);
  EXPECT_EQ(options.tcp_flows, 4);
  EXPECT_THAT(Options({"--encrypt-data", "--tcp-flows", "4"}),
              StatusIs(Code::kInvalidArgument,
                       AllOf(HasSubstr("--encrypt-data: is of --backend tcp and wide alone"),
                             HasSubstr("--tcp-flows 4: is of --backend tcp and wide alone"))));
  EXPECT_THAT(Options({"--backend", "tcp", "--tcp-flows", "17"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("must be 1 to 16")));
}

TEST(BenchFlagsTest, ComparedCallsAreAChoiceOfMpiAndNcclAlone) {
  for (const char* const backend : {"mpi", "nccl"}) {
    ASSERT_OK_AND_ASSIGN(const BenchOptions options,
                         Options({"--backend", backend, "--check-calls"}));
    EXPECT_TRUE(options.check_calls);
    EXPECT_FALSE(Options({"--backend", backend}).value().check_calls);
  }
  for (const char* const backend : {"host", "tcp", "wide", "openmpi", "mpich", "gloo"}) {
    EXPECT_THAT(Options({"--backend", backend, "--check-calls"}),
                StatusIs(Code::kInvalidArgument,
                         AllOf(HasSubstr("--check-calls: is of --backend mpi and nccl alone"),
                               HasSubstr("host, tcp and wide always compare calls"))))
        << backend;
  }
}

TEST(BenchFlagsTest, WhatOnlyMovesHasNoReduction) {
  ASSERT_OK_AND_ASSIGN(const BenchOptions options, Options({"-o", "broadcast"}));
  EXPECT_EQ(options.reduction, Reduction::kNone);
  EXPECT_THAT(Options({"-o", "broadcast", "--redop", "sum"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("broadcast reduces nothing")));
  EXPECT_THAT(Options({"-o", "barrier"}).value().sizes, ElementsAre(0));
}

TEST(BenchFlagsTest, AllThatIsWrongIsSaidAtOnce) {
  EXPECT_THAT(
      Options({"-np",      "1",         "--backend", "rccl",  "--compare", "openmpi,openmpi",
               "-o",       "allreduce", "-d",        "float", "--redop",   "none",
               "-r",       "2",         "-b",        "4KB",   "-c",        "2",
               "--rounds", "4",         "-T",        "0",     "--buffers", "mine"}),
      StatusIs(
          Code::kInvalidArgument,
          AllOf(HasSubstr("--np 1"), HasSubstr("--backend rccl"),
                HasSubstr("--compare openmpi: takes part already"), HasSubstr("--op allreduce"),
                HasSubstr("--dtype float"), HasSubstr("--redop none"), HasSubstr("--root 2"),
                HasSubstr("--begin 4KB"), HasSubstr("--check 2"), HasSubstr("--rounds 4"),
                HasSubstr("--timeout 0"), HasSubstr("--buffers mine"))));
}

TEST(BenchFlagsTest, SizesThatDoNotEndAreRefused) {
  EXPECT_THAT(Options({"-b", "8", "-e", "16M", "-i", "8"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("more than 1000 sizes")));
  EXPECT_THAT(Options({"-f", "1"}), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(Options({"-i", "0"}), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(Options({"-b", "0"}), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(Options({"-b", "1M", "-e", "1K"}), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(Options({"-f", "2", "-i", "8"}), StatusIs(Code::kInvalidArgument));
}

TEST(BenchFlagsTest, SizesHaveUnits) {
  EXPECT_EQ(ParseSize("4096"), 4096u);
  EXPECT_EQ(ParseSize("4K"), 4096u);
  EXPECT_EQ(ParseSize("16m"), uint64_t{16} << 20);
  EXPECT_EQ(ParseSize("64G"), uint64_t{64} << 30);
  for (const char* text : {"", "K", "-1", "4KiB", "1.5M", "65G", "99999999999999999999", "4 K"})
    EXPECT_EQ(ParseSize(text), std::nullopt) << text;
}

}  // namespace
}  // namespace lockstep::launcher
