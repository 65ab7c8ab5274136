// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// `lockstep bench --backend nccl`, and sessions of that backend with it, over the fake NCCL and
// CUDA, which are found as the real ones are. Times are never compared with anything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class BenchNcclTest : public RunFixture {
 protected:
  /// A folder with both libraries under the names that are looked for.
  std::string FakeLibraries() const {
    const std::string folder = scratch_.path() + "/lib";
    std::filesystem::create_directories(folder);
    const auto fake = std::filesystem::canonical("collectives/nccl/testing/libfake_nccl_2_30.so");
    for (const char* const name : {"libnccl.so.2", "libcudart.so.13"})
      std::filesystem::create_symlink(fake, folder + "/" + name);
    return folder;
  }
  Outcome Bench(const std::vector<std::string>& words, const std::string& libraries,
                const std::string& devices = "8") const {
    std::vector<std::string> all = {
        LockstepPath(), "bench", "--backend", "nccl", "--rounds",        "5",
        "-n",           "2",     "-w",        "1",    "--allow-pressure"};
    all.insert(all.end(), words.begin(), words.end());
    Command::Options options = Options();
    if (!libraries.empty()) options.environment["LD_LIBRARY_PATH"] = libraries;
    options.environment["FAKE_CUDA_DEVICES"] = devices;
    return Command(all, options).Wait(120s);
  }
};

TEST_F(BenchNcclTest, EveryOpIsRightOnBuffersOfTheGpu) {
  const std::string libraries = FakeLibraries();
  for (const std::string op : {"all_reduce", "reduce", "broadcast", "all_gather", "reduce_scatter",
                               "all_to_all", "ping_pong", "barrier", "gather", "scatter",
                               "all_gather_v", "reduce_scatter_v", "all_to_all_v", "batch"}) {
    const Outcome outcome =
        Bench({"-np", "2", "-o", op, "-d", "i32", "-b", "1200", "-e", "1200"}, libraries);

    EXPECT_EQ(outcome.status, 0) << op << ": " << outcome.err;
    EXPECT_THAT(outcome.out,
                AllOf(HasSubstr("# nccl: Lockstep, nccl, NCCL 2.30.7, recorder on"),
                      HasSubstr("# Wrong elements: 0 OK\n"), Not(HasSubstr("# Did not run"))))
        << op;
  }
}

TEST_F(BenchNcclTest, NumbersOfEightBitsAreReducedAndCompared) {
  const std::string libraries = FakeLibraries();
  for (const std::string dtype : {"f8e4m3", "f8e5m2"}) {
    for (const std::string reduction : {"sum", "prod", "min", "max"}) {
      const Outcome outcome = Bench({"-np", "2", "-o", "all_reduce", "-d", dtype, "--redop",
                                     reduction, "-b", "1200", "-e", "1200"},
                                    libraries);

      EXPECT_EQ(outcome.status, 0) << dtype << " " << reduction << ": " << outcome.err;
      EXPECT_THAT(outcome.out,
                  AllOf(HasSubstr("# Wrong elements: 0 OK\n"), Not(HasSubstr("# Did not run"))))
          << dtype << " " << reduction;
    }
  }
}

TEST_F(BenchNcclTest, WhatComparingCallsCostsIsARatioOfTheSameRun) {
  const Outcome outcome =
      Bench({"-np", "2", "--check-calls", "-b", "4K", "-e", "4K"}, FakeLibraries());

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(
      outcome.out,
      AllOf(HasSubstr("# nccl checked: Lockstep, nccl, NCCL 2.30.7, recorder on, calls compared; "),
            HasSubstr("# nccl: Lockstep, nccl, NCCL 2.30.7, recorder on; "),
            HasSubstr("# Wrong elements: 0 OK\n"),
            HasSubstr("# nccl checked against nccl, out of place: ")));
}

TEST_F(BenchNcclTest, WhatIsMissingIsNamed) {
  const Outcome library = Bench({"-np", "2", "-b", "4K", "-e", "4K"}, "");
  EXPECT_EQ(library.status, 69) << library.err;
  EXPECT_THAT(library.err, HasSubstr("loading NCCL: libnccl.so.2: "));

  const std::string libraries = FakeLibraries();
  const Outcome gpu = Bench({"-np", "2", "-b", "4K", "-e", "4K"}, libraries, "0");
  EXPECT_EQ(gpu.status, 69) << gpu.err;
  EXPECT_THAT(gpu.err, HasSubstr("shows this process no GPU"));

  const Outcome fewer = Bench({"-np", "3", "-b", "4K", "-e", "4K"}, libraries, "2");
  EXPECT_EQ(fewer.status, 69) << fewer.err;
  EXPECT_THAT(fewer.err, HasSubstr("no GPU for local rank 2: its process sees 2"));
  EXPECT_THAT(scratch_.LeftoversAfter(2s), IsEmpty());
}

}  // namespace
}  // namespace lockstep::e2e
